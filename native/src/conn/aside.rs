//! Work that would hold up the engine's thread: name lookups and key derivations, on threads of their own.
//!
//! Not on tokio's: where the system refuses the first of those it panics and keeps the work. Here whoever asked hears it,
//! and nothing is kept. A refused thread is no failure while others are there to take the work.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

type Work = Box<dyn FnOnce() + Send>;

/// Most threads at the same time, as many as tokio would make.
const MOST: usize = 512;
/// How long a thread waits for more work, as tokio's do.
const LINGER: Duration = Duration::from_secs(10);
/// Bytes of stack of a thread: what std gives by default, and enough for what systems do in a lookup.
const STACK: usize = 2 << 20;

/// The threads of the process.
pub(super) static HELPERS: Helpers = Helpers::new(STACK);

/// Why work was not done.
#[derive(Debug)]
pub(super) enum Undone {
    /// The system has refused a thread, and there is no other.
    NoThread(io::Error),
    /// It has panicked.
    Panicked,
}

/// Threads that work is handed to, and what waits for them.
pub(super) struct Helpers {
    desk: Mutex<Desk>,
    call: Condvar,
    stack: usize,
}

#[derive(Default)]
struct Desk {
    waiting: VecDeque<Work>,
    threads: usize,
    /// Those of them that wait for work.
    idle: usize,
}

impl Helpers {
    const fn new(stack: usize) -> Self {
        let desk = Desk {
            waiting: VecDeque::new(),
            threads: 0,
            idle: 0,
        };
        Self {
            desk: Mutex::new(desk),
            call: Condvar::new(),
            stack,
        }
    }

    /// What `work` gives.
    ///
    /// Cancel-safe: work that nobody waits for any more is not begun.
    pub(super) async fn run<T: Send + 'static>(
        &'static self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Undone> {
        let (tell, told) = oneshot::channel();
        self.hand_over(Box::new(move || {
            if !tell.is_closed() {
                // Whoever asked may have left meanwhile.
                drop(tell.send(work()));
            }
        }))
        .map_err(Undone::NoThread)?;
        told.await.map_err(|_| Undone::Panicked)
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hand_over(&'static self, work: Work) -> io::Result<()> {
        let mut desk = self.desk();
        desk.waiting.push_back(work);
        if desk.waiting.len() <= desk.idle {
            self.call.notify_one();
            return Ok(());
        }
        if desk.threads >= MOST {
            return Ok(());
        }
        let thread = std::thread::Builder::new()
            .name("pg-berth-aside".into())
            .stack_size(self.stack);
        match thread.spawn(|| self.serve()) {
            Ok(_) => desk.threads += 1,
            Err(error) if desk.threads == 0 => {
                desk.waiting.pop_back();
                return Err(error);
            }
            // One of those at work takes it.
            Err(_) => {}
        }
        Ok(())
    }

    /// The life of a thread.
    fn serve(&self) {
        let mut desk = self.desk();
        loop {
            while let Some(work) = desk.waiting.pop_front() {
                drop(desk);
                // Seen by whoever asked: what would have told him is dropped.
                drop(catch_unwind(AssertUnwindSafe(work)));
                desk = self.desk();
            }
            desk.idle += 1;
            let (woken, wait) = self
                .call
                .wait_timeout_while(desk, LINGER, |desk| desk.waiting.is_empty())
                .unwrap_or_else(PoisonError::into_inner);
            desk = woken;
            desk.idle -= 1;
            if wait.timed_out() {
                desk.threads -= 1;
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use tokio::task::JoinHandle;

    use super::*;

    fn helpers(stack: usize) -> &'static Helpers {
        Box::leak(Box::new(Helpers::new(stack)))
    }

    /// A thread that is at work until it is told to go on.
    async fn busy(
        helpers: &'static Helpers,
    ) -> (mpsc::Sender<()>, JoinHandle<Result<bool, Undone>>) {
        let (go, wait) = mpsc::channel::<()>();
        let (started, begun) = oneshot::channel();
        let work =
            tokio::spawn(helpers.run(move || started.send(()).is_ok() && wait.recv().is_ok()));
        begun.await.unwrap();
        (go, work)
    }

    #[tokio::test]
    async fn a_refused_thread_is_an_error_and_keeps_no_work() {
        // More than any address space has.
        let refused = helpers(1 << 60);
        let undone = refused.run(|| 1).await;
        assert!(matches!(undone, Err(Undone::NoThread(_))), "{undone:?}");
        assert_eq!(refused.desk().waiting.len(), 0);
        assert_eq!(refused.desk().threads, 0);
    }

    #[tokio::test]
    async fn where_one_thread_is_at_work_it_takes_what_no_other_can_be_made_for() {
        let helpers = helpers(STACK);
        let (go, first) = busy(helpers).await;
        // As if every further thread had been refused.
        helpers.desk().threads = MOST;
        let second = tokio::spawn(helpers.run(|| 2));
        tokio::task::yield_now().await;
        assert_eq!(helpers.desk().waiting.len(), 1);
        go.send(()).unwrap();
        assert!(first.await.unwrap().unwrap());
        assert_eq!(second.await.unwrap().unwrap(), 2);
    }

    #[tokio::test]
    async fn work_that_panics_costs_only_itself() {
        let helpers = helpers(STACK);
        let undone = helpers.run(|| panic!("a defect")).await;
        assert!(matches!(undone, Err(Undone::Panicked)), "{undone:?}");
        assert_eq!(helpers.run(|| 3).await.unwrap(), 3);
    }

    #[tokio::test]
    async fn work_that_nobody_waits_for_is_not_begun() {
        static BEGUN: AtomicUsize = AtomicUsize::new(0);
        let helpers = helpers(STACK);
        let (go, first) = busy(helpers).await;
        helpers.desk().threads = MOST;
        let left = tokio::spawn(helpers.run(|| BEGUN.fetch_add(1, Ordering::Relaxed)));
        tokio::task::yield_now().await;
        left.abort();
        assert!(left.await.is_err());
        go.send(()).unwrap();
        assert!(first.await.unwrap().unwrap());
        helpers.run(|| ()).await.unwrap();
        assert_eq!(BEGUN.load(Ordering::Relaxed), 0);
    }
}
