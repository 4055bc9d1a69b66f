//! One search for a node: who is tried when, and what follows from each answer.
//!
//! ```text
//! look up ─▶ pending ─▶ dial ─▶ right? ───────────────────────────▶ found
//!    ▲      (stagger)    │        └ not now ─▶ watch: one Sync every 20 ms ─▶ right? ─▶ found
//!    └──── pause ◀───────┴ failed                                     └ lost ─▶ pause
//! ```

use std::collections::{HashMap, HashSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::stream::FuturesUnordered;

use crate::config::Balance;
use crate::conn::Connection;
use crate::conn::dial::{self, Address};
use crate::conn::role::Role;
use crate::error::Error;
use crate::pool::host::{Fit, fit};
use crate::pool::judge::Verdict;
use crate::pool::router::{Guest, Seeker, is_decisive};

/// The first pause after a failed attempt; it doubles up to the longest, ±25 % (CP-23).
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// How long a host whose name is still being looked up may hold back the others.
const LOOKUP_HEAD_START: Duration = Duration::from_millis(50);

/// What a step of the search was.
pub(super) enum Step {
    Resolved(usize, Result<Vec<Address>, Error>, Duration),
    Dialled(
        usize,
        Address,
        Result<(Box<Connection>, Verdict), Error>,
        Duration,
    ),
    Watched(usize, Address, Result<Box<Connection>, Error>),
    Again(usize),
}

type Steps<'a> = FuturesUnordered<Pin<Box<dyn Future<Output = Step> + Send + 'a>>>;

pub(super) async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// The pause behind so many failures in a row, ±25 %.
fn pause(failures: u32) -> Duration {
    let base =
        (FIRST_PAUSE * 2_u32.saturating_pow(failures.saturating_sub(1).min(8))).min(LONGEST_PAUSE);
    let roll = getrandom::u32().unwrap_or_default() % 501;
    base * (750 + roll) / 1000
}

impl Seeker {
    /// A lookup has shown where a host's name leads.
    pub(super) fn led_to(&self, host: usize, addresses: &[Address]) {
        let Some(route) = self.routes.get(host) else {
            return;
        };
        self.several
            .fetch_or(addresses.len() > 1, Ordering::Relaxed);
        let keys: Vec<_> = (addresses.iter())
            .map(|address| route.name_of(address))
            .collect();
        let forgotten = self.table.led_to(host, &keys, Instant::now());
        if !forgotten.is_empty() {
            self.view.forget(&forgotten);
            let mut reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
            reports.retain(|key, _| !forgotten.contains(key));
        }
    }
}

/// One search.
pub(super) struct Search<'a> {
    seeker: &'a Seeker,
    pub(super) steps: Steps<'a>,
    order: Vec<usize>,
    /// Addresses that wait for their turn, most promising first.
    pending: VecDeque<(usize, Address)>,
    /// Addresses that are being tried, watched, or wait for their turn.
    busy: HashSet<(usize, Address)>,
    /// What the last lookup of a host has taken of the limit of the attempts behind it.
    spent: HashMap<usize, Duration>,
    /// Attempts that have not ended.
    dialling: usize,
    lookups: usize,
    watched: usize,
    began: Instant,
    last_start: Instant,
    /// The stagger has passed: the next one may start.
    pub(super) overdue: bool,
    /// An attempt has ended without a node: the next one need not wait for the stagger.
    may_start: bool,
    once: bool,
    failures: HashMap<usize, u32>,
    /// Hosts that are looked up again, after a pause or at this moment.
    returning: HashSet<usize>,
    refusal: Option<Error>,
    /// A node that will do when nothing better is found.
    pub(super) second: Guest,
    /// Counts this search among those that head for its first host.
    _heading: Option<Heading<'a>>,
}

/// One search in the count of its first host.
struct Heading<'a>(&'a AtomicUsize);

impl<'a> Heading<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Heading<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<'a> Search<'a> {
    pub(super) fn new(seeker: &'a Seeker, used: &[usize], once: bool) -> Self {
        let now = Instant::now();
        let order = seeker.order(used);
        let mut search = Self {
            seeker,
            steps: FuturesUnordered::new(),
            _heading: order
                .first()
                .and_then(|host| seeker.heading.get(*host))
                .map(Heading::new),
            order,
            pending: VecDeque::new(),
            busy: HashSet::new(),
            spent: HashMap::new(),
            dialling: 0,
            lookups: 0,
            watched: 0,
            began: now,
            last_start: now,
            overdue: false,
            may_start: false,
            once,
            failures: HashMap::new(),
            returning: HashSet::new(),
            refusal: None,
            second: Guest(None),
        };
        for host in search.order.clone() {
            search.look_up(host);
        }
        search
    }

    fn look_up(&mut self, host: usize) {
        let seeker = self.seeker;
        let Some(route) = seeker.routes.get(host) else {
            return;
        };
        self.lookups += 1;
        self.steps.push(Box::pin(async move {
            let began = Instant::now();
            let addresses = dial::addresses(route).await;
            Step::Resolved(host, addresses, began.elapsed())
        }));
    }

    /// Promising first: what is known to suit, then what has suited, then the order of the list; last what answered nobody.
    fn rank(&self, host: usize, address: &Address) -> (u8, usize) {
        let seeker = self.seeker;
        let place = self.order.iter().position(|known| *known == host);
        let key = seeker.routes.get(host).map(|route| route.name_of(address));
        let key = key.unwrap_or_default();
        let suits = |role| fit(&seeker.routing, role) == Fit::Right && role != Role::Unknown;
        // Where connections are to be spread, what is known must not attract them all.
        if seeker.routing.balance != Balance::Listed {
            let role = seeker.view.role(&key);
            let wrong = role != Role::Unknown && !suits(role)
                || seeker.view.is_silent(&key)
                || seeker.view.is_left_behind(&key);
            return (u8::from(wrong), place.unwrap_or(usize::MAX));
        }
        let class = if seeker.view.is_silent(&key) {
            4
        } else if seeker.view.is_left_behind(&key) {
            3
        } else if suits(seeker.view.role(&key)) {
            0
        } else if suits(seeker.view.last_role(&key)) {
            1
        } else if seeker.view.role(&key) == Role::Unknown {
            2
        } else {
            3
        };
        (class, place.unwrap_or(usize::MAX))
    }

    fn add(&mut self, host: usize, addresses: Vec<Address>) {
        for address in addresses {
            if self.busy.insert((host, address.clone())) {
                self.pending.push_back((host, address));
            }
        }
        let mut sorted: Vec<_> = self.pending.drain(..).collect();
        sorted.sort_by_cached_key(|(host, address)| self.rank(*host, address));
        self.pending = sorted.into();
    }

    /// Starts what may start now: one at a time, the next when the one before has failed or the stagger has passed.
    pub(super) fn start_pending(&mut self) {
        let delay = self.seeker.routing.race_delay;
        while let Some((host, address)) = self.pending.front() {
            let known = self.rank(*host, address).0 == 0;
            if self.lookups > 0 && !known && self.began.elapsed() < LOOKUP_HEAD_START {
                return;
            }
            if self.dialling > 0 && !self.overdue && !self.may_start && !delay.is_zero() {
                return;
            }
            let Some((host, address)) = self.pending.pop_front() else {
                return;
            };
            (self.overdue, self.may_start) = (false, false);
            self.dialling += 1;
            self.last_start = Instant::now();
            let spent = self.spent(host);
            self.steps
                .push(Box::pin(self.seeker.attempt(host, address, spent)));
        }
    }

    /// How much of its limit an attempt has used before it begins: whoever asks for one connection to one name waits for
    /// all its addresses as long as for one.
    fn spent(&self, host: usize) -> Duration {
        if self.once && self.order.len() == 1 {
            return self.began.elapsed();
        }
        self.spent.get(&host).copied().unwrap_or_default()
    }

    /// When `start_pending` has something to do although nothing has happened.
    pub(super) fn next_start(&self) -> Option<Instant> {
        if self.pending.is_empty() && self.second.0.is_none() {
            return None;
        }
        if self.overdue && self.pending.is_empty() {
            return None;
        }
        let stagger = self.last_start + self.seeker.routing.race_delay;
        let head_start = self.began + LOOKUP_HEAD_START;
        Some(if self.dialling > 0 {
            stagger
        } else {
            head_start
        })
    }

    /// Was everything tried that there is to try? A second best need not wait for attempts that are overdue.
    pub(super) fn is_exhausted(&self) -> bool {
        let overdue = self.second.0.is_some() && self.overdue;
        self.pending.is_empty() && self.lookups == 0 && (self.dialling == 0 || overdue)
    }

    /// Will it do rather than the one that was found before? A primary that the cluster has not left comes before all others.
    fn is_better(&self, connection: &Connection) -> bool {
        let leads = |one: &Connection| {
            one.role() == Role::Primary && !self.seeker.view.is_left_behind(&one.name)
        };
        let second = self.second.0.as_ref();
        second.is_none_or(|second| leads(connection) && !leads(second))
    }

    /// A refusal ends the search only when no node has let us in (CP-27).
    pub(super) fn decided(&self) -> Option<Error> {
        if self.watched > 0 {
            return None;
        }
        self.refusal.clone()
    }

    /// One lookup brings back all addresses of a host that have failed: one for each of them would multiply with every round.
    fn again(&mut self, host: usize) {
        if self.once || !self.returning.insert(host) {
            return;
        }
        let failures = self.failures.entry(host).or_default();
        *failures = failures.saturating_add(1);
        let pause = pause(*failures);
        self.steps.push(Box::pin(async move {
            tokio::time::sleep(pause).await;
            Step::Again(host)
        }));
    }

    /// Takes a step; `Some`: the node that was looked for.
    pub(super) fn take(&mut self, step: Step) -> Option<Box<Connection>> {
        let seeker = self.seeker;
        match step {
            Step::Again(host) => self.look_up(host),
            Step::Resolved(host, result, took) => {
                self.lookups = self.lookups.saturating_sub(1);
                self.returning.remove(&host);
                match result {
                    Ok(addresses) => {
                        self.spent.insert(host, took);
                        seeker.led_to(host, &addresses);
                        self.add(host, addresses);
                    }
                    Err(error) => {
                        let label = seeker.label(host);
                        seeker.failed(host, &label, error, took);
                        self.again(host);
                    }
                }
            }
            Step::Dialled(host, address, result, took) => {
                self.dialling = self.dialling.saturating_sub(1);
                self.may_start = true;
                let key = seeker.routes.get(host).map(|route| route.name_of(&address));
                let key = key.unwrap_or_default();
                match result {
                    Ok((connection, verdict)) => {
                        self.failures.remove(&host);
                        seeker.note(host, &key, verdict.role, verdict.fit, took);
                        match verdict.fit {
                            Fit::Right => return Some(connection),
                            Fit::Second if self.is_better(&connection) => {
                                self.second = Guest(Some(connection));
                            }
                            Fit::Second => connection.dismiss(),
                            Fit::Wrong(_) if self.once => connection.dismiss(),
                            Fit::Wrong(_) => {
                                self.watched += 1;
                                let watch = seeker.watch(host, address, connection);
                                self.steps.push(Box::pin(watch));
                            }
                        }
                    }
                    Err(error) => {
                        self.busy.remove(&(host, address));
                        if is_decisive(&error) {
                            self.refusal = Some(error.clone());
                        }
                        seeker.failed(host, &key, error, took);
                        self.again(host);
                    }
                }
            }
            Step::Watched(host, address, result) => {
                self.watched = self.watched.saturating_sub(1);
                match result {
                    Ok(connection) => return Some(connection),
                    Err(error) => {
                        let key = seeker.routes.get(host).map(|route| route.name_of(&address));
                        self.busy.remove(&(host, address));
                        seeker.failed(host, &key.unwrap_or_default(), error, Duration::ZERO);
                        self.again(host);
                    }
                }
            }
        }
        None
    }
}
