//! The end of a pool: new work is refused, work in flight may finish, what is left is cancelled.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::conn::Connection;
use crate::conn::request::Event;
use crate::conn::role::Role;
use crate::error::Error;
use crate::metrics::Reason;
use crate::pool::Pool;
use crate::pool::host::{Fit, fit};
use crate::pool::upkeep::RESET;

/// What the end of a pool meant for those who used it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// Requests in flight that came to their end.
    pub drained: usize,
    /// Callers in the queue that were turned away.
    pub rejected: usize,
    /// Requests that were still running when the patience was over.
    pub cancelled: usize,
    /// Transactions and streams that then stood open without a request in flight.
    pub open: usize,
}

impl Pool {
    /// Refuses new work at once, waits for the work in flight and for open transactions, then cancels what still runs and
    /// closes everything.
    ///
    /// Bounded by `patience` plus the time a cancel may take; safe to call any number of times.
    /// Cancel-safe: dropping the future does not take the end back.
    pub async fn end(&self, patience: Duration) -> Ended {
        let refused = self.books().end();
        let mut ended = Ended {
            rejected: refused.len(),
            drained: self.unanswered(),
            ..Ended::default()
        };
        for waiter in refused {
            waiter.wanted.fail(&Error::Closed { what: "pool" });
        }
        for connection in self.books().retire(Instant::now()) {
            connection.close();
        }
        self.ended.notify_waiters();
        self.health.end().await;
        self.alarm.ring();
        if tokio::time::timeout(patience, self.until_drained())
            .await
            .is_ok()
        {
            return ended;
        }
        ended.cancelled = self.unanswered();
        ended.drained = ended.drained.saturating_sub(ended.cancelled);
        for connection in self.all_connections() {
            // What stood open is closed at once: the server rolls it back.
            ended.open += usize::from(connection.interrupt("pool"));
        }
        if tokio::time::timeout(crate::conn::cancel::PATIENCE, self.until_drained())
            .await
            .is_ok()
        {
            return ended;
        }
        for connection in self.all_connections() {
            connection.discard(Error::Closed { what: "pool" });
        }
        self.until_drained().await;
        ended
    }

    fn unanswered(&self) -> usize {
        let connections = self.all_connections();
        connections
            .iter()
            .map(|connection| connection.unanswered())
            .sum()
    }

    /// Ends the pool without anybody waiting for it: what is in flight is given a moment.
    pub fn abandon(self: Arc<Self>) {
        let runtime = self.runtime.clone();
        runtime.spawn(async move {
            self.end(Duration::ZERO).await;
        });
    }

    async fn until_drained(&self) {
        loop {
            let drained = self.drained.notified();
            tokio::pin!(drained);
            drained.as_mut().enable();
            if self.books().is_empty() {
                return;
            }
            drained.await;
        }
    }

    /// Counts a connection that is over by the reason, and tells it.
    pub(super) fn count_closed(&self, connection: &Connection, cause: &Error) {
        let books = self.books();
        let (is_ended, is_worn) = (
            books.is_ended(),
            books.is_worn(connection.slot, Instant::now()),
        );
        drop(books);
        let role = connection.role();
        let misfit = role != Role::Unknown && fit(&self.settings.routing, role) != Fit::Right;
        if matches!(cause, Error::Closed { what } if *what == RESET) {
            // Told already, together with the server's error.
            self.metrics.closed(Reason::Error);
            return;
        }
        let (reason, word) = if is_ended {
            (Reason::Shutdown, "shutdown")
        } else if !is_worn && !matches!(cause, Error::Closed { what: "connection" }) {
            let left = self.seeker.view.is_left_behind(&connection.name);
            (Reason::Error, if left { "role" } else { "error" })
        } else {
            let (reason, word) = if is_worn {
                (Reason::Lifetime, "lifetime")
            } else {
                (Reason::Idle, "idle")
            };
            (reason, if misfit { "role" } else { word })
        };
        if matches!(word, "error" | "role") {
            self.cools(connection);
        }
        self.metrics.closed(reason);
        self.seeker.tell(&Event::Retired {
            host: &self.seeker.label(connection.node),
            reason: word,
            error: None,
        });
    }
}
