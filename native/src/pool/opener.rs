//! Opens connections while there are waiters for them, with pauses after failures.

use std::sync::{Arc, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::conn::dial::dial;
use crate::conn::driver::Driver;
use crate::conn::{Connection, Owner};
use crate::error::{Error, ServerError, is_final};
use crate::pool::{Manner, Pool, Wanted};
use crate::sqlstate;

/// The first pause after a failed attempt; it doubles up to the longest (spec 1.10 of the cluster pool).
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Failures since the last success.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    pausing: bool,
    /// The last failure, named by waiters that time out.
    last: Option<Error>,
}

impl Backoff {
    fn pause(&self) -> Duration {
        (FIRST_PAUSE * 2_u32.saturating_pow(self.failures.saturating_sub(1).min(8)))
            .min(LONGEST_PAUSE)
    }
}

/// Takes an attempt back out of the books however its task ends.
struct Attempt {
    pool: Arc<Pool>,
    open: bool,
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if self.open {
            self.pool.books().open_failed();
            if self.pool.books().is_empty() {
                self.pool.drained.notify_waiters();
            }
        }
    }
}

impl Pool {
    fn backoff(&self) -> std::sync::MutexGuard<'_, Backoff> {
        self.opener.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last failure to open a connection since the last success.
    pub(super) fn last_failure(&self) -> Option<Error> {
        self.backoff().last.clone()
    }

    /// Starts as many attempts as waiters and bounds ask for.
    pub(super) fn open_as_needed(&self) {
        if self.backoff().pausing {
            return;
        }
        while self.books().may_open() {
            let Some(pool) = self.own.upgrade() else {
                return;
            };
            let attempt = Attempt { pool, open: true };
            self.runtime.spawn(attempt.run());
        }
    }
}

impl Attempt {
    async fn run(mut self) {
        let pool = Arc::clone(&self.pool);
        let manner = Manner {
            depth: usize::MAX,
            statements: pool.settings.statement_cache_size.max(1),
            max_message: pool.route.config().max_message,
        };
        let dialled = tokio::select! {
            dialled = dial(&pool.route, 0, manner, Arc::clone(&pool.shapes)) => dialled,
            () = pool.until_ended() => return,
        };
        match dialled {
            Ok(connection) => {
                *pool.backoff() = Backoff::default();
                let connection = pool.adopt(connection);
                self.open = false;
                pool.runtime.spawn(Driver::new(Arc::clone(&connection)));
                pool.release(connection.slot);
            }
            Err(error) => {
                drop(self);
                pool.failed(&error);
            }
        }
        pool.open_as_needed();
    }
}

impl Pool {
    fn adopt(&self, mut connection: Connection) -> Arc<Connection> {
        let now = Instant::now();
        // Without randomness connections opened together also end together, which is harmless.
        let roll = getrandom::u32().unwrap_or_default();
        let life = self
            .settings
            .lifetime(roll)
            .unwrap_or(Duration::from_secs(u32::MAX.into()));
        let mut books = self.books();
        connection.slot = books.next_slot();
        let owner: Weak<dyn Owner> = self.own.clone();
        connection.belongs_to(owner);
        let connection = Arc::new(connection);
        books.opened(Arc::clone(&connection), now + life, now);
        connection
    }

    /// An attempt failed: waiters that it decides for fail now, the others wait for the next attempt.
    fn failed(&self, error: &Error) {
        let decided = match error {
            Error::Refused(server) => refuses(server),
            Error::Config { .. } | Error::Encode { .. } => true,
            Error::Connect { code, .. } => is_final(code),
            _ => false,
        };
        let pause = {
            let mut backoff = self.backoff();
            backoff.failures = backoff.failures.saturating_add(1);
            backoff.last = Some(error.clone());
            let start = !backoff.pausing;
            backoff.pausing = true;
            start.then(|| backoff.pause())
        };
        if decided {
            // A connection that is open may still serve them.
            let alone = self.books().counts().size == 0;
            let left = if alone {
                self.books().leave(|_| true)
            } else {
                Vec::new()
            };
            for waiter in left {
                waiter.wanted.fail(error);
            }
        }
        if let (Some(pause), Some(pool)) = (pause, self.own.upgrade()) {
            self.runtime.spawn(async move {
                tokio::time::sleep(pause).await;
                pool.backoff().pausing = false;
                pool.open_as_needed();
            });
        }
    }

    /// A waiter's time is over.
    pub(super) fn expire(&self, now: Instant) {
        let (left, counts) = {
            let mut books = self.books();
            let counts = books.counts();
            (books.leave(|waiter| waiter.deadline <= now), counts)
        };
        if left.is_empty() {
            return;
        }
        let last = self.last_failure();
        for waiter in left {
            let own_deadline = match &waiter.wanted {
                Wanted::Request(request) => request
                    .timeout
                    .filter(|timeout| *timeout < self.settings.acquire_timeout),
                Wanted::Session(_) => None,
            };
            let error = match own_deadline {
                Some(after) => Error::Timeout {
                    phase: crate::error::Phase::Acquire,
                    after,
                    outcome: crate::error::Outcome::NotSent,
                },
                None => Error::Acquire {
                    waited: self.settings.acquire_timeout,
                    counts,
                    last: last.clone().map(Box::new),
                },
            };
            waiter.wanted.fail(&error);
        }
    }
}

/// Would every further attempt be refused the same way?
fn refuses(server: &ServerError) -> bool {
    sqlstate::rejects_login(&server.code)
}
