//! The pool: hands connections to requests and sessions, opens and retires them, and ends in bounded time.
//!
//! All decisions are made in the books ([`queue`]) under one short lock; connections are told outside of it.

mod alive;
mod ending;
mod follow;
pub mod health;
pub mod host;
mod janitor;
mod judge;
pub mod monitor;
mod moving;
mod opener;
mod owner;
pub mod queue;
pub mod resolve;
mod rounds;
pub mod router;
mod search;
pub mod session;
mod succession;
pub mod table;
mod upkeep;
mod warmth;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};

use crate::config::{Driver, PoolConfig, Prepared};
use crate::conn::dial::Route;
use crate::conn::exchange::Manner;
use crate::conn::guard::Policy;
use crate::conn::keeper::Upkeep;
use crate::conn::request::{LocalResult, Outlet, Request};
use crate::conn::statement::{NumberedProfile, Statement};
use crate::conn::{Connection, Origin};
use crate::error::{Counts, Error};
use crate::frame::Shapes;
use crate::metrics::{Figures, Metrics};

pub use self::ending::Ended;
use self::queue::{Books, Bounds, Need, Use, Waiter};
use self::router::Seeker;
use self::session::Session;
use self::table::Overview;

/// What a waiter wants.
enum Wanted {
    /// A connection for one statement.
    Request(Box<Request>),
    /// A connection for a session.
    Session(Arc<Session>),
}

impl Wanted {
    fn need(&self, resets: bool) -> Need {
        match self {
            Self::Request(request) => need(request, resets),
            Self::Session(_) => Need::Whole,
        }
    }

    fn fail(self, error: &Error) {
        match self {
            Self::Request(request) => request.fail(error),
            Self::Session(session) => session.lose(error),
        }
    }
}

/// `resets`: what it leaves in its session is removed behind it, and must not be met by others before.
fn need(request: &Request, resets: bool) -> Need {
    let leaves = || (request.work.statement()).is_some_and(|asked| asked.leaves_residue());
    if request.may_share() && request.work.is_quick() && !(resets && leaves()) {
        Need::Shared
    } else {
        Need::Single
    }
}

type PoolBooks = Books<Arc<Connection>, Arc<Session>, Wanted>;

/// A pool of connections to the nodes of one target that suit its mode.
pub struct Pool {
    seeker: Seeker,
    settings: PoolConfig,
    /// Runs between two users of a connection if the first may have left something in its session.
    reset: Option<Arc<Statement>>,
    runtime: Handle,
    books: Mutex<PoolBooks>,
    opener: Mutex<opener::Opening>,
    /// A search goes on behind a failure.
    searching: Arc<AtomicBool>,
    alarm: janitor::Alarm,
    /// The profile of the engine's own statements.
    profile: Arc<NumberedProfile>,
    metrics: Arc<Metrics>,
    health: health::Health,
    drained: Notify,
    /// Ends the attempts to open a connection: nobody waits for them once the pool is ended.
    ended: Notify,
    /// Transactions whose end nobody has heard, while it is looked for.
    doubts: Mutex<resolve::Doubts>,
    warmth: Mutex<warmth::Warmth>,
    /// The servers do not answer probes.
    refuses_probes: AtomicBool,
    own: Weak<Self>,
}

impl Pool {
    /// A pool that opens nothing until it is asked for something.
    pub fn new(
        routes: Box<[Route]>,
        settings: PoolConfig,
        shapes: Arc<Shapes>,
        profile: Arc<NumberedProfile>,
        runtime: Handle,
        upkeep: Option<Arc<dyn Upkeep>>,
    ) -> Arc<Self> {
        let bounds = Bounds {
            max: settings.max.get(),
            min_idle: settings.min_idle,
            depth: settings.pipeline_depth.get(),
            idle_timeout: settings.idle_timeout,
            max_uses: settings.max_uses.map(std::num::NonZero::get),
            spread: follow::spread(&settings.routing, routes.len()),
        };
        let manner = Manner {
            driver: settings.driver,
            depth: usize::MAX,
            statements: settings.statement_cache_size.max(1),
            max_message: routes
                .first()
                .map_or(crate::wire::MAX_MESSAGE, |route| route.config().max_message),
            policy: Policy {
                demand: follow::demand(settings.routing.mode),
                check: settings.routing.fence_check,
                fresh_for: settings.validation_interval,
                max_lag: settings.routing.max_lag,
                strict: settings.routing.strict_fence,
            },
            resets: settings.reset_query.is_some(),
        };
        // The settings have no text that is refused here.
        let reset = (settings.reset_query.as_deref()).and_then(|text| Statement::intern(text).ok());
        let routing = settings.routing.clone();
        let seeker =
            Seeker::new(routes, routing, manner, shapes, Arc::clone(&profile)).with_upkeep(upkeep);
        let pool = Arc::new_cyclic(|own| Self {
            seeker,
            settings,
            reset,
            runtime,
            books: Mutex::new(Books::new(bounds)),
            opener: Mutex::default(),
            searching: Arc::default(),
            alarm: janitor::Alarm::default(),
            profile,
            metrics: Arc::default(),
            health: health::Health::default(),
            drained: Notify::new(),
            ended: Notify::new(),
            doubts: Mutex::default(),
            warmth: Mutex::default(),
            refuses_probes: AtomicBool::new(false),
            own: Weak::clone(own),
        });
        pool.follow();
        pool.watch_silence();
        pool.make_rounds();
        if bounds.min_idle > 0 {
            pool.open_as_needed();
        }
        pool
    }

    fn books(&self) -> MutexGuard<'_, PoolBooks> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The counts users see.
    pub fn counts(&self) -> Counts {
        self.books().counts()
    }

    /// Connections kept although idle.
    pub fn min_idle(&self) -> usize {
        self.settings.min_idle
    }

    /// The nodes as users see them, and the primary's address.
    pub fn overview(&self) -> Overview {
        self.seeker.table.overview()
    }

    /// The name of a host as configured.
    pub fn label(&self, host: usize) -> Box<str> {
        self.seeker.label(host)
    }

    /// Open connections by host.
    pub fn open_by_host(&self) -> Vec<usize> {
        self.used_by_host()
    }

    /// Everything counted so far.
    pub fn figures(&self) -> Figures {
        self.metrics.figures()
    }

    /// Statements given up while they ran.
    pub fn cancels(&self) -> u64 {
        self.metrics.cancels()
    }

    /// Are probes of any use here?
    pub fn takes_probes(&self) -> bool {
        !self.refuses_probes.load(Ordering::Relaxed)
    }

    /// Are statements kept under names? Otherwise each execution parses again.
    pub fn named(&self) -> bool {
        self.settings.prepared == Prepared::Named
    }

    /// Which side reads its connections.
    pub const fn driver(&self) -> Driver {
        self.settings.driver
    }

    /// The most bytes a result may have.
    pub const fn max_result_bytes(&self) -> Option<usize> {
        self.settings.max_result_bytes
    }

    /// The longest a statement of this pool may take.
    pub fn max_statement(&self) -> Option<Duration> {
        self.settings.max_statement
    }

    /// Runs one statement on whatever connection is right. It is answered in any case.
    ///
    /// A thread that asks for nothing else writes by itself only if no other thread's statements are in flight.
    pub fn submit(&self, request: Request, origin: Origin<'_>) {
        let now = request.since;
        let deadline = self.deadline(&request);
        let (placed, origin) = {
            let mut books = self.books();
            if books.is_ended() {
                drop(books);
                request.fail(&Error::Closed { what: "pool" });
                return;
            }
            let origin = match origin {
                Origin::Alone if !books.is_quiet() => Origin::Engine,
                origin => origin,
            };
            if let Some((_, connection)) = books.place(need(&request, self.reset.is_some()), now) {
                (Some((connection, request)), origin)
            } else {
                books.wait(Waiter {
                    wanted: Wanted::Request(Box::new(request)),
                    since: now,
                    deadline,
                });
                (None, origin)
            }
        };
        match placed {
            Some((connection, request)) => {
                self.metrics.acquired(Duration::ZERO);
                self.run(&connection, request, origin);
            }
            None => self.queue_grew(deadline),
        }
    }

    /// Gives a request to the connection that was chosen for it; a connection that has just ended sends it back.
    fn run(&self, connection: &Arc<Connection>, request: Request, origin: Origin<'_>) {
        if let Err(request) = connection.serve(request, origin) {
            self.again(*request);
        }
    }

    /// Nothing of the request was sent: it goes to the front of the queue, with the deadline it had.
    fn again(&self, request: Request) {
        let mut books = self.books();
        if books.is_ended() {
            drop(books);
            request.fail(&Error::Closed { what: "pool" });
            return;
        }
        let since = request.since;
        let deadline = self.deadline(&request);
        books.wait_again(Waiter {
            wanted: Wanted::Request(Box::new(request)),
            since,
            deadline,
        });
        drop(books);
        self.queue_grew(deadline);
    }

    /// A session asks for its connection.
    pub(crate) fn want_session(&self, session: &Arc<Session>, origin: Origin<'_>) {
        let now = Instant::now();
        let deadline = now + self.settings.acquire_timeout;
        let placed = {
            let mut books = self.books();
            if books.is_ended() {
                drop(books);
                session.lose(&Error::Closed { what: "pool" });
                return;
            }
            let placed = books.place(Need::Whole, now);
            match &placed {
                Some((slot, _)) => books.hold(*slot, Arc::clone(session)),
                None => books.wait(Waiter {
                    wanted: Wanted::Session(Arc::clone(session)),
                    since: now,
                    deadline,
                }),
            }
            placed
        };
        match placed {
            Some((_, connection)) => {
                self.metrics.acquired(Duration::ZERO);
                self.hand_over(session, &connection, origin);
            }
            None => self.queue_grew(deadline),
        }
    }

    fn hand_over(&self, session: &Arc<Session>, connection: &Arc<Connection>, origin: Origin<'_>) {
        if session.activate(connection, origin) {
            return;
        }
        // Unless it was given back already, because the connection had news of its own.
        let is_still_held = {
            let mut books = self.books();
            let slot = connection.slot;
            let usage = books.entry(slot).map(|entry| &entry.usage);
            let is_its = matches!(usage, Some(Use::Held(holder)) if Arc::ptr_eq(holder, session));
            is_its && books.clean(slot)
        };
        if is_still_held {
            self.release(connection);
        }
    }

    /// A session leaves the queue.
    pub(crate) fn unwant_session(&self, session: &Arc<Session>) {
        self.books().leave(
            |waiter| matches!(&waiter.wanted, Wanted::Session(waiting) if Arc::ptr_eq(waiting, session)),
        );
    }

    /// Somebody waits from now on, until `deadline` at most.
    fn queue_grew(&self, deadline: Instant) {
        self.open_as_needed();
        // A connection may have become free between the look into the books and joining the queue.
        self.serve();
        self.watch(deadline);
    }

    /// Serves waiters as long as connections are free.
    fn serve(&self) {
        let now = Instant::now();
        loop {
            let (wanted, connection) = {
                let mut books = self.books();
                let since = books.waiting_since().unwrap_or(now);
                let need = |wanted: &Wanted| wanted.need(self.reset.is_some());
                let Some((wanted, slot, connection)) = books.serve(need, now) else {
                    return;
                };
                if let Wanted::Session(session) = &wanted {
                    books.hold(slot, Arc::clone(session));
                }
                self.metrics.acquired(now.saturating_duration_since(since));
                (wanted, connection)
            };
            match wanted {
                Wanted::Request(request) => self.run(&connection, *request, Origin::Engine),
                Wanted::Session(session) => {
                    self.hand_over(&session, &connection, Origin::Engine);
                }
            }
        }
    }

    /// A connection is free again, or at the end of its life.
    fn release(&self, connection: &Arc<Connection>) {
        if !self.has_upkeep(connection) {
            self.give_back(connection.slot);
        }
    }

    /// The same, for whoever waits.
    fn give_back(&self, slot: usize) {
        /// A life that is over is noticed within this time.
        const LATE: Duration = Duration::from_secs(60);
        let now = Instant::now();
        let worn = self.books().release(slot, now);
        if let Some(connection) = worn {
            connection.close();
        } else {
            self.serve();
            self.watch(now + self.settings.idle_timeout.unwrap_or(LATE));
        }
    }

    /// The caller of a request gives it up. `false` when it is not known here.
    pub fn cancel(&self, environment: &Arc<dyn Outlet>, id: u32) -> bool {
        let (left, connections) = {
            let mut books = self.books();
            let left = books.leave(
                |waiter| matches!(&waiter.wanted, Wanted::Request(request) if request.reply.is(environment, id)),
            );
            let connections: Vec<_> = books
                .connections()
                .map(|entry| Arc::clone(&entry.connection))
                .collect();
            (left, connections)
        };
        let waited = !left.is_empty();
        for waiter in left {
            waiter.wanted.fail(&Error::Cancelled {
                outcome: crate::error::Outcome::NotSent,
            });
        }
        waited
            || connections
                .iter()
                .any(|connection| connection.cancel(environment, id))
            || self.leave_doubt(environment, id)
    }

    /// A thread that shares the pool is gone: whatever it has asked for is given up.
    pub fn forsake(&self, environment: &Arc<dyn Outlet>) {
        let (left, connections) = {
            let mut books = self.books();
            let left = books.leave(
                |waiter| matches!(&waiter.wanted, Wanted::Request(request) if request.reply.is_of(environment)),
            );
            let connections: Vec<_> = (books.connections())
                .map(|entry| Arc::clone(&entry.connection))
                .collect();
            (left, connections)
        };
        for waiter in left {
            waiter.wanted.fail(&Error::Cancelled {
                outcome: crate::error::Outcome::NotSent,
            });
        }
        for connection in connections {
            connection.forsake(environment);
        }
        self.unmonitor_all(|taker| Arc::ptr_eq(&taker.outlet, environment));
    }

    fn all_connections(&self) -> Vec<Arc<Connection>> {
        self.books()
            .connections()
            .map(|entry| Arc::clone(&entry.connection))
            .collect()
    }

    async fn until_ended(&self) {
        let ended = self.ended.notified();
        tokio::pin!(ended);
        ended.as_mut().enable();
        if !self.books().is_ended() {
            ended.await;
        }
    }
}

/// Waits for an answer to the engine itself; an answer that can never come is a closed connection.
pub(crate) async fn answered(
    answer: oneshot::Receiver<Result<LocalResult, Error>>,
) -> Result<LocalResult, Error> {
    answer.await.unwrap_or(Err(Error::Closed { what: "pool" }))
}

#[cfg(test)]
mod tests;
