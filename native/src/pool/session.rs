//! One caller's exclusive use of a connection of the pool: a transaction, or a stream.
//!
//! A session takes its connection with its first request and gives it back with the answer to the request that is
//! marked as its last. Requests that come before the connection wait in order.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::conn::guard::overrides;
use crate::conn::request::{CopyStep, Outlet, Part, Place, Request, Subscriber};
use crate::conn::{Connection, Origin};
use crate::error::{Error, Outcome, Phase};
use crate::pool::Pool;

/// One caller's exclusive use of a connection.
pub struct Session {
    pool: Weak<Pool>,
    state: Mutex<State>,
    /// Hears the events of the connection while the session has it.
    subscriber: OnceLock<Subscriber>,
}

enum State {
    /// Nothing was asked yet.
    Fresh,
    /// In the pool's queue.
    Waiting(VecDeque<Request>),
    /// Has its connection.
    Active(Arc<Connection>),
    /// Its last request is on the way.
    Finishing(Arc<Connection>),
    /// Its connection, or its place in the queue, was lost.
    Lost(Error),
    /// Ended by its owner.
    Over,
}

impl Session {
    /// A session that has asked for nothing yet.
    pub fn new(pool: &Arc<Pool>) -> Arc<Self> {
        Arc::new(Self {
            pool: Arc::downgrade(pool),
            state: Mutex::new(State::Fresh),
            subscriber: OnceLock::new(),
        })
    }

    /// A session that is over already: what a handle of an ended transaction names.
    #[cfg(test)]
    #[must_use]
    pub fn closed() -> Arc<Self> {
        Arc::new(Self {
            pool: Weak::new(),
            state: Mutex::new(State::Over),
            subscriber: OnceLock::new(),
        })
    }

    /// Names who hears the events of the connection; to be called before the first request.
    pub fn subscribe(&self, subscriber: Subscriber) {
        // A second subscriber would be a bug of ours; the first one stays.
        let _ = self.subscriber.set(subscriber);
    }

    /// Does anybody hear the events of its connection?
    pub(super) fn is_heard(&self) -> bool {
        self.subscriber.get().is_some()
    }

    /// The pool it belongs to, unless that is gone.
    #[must_use]
    pub fn pool(&self) -> Option<Arc<Pool>> {
        self.pool.upgrade()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a request behind the earlier ones. Every request is answered, if only with an error.
    pub fn submit(self: &Arc<Self>, mut request: Request, origin: Origin<'_>) {
        request.place = Place::Behind;
        let deadline = request.deadline();
        let refused = {
            let mut state = self.lock();
            match &mut *state {
                State::Fresh => {
                    *state = State::Waiting(VecDeque::from([request]));
                    drop(state);
                    match self.pool.upgrade() {
                        Some(pool) => pool.want_session(self, origin),
                        None => self.lose(&Error::Closed { what: "pool" }),
                    }
                    self.watch(deadline);
                    return;
                }
                State::Waiting(queue) if queue.back().is_some_and(|last| last.finish) => {
                    (request, over())
                }
                State::Waiting(queue) => {
                    queue.push_back(request);
                    drop(state);
                    self.watch(deadline);
                    return;
                }
                State::Active(connection) => {
                    let connection = Arc::clone(connection);
                    if request.finish {
                        *state = State::Finishing(Arc::clone(&connection));
                    }
                    let is_end = request.finish && request.part == Part::Commit;
                    // Under the session's lock, so that requests of several threads keep their order.
                    match connection.serve(request, origin) {
                        Ok(()) => {
                            drop(state);
                            if let (true, Some(pool)) = (is_end, self.pool.upgrade()) {
                                pool.succeed(self, &connection, origin);
                            }
                            return;
                        }
                        Err(request) => {
                            *state = State::Lost(Error::Closed { what: "connection" });
                            (*request, unconnected())
                        }
                    }
                }
                State::Lost(cause) => (request, lost(cause)),
                State::Finishing(_) | State::Over => (request, over()),
            }
        };
        refused.0.fail(&refused.1);
    }

    /// A request that waits together with its session has a time limit of its own: it fails when that is over, and the
    /// session waits on for the others.
    fn watch(self: &Arc<Self>, deadline: Option<Instant>) {
        let Some(deadline) = deadline else {
            return;
        };
        let is_waiting = matches!(&*self.lock(), State::Waiting(_));
        let (true, Some(pool)) = (is_waiting, self.pool.upgrade()) else {
            return;
        };
        let session = Arc::downgrade(self);
        pool.runtime.spawn(async move {
            tokio::time::sleep_until(deadline.into()).await;
            if let Some(session) = session.upgrade() {
                session.expire(Instant::now());
            }
        });
    }

    fn expire(&self, now: Instant) {
        if let State::Waiting(queue) = &mut *self.lock() {
            crate::conn::exchange::fail_where(
                queue,
                |request| request.deadline().is_some_and(|deadline| deadline <= now),
                |request| Error::Timeout {
                    phase: Phase::Acquire,
                    after: request.timeout.unwrap_or_default(),
                    outcome: Outcome::NotSent,
                },
            );
        }
    }

    /// Does it wait with a transaction whose first statement may travel behind the COMMIT of another session? What may be
    /// cancelled would have to wait for that, and whoever hears the connection would hear of that.
    pub(super) fn may_succeed(&self) -> bool {
        let waits_long = |request: &Request| request.timeout.is_none() && !request.exclusive;
        match &*self.lock() {
            State::Waiting(queue) => {
                !self.is_heard()
                    && queue.iter().all(waits_long)
                    && (queue.front())
                        .is_some_and(|first| first.work.begins() && !overrides(&first.work))
            }
            _ => false,
        }
    }

    /// What it has asked behind the COMMIT of another session fails: that one takes too long. `false`: nothing of it is behind one.
    pub(super) fn withdraw(&self, error: &Error) -> bool {
        let mut state = self.lock();
        match &mut *state {
            State::Active(connection) | State::Finishing(connection) => {
                if !connection.withdraw(error) {
                    return false;
                }
            }
            // It was named as the next one, and has not begun.
            State::Waiting(queue) => {
                let unsent = error.clone().not_sent();
                crate::conn::exchange::fail_where(queue, |_| true, |_| unsent.clone());
            }
            State::Fresh | State::Lost(_) | State::Over => return false,
        }
        *state = State::Lost(error.clone());
        true
    }

    /// The pool hands over a connection. `false`: the session does not want it any more.
    pub(super) fn activate(&self, connection: &Arc<Connection>, origin: Origin<'_>) -> bool {
        self.begin_on(connection, origin, false)
    }

    /// The same; `is_behind` the COMMIT of another session, to which the connection's events belong until it is answered.
    pub(super) fn begin_on(
        &self,
        connection: &Arc<Connection>,
        origin: Origin<'_>,
        is_behind: bool,
    ) -> bool {
        let mut state = self.lock();
        let State::Waiting(queue) = &mut *state else {
            return false;
        };
        if !is_behind {
            connection.subscribe(self.subscriber.get().cloned());
        }
        let mut queue = std::mem::take(queue);
        if let Some(first) = queue.front_mut() {
            first.place = Place::First;
        }
        let finishing = queue.iter().any(|request| request.finish);
        *state = if finishing {
            State::Finishing(Arc::clone(connection))
        } else {
            State::Active(Arc::clone(connection))
        };
        let mut refused = Vec::new();
        for request in queue {
            if let Err(request) = connection.serve(request, origin) {
                refused.push(*request);
            }
        }
        if !refused.is_empty() {
            *state = State::Lost(Error::Closed { what: "connection" });
        }
        drop(state);
        for request in refused {
            request.fail(&unconnected());
        }
        true
    }

    /// Its connection has ended before anything was sent of what it has asked, which is all of this: it waits again. Gives that
    /// back if it has left, or was told of the end already.
    pub(super) fn wait_again(&self, asked: Vec<Request>) -> Result<(), Vec<Request>> {
        let mut state = self.lock();
        let is_here = matches!(&*state, State::Active(_) | State::Finishing(_));
        if !is_here || asked.is_empty() {
            return Err(asked);
        }
        *state = State::Waiting(asked.into());
        Ok(())
    }

    /// The node of its connection must not serve it. It waits again, with `first` and what it has asked since. `false`: it has left,
    /// and `first` has failed.
    pub(super) fn move_from(self: &Arc<Self>, connection: &Connection, first: Request) -> bool {
        let mut state = self.lock();
        if !matches!(&*state, State::Active(_) | State::Finishing(_)) {
            drop(state);
            first.fail(&over());
            return false;
        }
        // Under the session's lock, so that nothing is put on that connection any more.
        let asked: VecDeque<_> = std::iter::once(first)
            .chain(connection.take_back())
            .collect();
        let deadlines: Vec<_> = asked.iter().map(Request::deadline).collect();
        *state = State::Waiting(asked);
        drop(state);
        for deadline in deadlines {
            self.watch(deadline);
        }
        true
    }

    /// The connection, or the place in the queue, is lost.
    pub(super) fn lose(&self, cause: &Error) {
        let queue = {
            let mut state = self.lock();
            match std::mem::replace(&mut *state, State::Lost(cause.clone())) {
                State::Waiting(queue) => queue,
                State::Over => {
                    *state = State::Over;
                    return;
                }
                _ => return,
            }
        };
        for request in queue {
            request.fail(cause);
        }
    }

    /// Requests of this session that its connection had not written when it ended.
    pub(super) fn refuse(unsent: Vec<Request>, cause: &Error) {
        for request in unsent {
            request.fail(&lost(cause));
        }
    }

    /// The answer to the last request came.
    pub(super) fn over(&self) {
        *self.lock() = State::Over;
    }

    /// Has it ended: by its last answer, by a BEGIN that failed, or by being abandoned?
    pub(super) fn is_over(&self) -> bool {
        matches!(&*self.lock(), State::Over | State::Lost(_))
    }

    /// A step of the COPY that runs; one that comes too late changes nothing.
    pub fn copy_step(&self, environment: &Arc<dyn Outlet>, of: u32, step: CopyStep) {
        let connection = match &*self.lock() {
            State::Active(connection) | State::Finishing(connection) => Arc::clone(connection),
            State::Fresh | State::Waiting(_) | State::Lost(_) | State::Over => return,
        };
        connection.copy_step(environment, of, step);
    }

    /// Gives up a request. `false` when it is not here.
    pub fn cancel(&self, environment: &Arc<dyn Outlet>, id: u32) -> bool {
        let mut state = self.lock();
        match &mut *state {
            State::Waiting(queue) => {
                let failed = crate::conn::exchange::fail_where(
                    queue,
                    |request| request.reply.is(environment, id),
                    |_| Error::Cancelled {
                        outcome: Outcome::NotSent,
                    },
                );
                failed > 0
            }
            State::Active(connection) | State::Finishing(connection) => {
                let connection = Arc::clone(connection);
                drop(state);
                connection.cancel(environment, id)
            }
            State::Lost(_) => {
                drop(state);
                let pool = self.pool.upgrade();
                pool.is_some_and(|pool| pool.leave_doubt(environment, id))
            }
            State::Fresh | State::Over => false,
        }
    }

    /// Its connection, while it has one.
    pub fn connection(&self) -> Option<Arc<Connection>> {
        match &*self.lock() {
            State::Active(connection) | State::Finishing(connection) => {
                Some(Arc::clone(connection))
            }
            _ => None,
        }
    }

    /// Leaves: the connection goes back when everything asked is answered, out of a transaction first, and a place in
    /// the queue is given up. One that has `waited` for so long leaves only if it has no connection; `false` says that it has.
    /// After no time at all it is not the waiting that was too long.
    pub fn leave(self: &Arc<Self>, waited: Option<Duration>) -> bool {
        let mut state = self.lock();
        if waited.is_some() && !matches!(&*state, State::Fresh | State::Waiting(_)) {
            return false;
        }
        let State::Active(connection) = &*state else {
            drop(state);
            self.abandon_after(waited);
            return true;
        };
        let connection = Arc::clone(connection);
        *state = State::Over;
        drop(state);
        connection.nudge();
        true
    }

    /// Ends the session without a last request: an open transaction dies with its connection.
    pub fn abandon(self: &Arc<Self>) {
        self.abandon_after(None);
    }

    fn abandon_after(self: &Arc<Self>, waited: Option<Duration>) {
        let closed = over();
        let state = std::mem::replace(&mut *self.lock(), State::Over);
        match state {
            State::Waiting(queue) => {
                let pool = self.pool.upgrade();
                // What was in the way, as everybody hears it who waits for as long as the pool says.
                let waited = waited.filter(|waited| !waited.is_zero());
                let lack = (pool.as_ref().zip(waited)).map(|(pool, waited)| pool.lacks(waited));
                if let Some(pool) = pool {
                    pool.unwant_session(self);
                }
                for request in queue {
                    request.fail(lack.as_ref().unwrap_or(&closed));
                }
            }
            // What runs is cancelled on the server.
            State::Active(connection) => {
                connection.leave("transaction");
            }
            // The last request gives the connection back by itself, unless it needs the caller or was never sent.
            State::Finishing(connection) => {
                connection.discard_copy(closed);
                connection.nudge();
            }
            State::Fresh | State::Lost(_) | State::Over => {}
        }
    }
}

const fn over() -> Error {
    Error::Closed {
        what: "transaction",
    }
}

fn unconnected() -> Error {
    Error::TransactionLost {
        cause: Box::new(Error::Closed { what: "connection" }),
    }
}

fn lost(cause: &Error) -> Error {
    match cause {
        // Never had a connection: the reason says it all.
        Error::Acquire { .. } => cause.clone(),
        Error::Closed { what } if *what != "connection" => cause.clone(),
        cause => Error::TransactionLost {
            cause: Box::new(cause.clone()),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use serde_json::json;

    use super::*;
    use crate::conn::tests::server::{Server, beside};
    use crate::pool::tests::{ask_session, pool, until_rest};

    #[test]
    fn who_had_a_connection_that_was_closed_has_lost_a_transaction() {
        let closed = |what| lost(&Error::Closed { what });
        assert!(matches!(closed("pool"), Error::Closed { .. }));
        assert!(matches!(
            closed("connection"),
            Error::TransactionLost { .. }
        ));
    }

    #[test]
    fn nothing_joins_a_last_request_that_waits_for_its_connection() {
        beside(async |server: Rc<Server>| {
            let pool = pool(&server, &json!({ "poolSize": 1 }));
            let holder = Session::new(&pool);
            let held = ask_session(&holder, "select 1", false).await.unwrap();
            assert!(held.is_ok());
            let session = Session::new(&pool);
            let last = ask_session(&session, "select 2", true);
            let behind = ask_session(&session, "select 3", false).await.unwrap();
            let what = "transaction";
            assert!(matches!(behind, Err(Error::Closed { what: closed }) if closed == what));
            let left = ask_session(&holder, "select 4", true).await.unwrap();
            assert!(left.is_ok() && last.await.unwrap().is_ok());
            until_rest(&pool).await;
            pool.end(Duration::from_secs(5)).await;
        });
    }
}
