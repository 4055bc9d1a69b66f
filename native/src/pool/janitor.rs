//! The pool's clock: fails waiters whose time is over, closes connections that were idle or alive for too long.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::conn::request::Request;
use crate::pool::Pool;

/// Wakes the janitor earlier than it has planned.
#[derive(Debug, Default)]
pub(super) struct Alarm {
    running: AtomicBool,
    /// When it will look by itself.
    planned: Mutex<Option<Instant>>,
    rung: Arc<Notify>,
}

impl Alarm {
    /// Something changed that may be due earlier than planned.
    pub(super) fn ring(&self) {
        self.rung.notify_one();
    }

    fn plan(&self, at: Option<Instant>) {
        *self.planned.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }

    /// It looks now: until the next look is planned, whatever joins the books rings, because what is due next may have been
    /// read before.
    fn looks(&self) {
        self.plan(None);
    }

    fn is_later_than(&self, at: Instant) -> bool {
        self.planned
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_none_or(|planned| planned > at)
    }
}

impl Pool {
    /// Until when a request waits for its connection.
    pub(super) fn deadline(&self, request: &Request) -> Instant {
        let acquire = request.since + self.settings.acquire_timeout;
        request
            .deadline()
            .map_or(acquire, |given_up| acquire.min(given_up))
    }

    /// Sees to it that whatever is due next in the books is noticed in time.
    ///
    /// `due`: the earliest moment at which what has just changed can be due. Reading all of the books is saved when the
    /// janitor looks before then anyway, which is so nearly always.
    pub(super) fn watch(&self, due: Instant) {
        if !self.alarm.is_later_than(due) {
            return;
        }
        let Some(next) = self.books().next_alarm() else {
            return;
        };
        if !self.alarm.running.swap(true, Ordering::AcqRel) {
            self.runtime.spawn(watch(Weak::clone(&self.own)));
        } else if self.alarm.is_later_than(next) {
            self.alarm.ring();
        }
    }

    /// Does what is due, and says when to look again.
    fn look(&self) -> Option<Instant> {
        self.alarm.looks();
        let now = Instant::now();
        self.expire(now);
        self.withdraw(now);
        let retired = self.books().retire(now);
        for connection in retired {
            connection.close();
        }
        self.open_as_needed();
        let next = self.books().next_alarm();
        self.alarm.plan(next);
        next
    }
}

/// Ends by itself once the pool is gone.
async fn watch(pool: Weak<Pool>) {
    /// How often a janitor with nothing to do looks whether its pool still exists.
    const IDLE: Duration = Duration::from_secs(60);
    loop {
        let (next, rung) = {
            let Some(pool) = pool.upgrade() else {
                return;
            };
            let next = pool.look();
            if pool.books().is_ended() && pool.books().is_empty() {
                return;
            }
            (next, Arc::clone(&pool.alarm.rung))
        };
        let sleep = match next {
            Some(at) => tokio::time::sleep_until(at.into()),
            None => tokio::time::sleep(IDLE),
        };
        tokio::select! {
            () = sleep => {}
            () = rung.notified() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_joins_the_books_while_they_are_looked_at_rings() {
        let alarm = Alarm::default();
        let now = Instant::now();
        alarm.plan(Some(now));
        let later = now + Duration::from_secs(5);
        assert!(!alarm.is_later_than(later), "it looks before then");
        alarm.looks();
        assert!(alarm.is_later_than(later), "it may have looked already");
        alarm.plan(Some(now));
        assert!(!alarm.is_later_than(later));
    }
}
