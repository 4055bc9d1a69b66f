//! Opens connections while there are waiters for them; one search at a time while no node is known.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::conn::driver::Driver;
use crate::conn::request::Subscriber;
use crate::conn::{Connection, Owner};
use crate::error::{Counts, Error, Lack};
use crate::pool::router::{Fruitless, Guest};
use crate::pool::{Pool, Wanted};

/// The pause behind a refusal that decides for everybody who waits.
const PAUSE: Duration = Duration::from_millis(100);
/// A search that nobody waits for any more goes on for so long: waiters with short deadlines share one (CP-23).
const LINGER: Duration = Duration::from_secs(1);
/// How often a search looks whether anybody waits for it.
const GLANCE: Duration = Duration::from_millis(250);

/// What the searches of a pool share.
#[derive(Debug, Default)]
pub(super) struct Opening {
    pausing: bool,
    /// The last failure that decided, named by waiters that time out.
    last: Option<Error>,
    /// One that nobody has waited for: who comes during the pause hears it.
    untold: Option<Error>,
}

/// The right to search on behind a failure.
#[derive(Default)]
struct Lead(Option<Arc<AtomicBool>>);

impl Lead {
    fn take(&mut self, pool: &Pool) -> bool {
        if self.0.is_some() {
            return true;
        }
        let free = !pool.searching.swap(true, Ordering::AcqRel);
        if free {
            self.0 = Some(Arc::clone(&pool.searching));
        }
        free
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        if let Some(searching) = &self.0 {
            searching.store(false, Ordering::Release);
        }
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
    /// Names one more who hears of attempts to connect and of failovers.
    pub fn subscribe(&self, subscriber: Subscriber) {
        self.seeker.hearers().push(subscriber);
    }

    /// That one hears nothing more, and takes no reports.
    pub fn unsubscribe(&self, slot: u32, generation: u32) {
        let is_it = |known: &Subscriber| (known.slot, known.generation) == (slot, generation);
        self.seeker.hearers().retain(|known| !is_it(known));
        self.unmonitor_all(is_it);
    }

    fn opening(&self) -> std::sync::MutexGuard<'_, Opening> {
        self.opener.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts as many attempts as waiters and bounds ask for; only one while no node is known.
    pub(super) fn open_as_needed(&self) {
        if self.opening().pausing {
            self.tell_untold();
            return;
        }
        let limit = if self.seeker.knows() {
            self.settings.routing.max_connecting.get()
        } else {
            1
        };
        while self.books().may_open(limit) {
            self.open_another();
        }
    }

    /// A statement is about to come: where nothing is open, its connection is opened meanwhile.
    pub fn expect(&self) {
        let pausing = self.opening().pausing;
        if !pausing && self.books().may_open_first() {
            self.open_another();
        }
    }

    /// One more, which the books count already.
    fn open_another(&self) {
        if let Some(pool) = self.own.upgrade() {
            let attempt = Attempt { pool, open: true };
            self.runtime.spawn(attempt.run());
        }
    }

    /// Returns when a search has had no waiters for a while.
    async fn until_unwanted(&self) {
        let mut since = Instant::now();
        loop {
            tokio::time::sleep(GLANCE).await;
            if self.books().wants() {
                since = Instant::now();
            } else if since.elapsed() >= LINGER {
                return;
            }
        }
    }
}

impl Attempt {
    async fn run(mut self) {
        let pool = Arc::clone(&self.pool);
        let used = pool.used_by_host();
        let mut lead = Lead::default();
        let found = tokio::select! {
            found = pool.seeker.seek(&used, false, || lead.take(&pool)) => found,
            () = pool.until_ended() => return,
            () = pool.until_unwanted() => {
                drop(lead);
                drop(self);
                // For somebody who came while this one was still counted.
                pool.open_as_needed();
                return;
            }
        };
        drop(lead);
        match found {
            Ok(connection) => {
                let mut guest = Guest(Some(connection));
                let warmed = tokio::select! {
                    warmed = pool.warm(&mut guest) => warmed,
                    () = pool.until_ended() => return,
                };
                let Some(connection) = guest.0.take_if(|_| warmed.is_ok()) else {
                    drop(self);
                    pool.open_as_needed();
                    return;
                };
                pool.opening().last = None;
                let connection = pool.adopt(*connection);
                self.open = false;
                pool.leave_behind(&connection);
                pool.runtime.spawn(Driver::new(Arc::clone(&connection)));
                // Its keeper comes behind those who wait: while it looks, another connection would be opened for them.
                if pool.books().wants() {
                    pool.give_back(connection.slot);
                } else {
                    pool.release(&connection);
                }
            }
            Err(Fruitless::Decided(error)) => {
                drop(self);
                pool.decided(&error);
            }
            // Another attempt searches on.
            Err(Fruitless::Left | Fruitless::Tried) => return,
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
        connection.count_in(Arc::clone(&self.metrics));
        self.metrics.opened();
        self.seeker.table.opened(&connection.name);
        let connection = Arc::new(connection);
        books.opened(Arc::clone(&connection), connection.node, now + life, now);
        connection
    }

    /// Every attempt would be refused the same way: those who wait hear it now.
    fn decided(&self, error: &Error) {
        {
            let mut opening = self.opening();
            opening.pausing = true;
            opening.last = Some(error.clone());
        }
        // A connection that is open may still serve them.
        let alone = self.books().counts().size == 0;
        let left = if alone {
            self.books().leave(|_| true)
        } else {
            Vec::new()
        };
        if alone && left.is_empty() {
            self.opening().untold = Some(error.clone());
        }
        for waiter in left {
            waiter.wanted.fail(error);
        }
        if let Some(pool) = self.own.upgrade() {
            self.runtime.spawn(async move {
                tokio::time::sleep(PAUSE).await;
                {
                    let mut opening = pool.opening();
                    opening.pausing = false;
                    opening.untold = None;
                }
                pool.open_as_needed();
            });
        }
    }

    /// Those who wait now came after the failure that decided for them.
    fn tell_untold(&self) {
        let untold = self.opening().untold.clone();
        let Some(error) = untold.filter(|_| self.books().counts().size == 0) else {
            return;
        };
        let left = self.books().leave(|_| true);
        if !left.is_empty() {
            self.opening().untold = None;
        }
        for waiter in left {
            waiter.wanted.fail(&error);
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
        self.metrics
            .acquire_timeouts(u64::try_from(left.len()).unwrap_or(u64::MAX));
        let lack = self.lack(self.settings.acquire_timeout, counts);
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
                None => lack.clone(),
            };
            waiter.wanted.fail(&error);
        }
    }

    /// What is in the way of somebody who has waited for so long.
    pub(super) fn lacks(&self, waited: Duration) -> Error {
        let counts = self.books().counts();
        self.lack(waited, counts)
    }

    fn lack(&self, waited: Duration, counts: Counts) -> Error {
        // Something was in the way of opening another connection, unless all that may be open are.
        let met = self.seeker.met();
        let hindered = counts.size + counts.opening.saturating_sub(1) < counts.max;
        let failure = met.iter().rev().find_map(|node| node.error.clone());
        let last = failure.or_else(|| self.opening().last.clone());
        let lack = (hindered && !met.is_empty()).then(|| {
            Box::new(Lack {
                what: self.settings.routing.mode.lack(),
                nodes: met,
            })
        });
        Error::Acquire {
            waited,
            counts,
            last: last.map(Box::new),
            search: lack,
        }
    }
}
