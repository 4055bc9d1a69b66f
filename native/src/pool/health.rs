//! The health of a pool's server, asked beside the callers: on a connection of its own, beyond the pool's maximum, and
//! whatever the event loop is doing.
//!
//! There is one such connection per pool at most, opened for the first probe and closed when no probe has come for a while.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::task::AbortHandle;

use crate::config::Mode;
use crate::conn::Connection;
use crate::conn::request::{Event, Subscriber};
use crate::error::{Error, Outcome, Phase};
use crate::pool::Pool;
use crate::pool::host::{Fit, fit};
use crate::pool::router::Guest;

/// The control connection is closed when it was not used for so long.
const KEEP: Duration = Duration::from_secs(60);
/// How often a probe looks at the clock.
const TICK: Duration = Duration::from_millis(100);
/// A look that comes so late means that the whole process was suspended.
const GAP: Duration = Duration::from_millis(500);

/// What a probe has found.
#[derive(Clone, Debug)]
pub struct Probe {
    /// How long it took to have the control connection; next to nothing when it was open.
    pub waited: Duration,
    /// From sending the question to its answer.
    pub round_trip: Duration,
    /// `server_version`.
    pub version: Option<Box<str>>,
    /// `host:port` of the node.
    pub host: Box<str>,
}

/// A probe that is over.
#[derive(Clone, Debug)]
pub struct Report {
    /// What came of it.
    pub result: Result<Probe, Error>,
    /// When it was over.
    pub finished: Instant,
}

/// The control connection, while it is not being used.
struct Control {
    connection: Box<Connection>,
    used: Instant,
}

/// What the probes of a pool share.
#[derive(Default)]
pub(super) struct Health {
    control: tokio::sync::Mutex<Option<Control>>,
    closer: AtomicBool,
    monitors: Mutex<HashMap<u32, Arc<Monitor>>>,
    last: AtomicU32,
}

/// Probes at regular times.
struct Monitor {
    /// The newest report, until it is taken.
    latest: Mutex<Option<Report>>,
    /// The taker knows that there is one.
    told: AtomicBool,
    skipped: AtomicU64,
    task: Mutex<Option<AbortHandle>>,
    /// Who takes the reports.
    taker: Subscriber,
}

impl Monitor {
    fn stop(&self) {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = task.take() {
            task.abort();
        }
    }
}

impl Health {
    fn monitors(&self) -> std::sync::MutexGuard<'_, HashMap<u32, Arc<Monitor>>> {
        self.monitors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The pool has ended.
    pub(super) async fn end(&self) {
        for (_, monitor) in self.monitors().drain() {
            monitor.stop();
        }
        if let Some(control) = self.control.lock().await.take() {
            control.connection.dismiss();
        }
    }
}

impl Pool {
    /// Asks the server for a sign of life. A probe during which the process was suspended is repeated once.
    ///
    /// Cancel-safe: dropping the future closes the control connection.
    pub async fn probe(&self, patience: Duration) -> Report {
        let (mut result, suspended) = self.probe_once(patience).await;
        if suspended {
            (result, _) = self.probe_once(patience).await;
        }
        Report {
            result,
            finished: Instant::now(),
        }
    }

    async fn probe_once(&self, patience: Duration) -> (Result<Probe, Error>, bool) {
        let work = self.ask_server(patience);
        let late = tokio::time::sleep(patience);
        tokio::pin!(work, late);
        let mut seen = Instant::now();
        let mut suspended = false;
        let result = loop {
            tokio::select! {
                biased;
                result = &mut work => break result,
                () = &mut late => break Err(Error::Timeout {
                    phase: Phase::Statement,
                    after: patience,
                    outcome: Outcome::NotSent,
                }),
                () = self.until_ended() => break Err(Error::Closed { what: "pool" }),
                () = tokio::time::sleep(TICK) => {
                    suspended |= seen.elapsed() > GAP;
                    seen = Instant::now();
                }
            }
        };
        (result, suspended || seen.elapsed() > GAP)
    }

    async fn ask_server(&self, patience: Duration) -> Result<Probe, Error> {
        let began = Instant::now();
        let mut control = self.health.control.lock().await;
        if let Some(kept) = control.take()
            && let Ok((probe, connection)) = self.ask(kept.connection, began, patience).await
        {
            *control = Some(connection);
            return Ok(probe);
        }
        // There was none, it has died while idle, or its server is no longer what the pool looks for.
        let found = Box::new(self.seeker.find().await?);
        let (probe, connection) = self.ask(found, began, patience).await?;
        *control = Some(connection);
        drop(control);
        self.close_when_idle();
        Ok(probe)
    }

    async fn ask(
        &self,
        connection: Box<Connection>,
        began: Instant,
        patience: Duration,
    ) -> Result<(Probe, Control), Error> {
        let waited = began.elapsed();
        let mut guest = Guest(Some(connection));
        let Some(connection) = &mut guest.0 else {
            return Err(Error::internal("no connection to ask"));
        };
        let sent = Instant::now();
        connection.ask("SELECT 1", &self.profile, patience).await?;
        let round_trip = sent.elapsed();
        let mut role = connection.role();
        if self.seeker.routing.mode != Mode::Any && !connection.reports() {
            role = self.seeker.ask_role(connection).await?;
            connection.shown(role);
        }
        if let Fit::Wrong(why) = fit(&self.seeker.routing, role) {
            return Err(Error::Io {
                code: "ECONNABORTED",
                problem: format!("{} {why}", connection.name).into(),
            });
        }
        let version = connection
            .parameters
            .iter()
            .find(|(name, _)| name == "server_version")
            .map(|(_, version)| version.as_str().into());
        let probe = Probe {
            waited,
            round_trip,
            version,
            host: connection.host.clone(),
        };
        match guest.0.take() {
            Some(connection) => Ok((
                probe,
                Control {
                    connection,
                    used: Instant::now(),
                },
            )),
            None => Err(Error::internal("a connection was lost in the house")),
        }
    }

    fn close_when_idle(&self) {
        if self.health.closer.swap(true, Ordering::AcqRel) {
            return;
        }
        let pool = Weak::clone(&self.own);
        self.runtime.spawn(async move {
            let mut pause = KEEP;
            loop {
                tokio::time::sleep(pause).await;
                let Some(pool) = pool.upgrade() else {
                    return;
                };
                let mut control = pool.health.control.lock().await;
                match control.take() {
                    Some(kept) if kept.used.elapsed() < KEEP => {
                        pause = KEEP.saturating_sub(kept.used.elapsed());
                        *control = Some(kept);
                    }
                    kept => {
                        if let Some(kept) = kept {
                            kept.connection.dismiss();
                        }
                        pool.health.closer.store(false, Ordering::Release);
                        return;
                    }
                }
            }
        });
    }

    /// Probes from now on, at once and then `every` so often, never two at a time; tells that there is a report.
    pub fn monitor(&self, every: Duration, patience: Duration, subscriber: Subscriber) -> u32 {
        let id = self.health.last.fetch_add(1, Ordering::Relaxed) + 1;
        let monitor = Arc::new(Monitor {
            latest: Mutex::default(),
            told: AtomicBool::new(false),
            skipped: AtomicU64::new(0),
            task: Mutex::default(),
            taker: subscriber.clone(),
        });
        let pool = Weak::clone(&self.own);
        let running = Arc::clone(&monitor);
        let task = self.runtime.spawn(async move {
            let mut next = Instant::now();
            while let Some(pool) = pool.upgrade() {
                let report = pool.probe(patience).await;
                drop(pool);
                *running
                    .latest
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner) = Some(report);
                if !running.told.swap(true, Ordering::AcqRel) {
                    subscriber.tell(&Event::Probed(id));
                }
                let (at, skipped) = following(next, every, Instant::now());
                running.skipped.fetch_add(skipped, Ordering::Relaxed);
                next = at;
                tokio::time::sleep_until(next.into()).await;
            }
        });
        *monitor.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task.abort_handle());
        self.health.monitors().insert(id, monitor);
        id
    }

    /// Stops probing.
    pub fn unmonitor(&self, id: u32) {
        if let Some(monitor) = self.health.monitors().remove(&id) {
            monitor.stop();
        }
    }

    /// Stops probing for those who take no more reports: a pool goes on without the threads that have joined it.
    pub(super) fn unmonitor_all(&self, is_gone: impl Fn(&Subscriber) -> bool) {
        self.health.monitors().retain(|_, monitor| {
            let is_gone = is_gone(&monitor.taker);
            if is_gone {
                monitor.stop();
            }
            !is_gone
        });
    }

    /// The newest report that was not taken yet, and how many probes were left out so far.
    pub fn probed(&self, id: u32) -> Option<(Report, u64)> {
        let monitor = self.health.monitors().get(&id).map(Arc::clone)?;
        monitor.told.store(false, Ordering::Release);
        let latest = monitor
            .latest
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()?;
        Some((latest, monitor.skipped.load(Ordering::Relaxed)))
    }
}

/// The next time behind `now`, and how many were missed.
fn following(last: Instant, every: Duration, now: Instant) -> (Instant, u64) {
    let late = now.saturating_duration_since(last).as_nanos();
    let missed = u64::try_from(late / every.as_nanos().max(1)).unwrap_or(u64::MAX);
    let steps = u32::try_from(missed).unwrap_or(u32::MAX);
    (last + every.saturating_mul(steps.saturating_add(1)), missed)
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use serde_json::json;
    use tokio::sync::oneshot;

    use super::*;
    use crate::conn::account::Account;
    use crate::conn::request::{Completion, Outlet};
    use crate::conn::tests::server::{Server, beside};
    use crate::pool::tests::pool;

    struct Thread;

    impl Outlet for Thread {
        fn deliver(&self, _completion: Completion<'_>) {}
        fn event(&self, _: u32, _: u32, _: &Event<'_>, _: Option<&Arc<Account>>) {}
        fn is_closed(&self) -> bool {
            false
        }
        fn ping(&self) -> oneshot::Receiver<()> {
            oneshot::channel().1
        }
    }

    #[test]
    fn who_leaves_a_shared_pool_leaves_no_probes_behind() {
        beside(async |server: Rc<Server>| {
            let pool = pool(&server, &json!({}));
            let threads: [Arc<dyn Outlet>; 2] = [Arc::new(Thread), Arc::new(Thread)];
            let monitor = |thread: usize, slot| {
                let taker = Subscriber {
                    outlet: Arc::clone(&threads[thread]),
                    slot,
                    generation: 0,
                };
                pool.monitor(Duration::from_secs(3600), Duration::from_secs(5), taker)
            };
            let [owner, released, gone] = [monitor(0, 1), monitor(0, 2), monitor(1, 3)];
            let is_on = |id| pool.health.monitors().contains_key(&id);
            pool.unsubscribe(2, 0);
            assert!(is_on(owner) && !is_on(released) && is_on(gone));
            pool.forsake(&threads[1]);
            assert!(is_on(owner) && !is_on(gone));
            pool.end(Duration::from_secs(5)).await;
            assert!(!is_on(owner));
        });
    }

    #[test]
    fn probes_keep_their_times_and_count_what_is_left_out() {
        let start = Instant::now();
        let every = Duration::from_millis(100);
        let after = |ms| following(start, every, start + Duration::from_millis(ms));
        assert_eq!(after(20), (start + every, 0));
        assert_eq!(after(100), (start + every * 2, 1));
        assert_eq!(after(350), (start + every * 4, 3));
        assert_eq!(
            following(start + every, every, start),
            (start + every * 2, 0)
        );
    }
}
