//! Keeps a connection's lease: looks at the server once, renews in time, and lets the reaper run, each in a moment when
//! nobody uses the connection and no transaction is open (rules A8, SC-6, SC-12, SC-14, SC-15).
//!
//! None of it needs the JS thread. A lease is renewed when it was used since the last time, or when its process is busy:
//! an unused connection is disposable by design, one whose program computes for a minute is not.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::config::{LeaseConfig, Pooler, ReaperConfig};
use crate::conn::Connection;
use crate::conn::keeper::{Keeper, Upkeep};
use crate::conn::request::{LocalResult, Reply, Request, Work};
use crate::conn::statement::NumberedProfile;
use crate::error::Error;
use crate::lease::clock::{Clock, whole};
use crate::lease::cooldown::{Cooldown, happens};
use crate::lease::quiet::Quiet;
use crate::lease::turn::{Turn, set_name, simple};
use crate::lease::{LeaseSecret, LeaseSigner, random_instance_id, reaper};

/// A clock that is wrong by more makes a lease be renewed at once.
const TOLERATED_OFFSET: u64 = 1000;

/// A JS thread that does not react for so long is busy.
const REACTION: Duration = Duration::from_millis(100);

/// The same server process, and its clock?
const LOOK: &str = "select pg_catalog.pg_backend_pid(), \
    (pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()) operator(pg_catalog.*) 1000)::pg_catalog.int8";

/// What the engine's own request will be answered with.
pub(super) type Answer = oneshot::Receiver<Result<LocalResult, Error>>;

/// How the connections of one client or pool are leased.
pub struct Leasing {
    pub(super) config: LeaseConfig,
    secret: LeaseSecret,
    signer: LeaseSigner,
    database: Box<str>,
    profile: Arc<NumberedProfile>,
    runtime: Handle,
    own: Weak<Self>,
}

impl Leasing {
    /// Leases for connections to one database, on whatever hosts.
    ///
    /// # Errors
    /// [`Error::Lease`]: the secret is too short, or the operating system has no random bytes.
    pub fn new(
        config: LeaseConfig,
        database: &str,
        profile: Arc<NumberedProfile>,
        runtime: Handle,
    ) -> Result<Arc<Self>, Error> {
        let secret = LeaseSecret::new(config.secret.clone())?;
        let instance = match &config.instance {
            Some(instance) => instance.to_string(),
            None => random_instance_id()?,
        };
        let signer = LeaseSigner::new(&config.service, &instance, secret.clone());
        Ok(Arc::new_cyclic(|own| Self {
            database: database.into(),
            config,
            secret,
            signer,
            profile,
            runtime,
            own: Weak::clone(own),
        }))
    }

    /// Whose connections the reaper looks for.
    pub(super) fn service(&self) -> reaper::Service<'_> {
        reaper::Service {
            token: self.signer.service(),
            secret: &self.secret,
        }
    }

    /// A request of the engine, and its answer.
    pub(super) fn ask(&self, work: Work, timeout: Option<Duration>) -> (Request, Answer) {
        let (reply, answer) = Reply::local();
        let mut request = Request::new(work, reply, Arc::clone(&self.profile));
        request.timeout = timeout;
        (request, answer)
    }

    /// The backend that a direct connection has, where it is to be compared.
    fn direct(&self, connection: &Connection) -> Option<i32> {
        (self.config.pooler == Pooler::Auto).then_some(connection.pid)
    }

    fn expiry(&self, clock: &Clock) -> u64 {
        clock.now().saturating_add(whole(self.config.ttl))
    }
}

impl Upkeep for Leasing {
    fn hire(&self, target: &str) -> Result<(Box<str>, Arc<dyn Keeper>), Error> {
        let leasing = self.own.upgrade().ok_or(Error::Closed { what: "client" })?;
        let leased = self.config.pooler != Pooler::On;
        let clock = Clock::of(target);
        let place = format!("{target}\0{}\0{}", self.database, self.signer.service());
        let expiry = self.expiry(&clock);
        let name = if leased {
            self.signer.sign(expiry)?.into()
        } else {
            self.config.plain_name.clone()
        };
        let state = State {
            expiry,
            blind: !clock.is_known(),
        };
        let hired = (name.clone(), state);
        let keeper = Arc::new_cyclic(|own| Tenant {
            leasing,
            clock,
            cooldown: Cooldown::of(&place),
            leased: AtomicBool::new(leased),
            used: AtomicBool::new(true),
            may_renew: AtomicBool::new(true),
            may_reap: AtomicBool::new(false),
            quiet: Quiet::default(),
            state: Mutex::new(state),
            hired,
            working: AtomicBool::new(false),
            looked: AtomicBool::new(false),
            own: Weak::clone(own),
        });
        Ok((name, keeper))
    }
}

/// What is known about one lease.
#[derive(Clone, Copy, Debug)]
pub(super) struct State {
    /// When the lease ends, by the server's clock.
    pub(super) expiry: u64,
    /// Signed before the server's clock was known.
    pub(super) blind: bool,
}

/// What a keeper can do in a free moment.
enum Job {
    Look,
    Renew,
    Reap(ReaperConfig),
}

/// The keeper of one leased connection.
pub(super) struct Tenant {
    pub(super) leasing: Arc<Leasing>,
    /// The server's.
    pub(super) clock: Arc<Clock>,
    /// Of the passes on this database.
    pub(super) cooldown: Arc<Cooldown>,
    /// Is the connection leased? Not behind a pooler.
    pub(super) leased: AtomicBool,
    /// Did a caller use the connection since the lease was signed?
    pub(super) used: AtomicBool,
    /// Was there a reason to look at the lease since it was renewed last: a caller, or the watch? Its own end gives the keeper
    /// another free moment, which is none: with a soft limit beyond the lease's time it would renew for ever.
    may_renew: AtomicBool,
    /// The same of a pass.
    may_reap: AtomicBool,
    /// While nothing is due, a statement costs one look at a clock.
    quiet: Quiet,
    state: Mutex<State>,
    /// The name that the connection was opened under, and its lease: `RESET ALL` and `DISCARD ALL` bring it back.
    hired: (Box<str>, State),
    /// A job is under way.
    pub(super) working: AtomicBool,
    /// Was the server looked at?
    looked: AtomicBool,
    own: Weak<Self>,
}

impl Tenant {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remaining(&self) -> Duration {
        let expiry = self.state().expiry;
        Duration::from_millis(expiry.saturating_sub(self.clock.now()))
    }

    /// What is due.
    fn job(&self) -> Option<Job> {
        let (config, cooldown) = (&self.leasing.config, &self.cooldown);
        if !self.looked.load(Ordering::Acquire) {
            return Some(match &config.reaper {
                Some(reaper) if cooldown.claim(reaper.cooldown) && happens(reaper.probability) => {
                    Job::Reap(reaper.clone())
                }
                _ => Job::Look,
            });
        }
        let wrong = self.state().blind && self.clock.offset() > TOLERATED_OFFSET;
        let may_renew = self.may_renew.load(Ordering::Relaxed);
        if may_renew && (wrong || self.remaining() <= config.soft) {
            return Some(Job::Renew);
        }
        let mut nothing_for = self
            .remaining()
            .saturating_sub(config.soft.max(config.hard));
        if let Some(reaper) = &config.reaper {
            if self.may_reap.load(Ordering::Relaxed) && cooldown.claim(reaper.cooldown) {
                return Some(Job::Reap(reaper.clone()));
            }
            nothing_for = nothing_for.min(cooldown.left());
        }
        self.quiet.begin(nothing_for);
        None
    }

    /// Takes the connection for what is due.
    fn start(&self, connection: &Arc<Connection>, wanted: impl FnOnce() -> Option<Job>) -> bool {
        if !self.leased.load(Ordering::Relaxed) || self.working.swap(true, Ordering::AcqRel) {
            return false;
        }
        let started = wanted().is_some_and(|job| self.begin(job, connection));
        if !started {
            self.working.store(false, Ordering::Release);
        }
        started
    }

    /// Renews a lease that may not last for what is about to be sent.
    fn renew_before(&self, connection: &Arc<Connection>, request: &Request) {
        let remaining = self.remaining();
        let config = &self.leasing.config;
        let limit = if opens_transaction(request) {
            config.soft
        } else {
            config.hard
        };
        if remaining < limit.max(Duration::from_nanos(1)) && self.looked.load(Ordering::Acquire) {
            self.start(connection, || Some(Job::Renew));
        }
    }

    fn begin(&self, job: Job, connection: &Arc<Connection>) -> bool {
        let leasing = &self.leasing;
        let (mut expiry, mut name) = (0, String::new());
        let blind = !self.clock.is_known();
        let asked = match &job {
            Job::Look => simple(LOOK, leasing, leasing.config.timeout),
            Job::Reap(reaper) => simple(
                &reaper::scan(
                    &leasing.service(),
                    leasing.direct(connection),
                    reaper.timeout,
                ),
                leasing,
                reaper.timeout,
            ),
            Job::Renew => {
                expiry = leasing.expiry(&self.clock);
                leasing.signer.sign(expiry).and_then(|signed| {
                    name = signed;
                    set_name(&name, false, leasing)
                })
            }
        };
        let stay = asked
            .ok()
            .and_then(|(request, answer)| Some((connection.seize(request)?, answer)));
        let (Some((stay, answer)), Some(tenant)) = (stay, self.own.upgrade()) else {
            if matches!(job, Job::Reap(_)) {
                self.cooldown.give_back();
            }
            return false;
        };
        match job {
            Job::Look => {}
            Job::Renew => {
                // Whoever uses it from now on uses the new lease.
                self.used.store(false, Ordering::Relaxed);
                self.may_renew.store(false, Ordering::Relaxed);
            }
            Job::Reap(_) => self.may_reap.store(false, Ordering::Relaxed),
        }
        let turn = Turn {
            tenant,
            connection: Arc::clone(connection),
            stay,
        };
        if !self.looked.swap(true, Ordering::AcqRel) {
            let watch = watch(Weak::clone(&self.own), Arc::downgrade(connection));
            leasing.runtime.spawn(watch);
        }
        leasing.runtime.spawn(async move {
            match job {
                Job::Look => turn.look(answer).await,
                Job::Renew => turn.renew(&name, answer, expiry, blind).await,
                Job::Reap(reaper) => turn.reap(answer, &reaper).await,
            }
        });
        true
    }
}

impl Keeper for Tenant {
    fn is_due(&self) -> bool {
        self.leased.load(Ordering::Relaxed) && !self.quiet.lasts()
    }

    fn idle(&self, connection: &Arc<Connection>) -> bool {
        self.start(connection, || self.job())
    }

    fn before(&self, connection: &Arc<Connection>, request: &Request) {
        if self.is_due() {
            self.renew_before(connection, request);
        }
        for flag in [&self.used, &self.may_renew, &self.may_reap] {
            if !flag.load(Ordering::Relaxed) {
                flag.store(true, Ordering::Relaxed);
            }
        }
    }

    fn named(&self, name: &str) {
        let (first, state) = &self.hired;
        if name == &**first {
            *self.state() = *state;
            self.quiet.end();
        }
    }
}

/// Inside a transaction nothing is renewed, so it begins with a lease that lasts (SC-14).
fn opens_transaction(request: &Request) -> bool {
    let opens = |text: &str| {
        let word = text
            .trim_start()
            .split(|c: char| !c.is_ascii_alphabetic())
            .next();
        word.is_some_and(|word| {
            word.eq_ignore_ascii_case("begin") || word.eq_ignore_ascii_case("start")
        })
    };
    request.work.begins()
        || request
            .work
            .statement()
            .is_some_and(|statement| opens(&statement.text))
}

/// Has the lease renewed in time while the connection lives, whatever the JS thread is doing.
async fn watch(tenant: Weak<Tenant>, connection: Weak<Connection>) {
    /// A lease that is due and not renewed is looked at again within these times.
    const AGAIN: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));
    loop {
        let sleep = {
            let Some(tenant) = tenant.upgrade() else {
                return;
            };
            let soft = tenant.leasing.config.soft;
            match tenant.remaining().checked_sub(soft) {
                Some(left) if !left.is_zero() => left,
                _ => (soft / 4).clamp(AGAIN.0, AGAIN.1),
            }
        };
        tokio::time::sleep(sleep).await;
        let (Some(tenant), Some(connection)) = (tenant.upgrade(), connection.upgrade()) else {
            return;
        };
        if connection.is_closed() || !tenant.leased.load(Ordering::Relaxed) {
            return;
        }
        if tenant.remaining() > tenant.leasing.config.soft {
            continue;
        }
        let wanted = tenant.leasing.config.always || tenant.used.load(Ordering::Relaxed);
        if wanted || is_busy(&connection).await {
            for flag in [&tenant.may_renew, &tenant.may_reap] {
                flag.store(true, Ordering::Relaxed);
            }
            connection.attend();
        }
    }
}

/// Is the JS thread that uses the connection too busy to react?
async fn is_busy(connection: &Connection) -> bool {
    let Some(environment) = connection.environment() else {
        return false;
    };
    let reaction = environment.ping();
    drop(environment);
    tokio::time::timeout(REACTION, reaction).await.is_err()
}
