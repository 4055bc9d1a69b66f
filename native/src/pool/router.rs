//! Finds a node that suits, among all addresses of all hosts: a race with a stagger, then a watch ([`search`](super::search)).
//!
//! A standby that answers is watched on its open connection, so a promotion is seen within one look, without any login.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::StreamExt;

use crate::config::{Balance, Routing};
use crate::conn::Connection;
use crate::conn::dial::{self, Address, Route};
use crate::conn::exchange::Manner;
use crate::conn::keeper::Upkeep;
use crate::conn::request::{Event, Subscriber};
use crate::conn::role::Role;
use crate::conn::statement::NumberedProfile;
use crate::error::{Counts, Error, Lack, NodeReport, is_final};
use crate::frame::Shapes;
use crate::pool::follow::left_behind;
use crate::pool::host::{Fit, LEFT_BEHIND, View, fit};
use crate::pool::judge::Verdict;
use crate::pool::search::{Search, Step, sleep_until};
use crate::pool::table::{Former, Table, UNREACHABLE};
use crate::sqlstate;

/// Time between two looks at a node that does not suit yet.
const WATCH: Duration = Duration::from_millis(20);
/// How long a look may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
/// Everything a search needs.
pub struct Seeker {
    /// One per host, in the order of the list.
    pub routes: Box<[Route]>,
    /// What is looked for.
    pub routing: Routing,
    /// What is known already.
    pub view: Arc<View>,
    /// What users are told about the nodes.
    pub table: Table,
    /// How found connections converse.
    pub manner: Manner,
    /// Shapes of the process.
    pub shapes: Arc<Shapes>,
    /// The profile of the engine's own statements.
    pub profile: Arc<NumberedProfile>,
    /// Hires the keepers of leased connections.
    pub upkeep: Option<Arc<dyn Upkeep>>,
    /// Attempts to open a connection, and those that failed.
    pub attempts: AtomicUsize,
    /// See `attempts`.
    pub failures: AtomicUsize,
    /// What the running search has met, by address.
    pub reports: Mutex<HashMap<Box<str>, NodeReport>>,
    /// A name has led to several addresses at once.
    pub(super) several: AtomicBool,
    /// Searches under way by the host they began with.
    pub(super) heading: Box<[AtomicUsize]>,
    /// Hosts that did not suit when they were asked last.
    unsuitable: Box<[AtomicBool]>,
    /// Hears of attempts and failovers.
    hearers: Mutex<Vec<Subscriber>>,
}

/// How a search ends without a node.
#[derive(Debug)]
pub enum Fruitless {
    /// Every further attempt would be refused the same way.
    Decided(Error),
    /// All nodes were tried once.
    Tried,
    /// Another search is under way already.
    Left,
}

/// Says goodbye to a connection that is not used after all, however its future ends.
pub(super) struct Guest(pub(super) Option<Box<Connection>>);

impl Drop for Guest {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            connection.dismiss();
        }
    }
}

impl Seeker {
    /// A seeker that knows nothing beyond the shared view.
    #[must_use]
    pub fn new(
        routes: Box<[Route]>,
        routing: Routing,
        manner: Manner,
        shapes: Arc<Shapes>,
        profile: Arc<NumberedProfile>,
    ) -> Self {
        Self {
            view: View::shared(&routes),
            table: Table::default(),
            several: AtomicBool::new(false),
            heading: routes.iter().map(|_| AtomicUsize::new(0)).collect(),
            unsuitable: routes.iter().map(|_| AtomicBool::new(false)).collect(),
            routes,
            routing,
            manner,
            shapes,
            profile,
            upkeep: None,
            attempts: AtomicUsize::new(0),
            failures: AtomicUsize::new(0),
            reports: Mutex::default(),
            hearers: Mutex::default(),
        }
    }

    /// The same seeker, whose connections are kept.
    #[must_use]
    pub fn with_upkeep(self, upkeep: Option<Arc<dyn Upkeep>>) -> Self {
        Self { upkeep, ..self }
    }

    /// Is a node known that suits?
    #[must_use]
    pub fn knows(&self) -> bool {
        self.view
            .knows(|role| fit(&self.routing, role) == Fit::Right)
    }

    /// The hosts in the order in which a new connection tries them; `used`: connections in use by host.
    #[must_use]
    pub fn order(&self, used: &[usize]) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.routes.len()).collect();
        let roll = || getrandom::u32().unwrap_or_default();
        match self.routing.balance {
            Balance::Listed => {}
            // However checkouts are spread: they can be only over connections that there are.
            Balance::Random | Balance::RoundRobin | Balance::LeastInUse => {
                let heading = |host: usize| {
                    self.heading
                        .get(host)
                        .map_or(0, |count| count.load(Ordering::Relaxed))
                };
                order.sort_by_cached_key(|host| {
                    let open = used.get(*host).copied().unwrap_or(0);
                    let unsuitable = self.unsuitable.get(*host);
                    let unsuitable =
                        unsuitable.is_some_and(|unsuitable| unsuitable.load(Ordering::Relaxed));
                    (unsuitable, open + heading(*host), roll())
                });
            }
        }
        order
    }

    fn report(&self, key: &str, report: NodeReport) {
        self.reports
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key.into(), report);
    }

    /// What the search has met so far, in the order of the hosts.
    #[must_use]
    pub fn met(&self) -> Vec<NodeReport> {
        let reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        let mut met: Vec<_> = reports.values().cloned().collect();
        let place = |report: &NodeReport| {
            self.routes
                .iter()
                .position(|route| *route.label() == *report.host)
        };
        met.sort_by_key(place);
        met
    }

    fn forget_reports(&self) {
        self.reports
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// Searches until a node is found. `lead` is asked before the search goes on behind a failure: one search at a time
    /// is enough.
    ///
    /// Cancel-safe: dropping the future closes what it has opened.
    ///
    /// # Errors
    /// Why it is given up.
    pub async fn seek(
        &self,
        used: &[usize],
        once: bool,
        mut lead: impl FnMut() -> bool,
    ) -> Result<Box<Connection>, Fruitless> {
        let mut search = Search::new(self, used, once);
        loop {
            search.start_pending();
            if search.is_exhausted() {
                if let Some(second) = search.second.0.take() {
                    self.forget_reports();
                    return Ok(second);
                }
                if once {
                    return Err(Fruitless::Tried);
                }
                if let Some(error) = search.decided() {
                    return Err(Fruitless::Decided(error));
                }
            }
            let stagger = search.next_start();
            let step = tokio::select! {
                Some(step) = search.steps.next() => step,
                () = sleep_until(stagger), if stagger.is_some() => {
                    search.overdue = true;
                    continue;
                }
            };
            let failed = matches!(
                &step,
                Step::Dialled(_, _, Err(_), _) | Step::Watched(_, _, Err(_))
            );
            if let Some(found) = search.take(step) {
                self.forget_reports();
                return Ok(found);
            }
            if failed && !self.knows() && !lead() {
                return Err(Fruitless::Left);
            }
        }
    }

    /// Tries every node once, for a connection outside a pool.
    ///
    /// Cancel-safe: dropping the future closes what it has opened.
    ///
    /// # Errors
    /// The only failure there was, or what was met at each node.
    pub async fn find(&self) -> Result<Connection, Error> {
        let began = Instant::now();
        match self.seek(&[], true, || true).await {
            Ok(connection) => Ok(*connection),
            Err(Fruitless::Decided(error)) => Err(error),
            Err(Fruitless::Tried | Fruitless::Left) => {
                let nodes = self.met();
                match nodes.as_slice() {
                    [
                        NodeReport {
                            error: Some(error), ..
                        },
                    ] => Err(error.clone()),
                    nodes
                        if self.routes.len() == 1
                            && let Some(error) = most_telling(nodes) =>
                    {
                        Err(error)
                    }
                    _ => Err(Error::Acquire {
                        waited: began.elapsed(),
                        counts: Counts::default(),
                        last: nodes
                            .iter()
                            .rev()
                            .find_map(|node| node.error.clone())
                            .map(Box::new),
                        search: Some(Box::new(Lack {
                            what: self.routing.mode.lack(),
                            nodes,
                        })),
                    }),
                }
            }
        }
    }

    /// One attempt: dial, and judge what answers, all within what is left of its limit behind the lookup (CP-20).
    pub(super) async fn attempt(&self, host: usize, address: Address, spent: Duration) -> Step {
        let began = Instant::now();
        self.attempts.fetch_add(1, Ordering::Relaxed);
        let result = match self.routes.get(host) {
            Some(route) => dial::within(route, spent, self.dial(route, host, &address)).await,
            None => Err(Error::internal("a host that is not in the list")),
        };
        if result.is_err() {
            self.failures.fetch_add(1, Ordering::Relaxed);
        }
        let took = began.elapsed();
        self.tell(&Event::Attempt {
            host: &self.label(host),
            address: &address.to_string(),
            took,
            error: result.as_ref().err(),
        });
        Step::Dialled(host, address, result, took)
    }

    async fn dial(
        &self,
        route: &Route,
        host: usize,
        address: &Address,
    ) -> Result<(Box<Connection>, Verdict), Error> {
        let connection = self.open(route, address.clone(), host).await?;
        let mut guest = Guest(Some(Box::new(connection)));
        let verdict = self.judge(&mut guest, &route.name_of(address)).await?;
        match guest.0.take() {
            Some(connection) => Ok((connection, verdict)),
            None => Err(Error::internal("a connection was lost in the house")),
        }
    }

    /// Opens a connection, under the name its keeper gives it if one is to be hired.
    async fn open(
        &self,
        route: &Route,
        address: Address,
        host: usize,
    ) -> Result<Connection, Error> {
        let shapes = Arc::clone(&self.shapes);
        let Some(upkeep) = &self.upkeep else {
            return dial::dial(route, address, host, self.manner, shapes).await;
        };
        let (name, keeper) = upkeep.hire(route.label())?;
        let named = route.under(name);
        let connection = dial::dial(&named, address, host, self.manner, shapes).await?;
        connection.kept_by(keeper);
        Ok(connection)
    }

    /// Looks at a node that does not suit, until it does.
    pub(super) async fn watch(
        &self,
        host: usize,
        address: Address,
        connection: Box<Connection>,
    ) -> Step {
        let mut guest = Guest(Some(connection));
        let result = self.look(host, &address, &mut guest).await;
        let result = match (result, guest.0.take()) {
            (Ok(()), Some(connection)) => Ok(connection),
            (Err(error), left) => {
                guest.0 = left;
                Err(error)
            }
            (Ok(()), None) => Err(Error::internal("a connection was lost in the house")),
        };
        Step::Watched(host, address, result)
    }

    async fn look(&self, host: usize, address: &Address, guest: &mut Guest) -> Result<(), Error> {
        let key = self
            .routes
            .get(host)
            .map(|route| route.name_of(address))
            .unwrap_or_default();
        loop {
            tokio::time::sleep(WATCH).await;
            let Some(connection) = &mut guest.0 else {
                return Err(Error::internal("no connection to look at"));
            };
            let began = Instant::now();
            let mut role = connection.look(PATIENCE).await?;
            if !connection.reports() {
                role = self.ask_role(connection).await?;
                connection.shown(role);
            }
            if role != Role::Unknown && !matches!(fit(&self.routing, role), Fit::Right) {
                self.note(host, &key, role, self.suits(&key, role), began.elapsed());
                continue;
            }
            let verdict = self.judge(guest, &key).await?;
            self.note(host, &key, verdict.role, verdict.fit, began.elapsed());
            if verdict.fit == Fit::Right {
                return Ok(());
            }
        }
    }

    /// Tells who hears of the pool.
    pub(super) fn tell(&self, event: &Event<'_>) {
        let mut hearers = self.hearers();
        // Those whose thread is gone.
        hearers.retain(|hearer| !hearer.outlet.is_closed());
        for hearer in &*hearers {
            hearer.tell(event);
        }
    }

    pub(super) fn hearers(&self) -> MutexGuard<'_, Vec<Subscriber>> {
        self.hearers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers what a node is, and why it does not suit.
    pub(super) fn note(&self, host: usize, key: &str, role: Role, fit: Fit, took: Duration) {
        self.view.note(key, role);
        self.view.falls_silent(key, false);
        self.heard(host, key, role, took);
        if let Some(unsuitable) = self.unsuitable.get(host) {
            unsuitable.store(fit != Fit::Right, Ordering::Relaxed);
        }
        let reason = match fit {
            Fit::Wrong(reason) => Some(reason),
            Fit::Right | Fit::Second => None,
        };
        if reason == Some(LEFT_BEHIND) {
            self.table.misfits(key, &left_behind());
        }
        self.report(
            key,
            NodeReport {
                host: self.label(host),
                role: Some(role.as_str()),
                reason,
                error: None,
                took,
            },
        );
    }

    /// A node says what it is: whoever listens hears what is new.
    pub(super) fn heard(&self, host: usize, key: &str, role: Role, took: Duration) {
        if let Some(former) = self.table.heard(host, key, role, took) {
            self.tell_change(host, key, former, role.as_str());
        }
        // One that was left behind leads nobody, whatever it says.
        if role == Role::Primary
            && !self.view.is_left_behind(key)
            && let Some((from, took)) = self.table.leads(key)
        {
            self.tell(&Event::Failover {
                from: &from,
                to: key,
                took,
                timeline: self.view.identity(key).map(|known| known.timeline),
            });
        }
    }

    /// A node does not answer, or a connection to it was lost.
    pub(super) fn went(&self, host: usize, key: &str, error: &Error, took: Duration) {
        if let Some(former) = self.table.failed(host, key, error, took) {
            self.tell_change(host, key, former, UNREACHABLE);
        }
    }

    fn tell_change(&self, host: usize, address: &str, from: Former, to: &str) {
        self.tell(&Event::HostChange {
            host: &self.label(host),
            address,
            from,
            to,
        });
    }

    pub(super) fn label(&self, host: usize) -> Box<str> {
        self.routes
            .get(host)
            .map_or_else(Box::default, |route| route.label().into())
    }

    pub(super) fn failed(&self, host: usize, key: &str, error: Error, took: Duration) {
        self.view.lost(key);
        self.went(host, key, &error, took);
        self.report(
            key,
            NodeReport {
                host: self.label(host),
                role: None,
                reason: None,
                error: Some(error),
                took,
            },
        );
    }
}

/// Would every further attempt be refused the same way?
#[must_use]
pub fn is_decisive(error: &Error) -> bool {
    match error {
        Error::Refused(server) => sqlstate::rejects_login(&server.code),
        Error::Config { .. } | Error::Encode { .. } => true,
        Error::Connect { code, .. } => is_final(code),
        _ => false,
    }
}

/// Where all addresses of one name have failed: what a server has said, else what the system says, else a time limit.
fn most_telling(addresses: &[NodeReport]) -> Option<Error> {
    let errors: Option<Vec<_>> = addresses.iter().map(|node| node.error.as_ref()).collect();
    let told = errors?.into_iter().min_by_key(|error| match error {
        Error::Server(_) | Error::Refused(_) => 0,
        Error::Timeout { .. } => 2,
        _ => 1,
    });
    told.cloned()
}
