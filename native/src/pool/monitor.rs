//! Probes of a pool at regular times, and in between when one is asked for: never two of a monitor at a time.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::conn::request::{Event, Subscriber};
use crate::pool::Pool;
use crate::pool::health::Report;

/// What the taker of a monitor's reports hears.
#[derive(Clone, Debug)]
pub struct Heard {
    /// The newest report.
    pub report: Report,
    /// Which probe of the monitor it is of, from 1 on.
    pub number: u32,
    /// That probe, or one whose report was overtaken by it, came at its time and not because it was asked for.
    pub is_regular: bool,
    /// Times that were left out so far, because a probe was under way.
    pub skipped: u64,
}

/// How far a monitor is.
#[derive(Default)]
struct Progress {
    /// Probes that were begun.
    begun: u32,
    /// Probes that are over.
    ended: u32,
    skipped: u64,
    /// The next one does not wait for its time.
    is_asked_for: bool,
    /// What is under way is the last.
    is_last: bool,
    /// The newest report, until it is taken.
    untaken: Option<Heard>,
}

struct Monitor {
    progress: Mutex<Progress>,
    wake: Notify,
    task: Mutex<Option<AbortHandle>>,
    /// Who takes the reports.
    taker: Subscriber,
}

impl Monitor {
    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stop(&self) {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = task.take() {
            task.abort();
        }
    }

    /// Whether a probe was asked for before `next`, or is not to come.
    async fn is_asked_before(&self, next: Instant) -> bool {
        loop {
            let Progress {
                is_asked_for,
                is_last,
                ..
            } = *self.progress();
            if is_asked_for || is_last {
                return true;
            }
            tokio::select! {
                () = tokio::time::sleep_until(next.into()) => return false,
                () = self.wake.notified() => {}
            }
        }
    }

    /// Whether there is to be another one.
    fn begin(&self) -> bool {
        let mut progress = self.progress();
        if progress.is_last {
            return false;
        }
        progress.begun += 1;
        progress.is_asked_for = false;
        true
    }

    /// Whether the taker does not know yet that there is a report.
    fn end(&self, report: Report, is_regular: bool, skipped: u64) -> bool {
        let mut progress = self.progress();
        progress.ended = progress.begun;
        progress.skipped += skipped;
        let overtaken = progress.untaken.take();
        let is_news = overtaken.is_none();
        progress.untaken = Some(Heard {
            report,
            number: progress.begun,
            is_regular: is_regular || overtaken.is_some_and(|earlier| earlier.is_regular),
            skipped: progress.skipped,
        });
        is_news
    }
}

/// The monitors of a pool, by the numbers that their takers know them by.
#[derive(Default)]
pub(super) struct Monitors {
    by_id: Mutex<HashMap<u32, Arc<Monitor>>>,
    last: AtomicU32,
}

impl Monitors {
    fn lock(&self) -> MutexGuard<'_, HashMap<u32, Arc<Monitor>>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, id: u32) -> Option<Arc<Monitor>> {
        self.lock().get(&id).map(Arc::clone)
    }

    fn remove(&self, id: u32) {
        if let Some(monitor) = self.lock().remove(&id) {
            monitor.stop();
        }
    }

    /// The pool has ended.
    pub(super) fn end(&self) {
        for (_, monitor) in self.lock().drain() {
            monitor.stop();
        }
    }
}

impl Pool {
    /// Probes from now on, at once and then `every` so often, never two at a time; tells that there is a report.
    pub fn monitor(&self, every: Duration, patience: Duration, subscriber: Subscriber) -> u32 {
        let monitors = &self.health.monitors;
        let id = monitors.last.fetch_add(1, Ordering::Relaxed) + 1;
        let monitor = Arc::new(Monitor {
            progress: Mutex::default(),
            wake: Notify::new(),
            task: Mutex::default(),
            taker: subscriber.clone(),
        });
        // The first is under way from here on, for whoever asks.
        let mut goes_on = monitor.begin();
        let pool = Weak::clone(&self.own);
        let running = Arc::clone(&monitor);
        let task = self.runtime.spawn(async move {
            let mut last = Instant::now();
            let mut is_regular = true;
            while goes_on && let Some(pool) = pool.upgrade() {
                let report = pool.probe(patience).await;
                drop(pool);
                let (reached, skipped) = reached(last, every, Instant::now());
                last = reached;
                if running.end(report, is_regular, skipped) {
                    subscriber.tell(&Event::Probed(id));
                }
                let next = last + every;
                is_regular = !running.is_asked_before(next).await;
                if is_regular {
                    last = next;
                }
                goes_on = running.begin();
            }
        });
        *monitor.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task.abort_handle());
        monitors.lock().insert(id, monitor);
        id
    }

    /// The number of the probe under way, or of one that begins at once. Nothing if there is no such monitor, and if it is
    /// being stopped with nothing under way.
    pub fn probe_now(&self, id: u32) -> Option<u32> {
        let monitor = self.health.monitors.get(id)?;
        let mut progress = monitor.progress();
        if progress.begun > progress.ended {
            return Some(progress.begun);
        }
        if progress.is_last {
            return None;
        }
        progress.is_asked_for = true;
        let number = progress.begun + 1;
        drop(progress);
        monitor.wake.notify_one();
        Some(number)
    }

    /// Stops probing. Gives the number of the probe whose report will be the last, if one is under way or not taken yet:
    /// [`Pool::probed`] has it still.
    pub fn unmonitor(&self, id: u32) -> Option<u32> {
        let monitors = &self.health.monitors;
        let monitor = monitors.get(id)?;
        let mut progress = monitor.progress();
        let is_under_way = progress.begun > progress.ended;
        if !is_under_way && progress.untaken.is_none() {
            drop(progress);
            monitors.remove(id);
            return None;
        }
        progress.is_last = true;
        let last = progress.begun;
        drop(progress);
        if !is_under_way {
            monitor.stop();
        }
        Some(last)
    }

    /// Stops probing for those who take no more reports: a pool goes on without the threads that have joined it.
    pub(super) fn unmonitor_all(&self, is_gone: impl Fn(&Subscriber) -> bool) {
        self.health.monitors.lock().retain(|_, monitor| {
            let is_gone = is_gone(&monitor.taker);
            if is_gone {
                monitor.stop();
            }
            !is_gone
        });
    }

    /// The newest report that was not taken yet.
    pub fn probed(&self, id: u32) -> Option<Heard> {
        let monitors = &self.health.monitors;
        let monitor = monitors.get(id)?;
        let mut progress = monitor.progress();
        let heard = progress.untaken.take()?;
        let is_over = progress.is_last && progress.begun == progress.ended;
        drop(progress);
        if is_over {
            monitors.remove(id);
        }
        Some(heard)
    }
}

/// The last of the times in steps of `every` behind `last` that `now` has reached, and how many have passed since.
fn reached(last: Instant, every: Duration, now: Instant) -> (Instant, u64) {
    let late = now.saturating_duration_since(last).as_nanos();
    let passed = u64::try_from(late / every.as_nanos().max(1)).unwrap_or(u64::MAX);
    let steps = u32::try_from(passed).unwrap_or(u32::MAX);
    (last + every.saturating_mul(steps), passed)
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
            let is_on = |id| pool.health.monitors.get(id).is_some();
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
        let after = |ms| reached(start, every, start + Duration::from_millis(ms));
        assert_eq!(after(20), (start, 0));
        assert_eq!(after(100), (start + every, 1));
        assert_eq!(after(350), (start + every * 3, 3));
        assert_eq!(reached(start + every, every, start), (start + every, 0));
    }
}
