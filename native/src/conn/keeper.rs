//! Upkeep of a connection by the engine itself, in moments when no caller uses it: who does it, and the right of way
//! it has meanwhile.

use std::sync::{Arc, Weak};

use crate::conn::exchange::{Exchange, fail_where};
use crate::conn::request::{Event, Outlet, Request, Subscriber};
use crate::conn::{Closing, Connection, Origin};
use crate::error::Error;
use crate::wire::TransactionStatus;

/// Looks after one connection. No method waits.
pub trait Keeper: Send + Sync {
    /// May there be something to do? Asked for every statement, so it is to be cheap.
    fn is_due(&self) -> bool;
    /// Nothing is asked of the connection. `true`: now the keeper uses it, and the owner hears when it is free again.
    fn idle(&self, connection: &Arc<Connection>) -> bool;
    /// A caller is about to use the connection for this request.
    fn before(&self, connection: &Arc<Connection>, request: &Request);
    /// The server says that the session has this `application_name` from now on. Called with the connection's lock held.
    fn named(&self, name: &str);
}

/// Hires a keeper for each connection.
pub trait Upkeep: Send + Sync {
    /// The name a connection to this target (`host:port` or a socket's path) is to be opened under, and its keeper.
    ///
    /// # Errors
    /// The name cannot be made.
    fn hire(&self, target: &str) -> Result<(Box<str>, Arc<dyn Keeper>), Error>;
}

/// What one pass of a reaper did.
#[derive(Clone, Debug, Default)]
pub struct Pass {
    /// Did it have the fleet's lock?
    pub locked: bool,
    /// Backends that were ended.
    pub killed: usize,
    /// Expired and idle for long enough.
    pub candidates: usize,
    /// Of these: this role may not end them.
    pub denied: usize,
    /// Of the same service by name, but their state is hidden from this role.
    pub hidden: usize,
    /// Milliseconds.
    pub duration: u64,
    /// Why it failed.
    pub error: Option<Error>,
    /// Requests that failed with it.
    pub refused: usize,
}

/// What keepers tell the owner of a session.
#[derive(Clone, Debug)]
pub enum News {
    /// The lease was renewed.
    Renewed,
    /// It was not; so many requests that waited for it failed with the error.
    NotRenewed(Error, usize),
    /// A pass is over.
    Reaped(Pass),
    /// A pooler stands between this process and the server: nothing is leased.
    Pooled,
}

/// A connection in the hands of its keeper: requests of callers wait until this is dropped.
pub struct Stay(Arc<Connection>);

impl Stay {
    /// Sends another request, in front of those that wait.
    ///
    /// # Errors
    /// Gives the request back when the connection is over or about to be.
    pub fn then(&self, request: Request) -> Result<(), Box<Request>> {
        let mut state = self.0.lock();
        if state.stream.is_none() || !matches!(state.closing, Closing::Open) {
            return Err(Box::new(request));
        }
        state.exchange.follow(request);
        state.wake();
        Ok(())
    }

    /// Fails the requests that wait; returns how many there were.
    #[must_use]
    pub fn refuse(&self, error: &Error) -> usize {
        let mut state = self.0.lock();
        let refused = state.exchange.refuse_waiting(error);
        state.wake();
        refused
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.exchange.let_go();
        state.wake();
    }
}

impl Connection {
    /// Gives the connection its keeper. Called once, before it has an owner.
    pub fn kept_by(&self, keeper: Arc<dyn Keeper>) {
        self.lock().exchange.answers.keeper = Some(Arc::clone(&keeper));
        // A second keeper would be a bug of ours; the first one stays.
        let _ = self.keeper.set(keeper);
    }

    /// Who looks after it.
    pub fn keeper(&self) -> Option<&Arc<dyn Keeper>> {
        self.keeper.get()
    }

    /// Has the owner let the keeper look, if nobody uses the connection.
    pub fn attend(self: &Arc<Self>) {
        if let Some(owner) = self.owner.get().and_then(std::sync::Weak::upgrade) {
            owner.attend(self);
        }
    }

    /// Takes a caller's request like [`Connection::submit`]; the keeper has its say first.
    ///
    /// # Errors
    /// Gives the request back when the connection is over or about to be.
    pub fn serve(
        self: &Arc<Self>,
        request: Request,
        origin: Origin<'_>,
    ) -> Result<(), Box<Request>> {
        if let Some(keeper) = self.keeper() {
            keeper.before(self, &request);
        }
        self.submit(request, origin)
    }

    /// Sends a request of the engine if nothing else is on the connection and no transaction is open; callers then wait
    /// until the returned value is dropped.
    pub fn seize(self: &Arc<Self>, request: Request) -> Option<Stay> {
        let mut state = self.lock();
        let free = state.stream.is_some()
            && matches!(state.closing, Closing::Open)
            && state.cancel.is_none()
            && state.exchange.pending() == 0
            && state.exchange.status() == TransactionStatus::Idle
            && !state.exchange.is_kept();
        if !free {
            return None;
        }
        state.look_before();
        state.exchange.follow(request);
        state.wake();
        drop(state);
        Some(Stay(Arc::clone(self)))
    }

    /// Tells the session's owner in JS, else that of the pool.
    pub fn tell(&self, news: &News) {
        if let Some(subscriber) = self.subscriber() {
            subscriber.tell(&Event::Upkeep(news));
        } else if let Some(owner) = self.owner.get().and_then(Weak::upgrade) {
            owner.kept(news);
        }
    }

    /// The environment that uses the session.
    pub fn environment(&self) -> Option<Arc<dyn Outlet>> {
        self.subscriber().map(|subscriber| subscriber.outlet)
    }

    fn subscriber(&self) -> Option<Subscriber> {
        self.lock().exchange.subscriber().cloned()
    }
}

impl Exchange {
    /// Takes a request of the keeper, in front of all others, which wait until [`Exchange::let_go`].
    pub fn follow(&mut self, mut request: Request) {
        request.exclusive = true;
        request.is_upkeep = true;
        self.note_deadline(&request);
        self.queue.push_front(request);
        self.kept = false;
        self.pump();
        self.kept = true;
    }

    /// The keeper is done: callers go on.
    fn let_go(&mut self) {
        self.kept = false;
        self.pump();
    }

    /// Has the keeper got the connection?
    #[must_use]
    pub const fn is_kept(&self) -> bool {
        self.kept
    }

    /// Fails what was not sent yet; returns how many requests that were.
    fn refuse_waiting(&mut self, error: &Error) -> usize {
        let refused = fail_where(&mut self.queue, |_| true, |_| error.clone());
        self.answers.finished += refused;
        refused
    }
}
