//! One socket around one conversation.
//!
//! A [`Connection`] is a handle that any thread may use: requests are encoded under its lock, and its driver (one
//! task on the engine's thread) is the only side that reads. What the driver learns goes to the [`Owner`] outside
//! the lock, so the owner may hand over the next request from there.

pub mod account;
pub mod alive;
pub mod answers;
mod aside;
pub mod cancel;
pub mod certificate;
pub mod client;
mod copying;
mod cursor;
pub mod dial;
pub mod doubt;
pub mod driver;
mod encode;
pub mod event;
pub mod event_loop;
pub mod exchange;
pub mod fate;
mod giveup;
pub mod guard;
mod inflight;
pub mod keeper;
pub mod lag;
mod local;
mod login;
mod lost;
mod moving;
pub mod passwords;
mod prelude;
pub mod probe;
pub mod request;
mod residue;
pub mod role;
mod seat;
mod settle;
mod socket;
pub mod statement;
pub mod stream;
mod succession;
mod tally;
pub mod tls;
mod transport;
mod turn;
mod unseen;
pub mod verify;
mod warm;
mod wording;
mod words;
pub mod work;

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::Waker;
use std::time::{Duration, Instant, SystemTime};

use crate::config::Driver;
use crate::error::Error;
use crate::metrics::Metrics;
use crate::wire::TransactionStatus;

pub use self::seat::Origin;

use self::cancel::Target;
use self::doubt::Left;
use self::exchange::{Exchange, Report, Running};
use self::keeper::Keeper;
use self::request::{CopyStep, Outlet, Subscriber};
use self::role::Role;
use self::seat::Seat;
use self::stream::Stream;

/// A connection that was left alone for longer is looked at before something is sent (rule SC-5).
const UNWATCHED: Duration = Duration::from_secs(1);

/// Told what happens to a connection; never with the connection's lock held.
pub trait Owner: Send + Sync {
    /// Requests were answered, or the connection became free of a cancel. Of one connection, one report at a time and in the
    /// order in which things happened.
    fn progressed(&self, connection: &Arc<Connection>, report: Report);
    /// The keeper of a connection that nobody listens to did something.
    fn kept(&self, _news: &keeper::News) {}
    /// Its server takes no cancel request either: others are better asked elsewhere. Comes before anybody hears of the end.
    fn avoid(&self, _connection: &Arc<Connection>) {}
    /// The connection is over.
    fn closed(&self, connection: &Arc<Connection>, cause: &Error, left: Left);
    /// Lets the connection's keeper have it, if nobody else does.
    fn attend(&self, connection: &Arc<Connection>) {
        if let Some(keeper) = connection.keeper() {
            keeper.idle(connection);
        }
    }
}

/// An authenticated connection.
pub struct Connection {
    /// Number in its owner's books.
    pub slot: usize,
    /// `host:port` or the socket path, for messages.
    pub host: Box<str>,
    /// What its address is called among all nodes.
    pub name: Box<str>,
    /// Unlike that of any other connection of this process.
    pub serial: u32,
    /// Process number of the backend.
    pub pid: i32,
    /// Settings the server reported during start-up.
    pub parameters: Vec<(String, String)>,
    /// Which of its owner's nodes it leads to.
    pub node: usize,
    /// The role its owner was told last; 0: none.
    told: AtomicU8,
    /// Which side reads it.
    pub driver: Driver,
    /// The longest a statement may take, where the other side takes no `statement_timeout` (CP-52).
    limit: Option<Duration>,
    /// Where a cancel request goes.
    target: Target,
    owner: OnceLock<Weak<dyn Owner>>,
    keeper: OnceLock<Arc<dyn Keeper>>,
    /// See [`Connection::in_order`].
    order: Mutex<()>,
    state: Mutex<State>,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("slot", &self.slot)
            .field("host", &self.host)
            .field("pid", &self.pid)
            .finish_non_exhaustive()
    }
}

pub(crate) struct State {
    exchange: Exchange,
    /// Gone once the connection is over.
    stream: Option<Stream>,
    /// Which side has the stream.
    seat: Seat,
    /// Room to offer to the next read.
    room: usize,
    /// Wakes the driver.
    waker: Option<Waker>,
    closing: Closing,
    cancel: Option<Cancelling>,
    /// A cancel request was not even taken: it is not this backend alone that is silent.
    is_deaf: bool,
    /// The owner must hear of a change that no answer announces.
    changed: bool,
    /// When bytes last went either way, by the clock that counts from boot and by the one on the wall.
    active: (Instant, SystemTime),
    /// Something may have arrived that must be read before anything is written.
    read_first: bool,
}

/// How far the end of a connection has come.
#[derive(Debug)]
enum Closing {
    /// Not at all.
    Open,
    /// Say goodbye once the requests in flight are answered; what its owner calls himself.
    Politely(&'static str),
    /// At once, for this reason.
    Now(Error),
}

/// A cancel request on its way.
#[derive(Debug)]
struct Cancelling {
    /// The cancel connection was closed by the server.
    delivered: bool,
    /// The driver has not started it yet.
    wanted: bool,
    /// Without an answer by then, it is sent again: it may have overtaken the statement, which then knows nothing of it.
    again: Option<Instant>,
    /// Without an answer by then, the connection is given up.
    give_up: Instant,
}

impl Connection {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To be held from before a report is taken until the owner has done what follows from it: two sides take reports, and
    /// none must overtake another. In front of every other lock.
    fn in_order(&self) -> MutexGuard<'_, ()> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Names the owner. Called once, before the driver runs.
    pub fn belongs_to(&self, owner: Weak<dyn Owner>) {
        // A second owner would be a bug of ours; the first one stays.
        let _ = self.owner.set(owner);
    }

    /// Has everything on it counted there.
    pub fn count_in(&self, metrics: Arc<Metrics>) {
        self.lock().exchange.count_in(metrics);
    }

    /// The caller of a request gives it up. `false` when the request is not on this connection.
    pub fn cancel(&self, environment: &Arc<dyn Outlet>, id: u32) -> bool {
        let mut state = self.lock();
        let Some(running) = state.exchange.cancel(environment, id) else {
            return false;
        };
        state.interrupt(running);
        state.wake();
        true
    }

    /// The thread that has asked is gone: nothing is begun for it any more, and what runs for it alone is cancelled.
    pub fn forsake(&self, environment: &Arc<dyn Outlet>) {
        let mut state = self.lock();
        let running = state.exchange.forsake(environment);
        state.interrupt(running);
        state.wake();
    }

    /// A step of the COPY that runs for a request of that environment; one that comes too late changes nothing.
    pub fn copy_step(&self, environment: &Arc<dyn Outlet>, of: u32, step: CopyStep) {
        let mut state = self.lock();
        state.exchange.copy_step(environment, of, step);
        state.wake();
    }

    /// Cancels what runs, fails what waits, and ends the connection once that is answered: its owner's patience is over.
    ///
    /// Gives whether it stood open without anything in flight: in the hands of a user who has not ended.
    pub fn interrupt(&self, what: &'static str) -> bool {
        let mut state = self.lock();
        let is_open = matches!(state.closing, Closing::Open);
        let stood_open = is_open && state.exchange.pending() == 0;
        let running = state.exchange.interrupt_all(what);
        state.interrupt(running);
        if matches!(state.closing, Closing::Open) {
            state.closing = Closing::Politely(what);
        }
        state.wake();
        stood_open
    }

    /// Cancels what runs and ends the connection at once. What waits is its owner's.
    pub fn cut(&self, reason: Error) {
        let mut state = self.lock();
        let running = state.exchange.interrupt_running();
        state.interrupt(running);
        state.closing = Closing::Now(reason);
        state.wake();
    }

    /// Ends the connection once everything in flight is answered.
    pub fn close(&self) {
        let mut state = self.lock();
        if matches!(state.closing, Closing::Open) {
            state.closing = Closing::Politely("connection");
        }
        state.wake();
    }

    /// Ends the connection at once; what is in flight fails with what is known about it.
    pub fn discard(&self, reason: Error) {
        let mut state = self.lock();
        state.closing = Closing::Now(reason);
        state.wake();
    }

    /// The thread of its user is gone: a COPY that waits for that thread would hold it for ever.
    pub fn discard_copy(&self, reason: Error) {
        let mut state = self.lock();
        if state.exchange.has_open_copy() {
            state.closing = Closing::Now(reason);
            state.wake();
        }
    }

    /// Has the owner look again: its user has left without a last request.
    pub fn nudge(&self) {
        self.lock().wake();
    }

    /// Requests that are not answered yet.
    pub fn unanswered(&self) -> usize {
        self.lock().exchange.pending()
    }

    /// Did it end because its server takes no other connection either?
    pub fn is_deaf(&self) -> bool {
        self.lock().is_deaf
    }

    /// Is it over, or about to be?
    pub fn is_closed(&self) -> bool {
        let state = self.lock();
        state.stream.is_none() || !matches!(state.closing, Closing::Open)
    }

    /// Does the traffic travel encrypted?
    pub fn is_encrypted(&self) -> bool {
        self.lock()
            .stream
            .as_ref()
            .is_some_and(Stream::is_encrypted)
    }

    /// What the server has said about itself last.
    pub fn role(&self) -> Role {
        self.lock().exchange.role()
    }

    /// Is that role something its owner has not been told by this connection?
    pub fn is_news(&self, role: Role) -> bool {
        let number = role.number();
        self.told.swap(number, Ordering::Relaxed) != number
    }

    /// The address it leads to.
    #[must_use]
    pub const fn address(&self) -> &dial::Address {
        &self.target.address
    }

    /// The server's transaction status with its last answer; after the end, the last one there was.
    pub fn status(&self) -> TransactionStatus {
        self.lock().exchange.status()
    }

    /// Its user leaves. May statements have left something in the session since this was asked last?
    pub fn take_residue(&self) -> bool {
        self.lock().exchange.take_residue()
    }

    /// It is in other hands from now on: events of the session (notices, notifications, its end) go to JS, or to nobody.
    pub fn subscribe(&self, subscriber: Option<Subscriber>) {
        self.lock().exchange.subscribe(subscriber);
    }

    /// The cancel connection is closed: from now on the target may be used again.
    fn cancel_delivered(&self) {
        let mut state = self.lock();
        if let Some(cancel) = &mut state.cancel {
            cancel.delivered = true;
            cancel.again = Some(Instant::now() + cancel::AGAIN);
        }
        state.changed = true;
        state.wake();
    }
}

impl State {
    /// Before something is sent on a connection that was left alone for a while: is there something to be read? The
    /// server may have ended the session meanwhile, and what is not written can still go elsewhere (rule SC-5).
    fn look_before(&mut self) {
        if self.exchange.pending() > 0 {
            return;
        }
        let (since, wall) = self.active;
        let frozen = wall.elapsed().map_or(true, |alone| alone > UNWATCHED);
        if frozen || since.elapsed() > UNWATCHED {
            self.read_first = self.stream.as_ref().is_some_and(Stream::has_input);
        }
    }

    fn wrote(&mut self, bytes: usize) {
        self.active = (Instant::now(), SystemTime::now());
        bytes::Buf::advance(&mut self.exchange.output, bytes);
        self.exchange.wrote(bytes);
    }

    fn wake(&mut self) {
        self.changed = true;
        self.call_driver();
    }

    /// Does what an expired or aborted statement needs.
    fn interrupt(&mut self, running: Running) {
        match running {
            Running::Nothing => {}
            Running::Cancel => {
                // While the server waits for COPY data it does not look at a cancel request.
                self.exchange.fail_copy();
                self.exchange.hold();
                self.cancel = Some(Cancelling {
                    delivered: false,
                    wanted: true,
                    again: None,
                    give_up: Instant::now() + cancel::PATIENCE,
                });
            }
            Running::GiveUp => {
                self.closing = Closing::Now(Error::Cancelled {
                    outcome: crate::error::Outcome::Unknown,
                });
            }
        }
    }

    /// A connection with a cancel under way is not reused until the cancel was delivered and the answer came.
    fn report(&mut self) -> Report {
        self.changed = false;
        let delivered = self.cancel.as_ref().is_some_and(|cancel| cancel.delivered);
        if delivered && self.exchange.is_quiet() {
            self.cancel = None;
            self.exchange.resume();
        }
        let mut report = self.exchange.report();
        report.cancelling = self.cancel.is_some() || self.exchange.is_kept();
        report
    }
}

#[cfg(test)]
pub(crate) mod tests;
