//! An event loop of JS that sockets are lent to: which ones it has, and which of them can be read.
//!
//! The sockets are gathered in one epoll instance, so that libuv has to watch a single descriptor and any thread can take
//! a socket out. The engine watches over the loans: every few milliseconds it takes back what the loop has not touched,
//! so idle connections are its own (notices, leases, keepalive) and a loop that is busy elsewhere delays nobody.

#[cfg(target_os = "linux")]
pub use self::linux::EventLoop;
#[cfg(not(target_os = "linux"))]
pub use self::nowhere::EventLoop;

#[cfg(target_os = "linux")]
mod linux {
    use std::os::fd::{AsFd, OwnedFd};
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
    use std::time::{Duration, Instant};

    use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};
    use slab::Slab;
    use tokio::runtime::Handle;

    use crate::conn::Connection;
    use crate::conn::transport::Transport;

    /// How often the engine looks after loans.
    const LOOK: Duration = Duration::from_millis(4);
    /// A loop that was late gets no loans for so long, then for twice as long, up to a second.
    const LATE: Duration = Duration::from_millis(16);
    const LATEST: Duration = Duration::from_secs(1);
    /// Connections served in one turn of the loop.
    const READY: usize = 64;
    /// The bell's number; loans are numbered from 0.
    const BELL: u64 = u64::MAX;

    /// An event loop of JS.
    pub struct EventLoop {
        epoll: Arc<OwnedFd>,
        /// Ends a wait that nothing else would end.
        bell: OwnedFd,
        runtime: Handle,
        lent: Mutex<Slab<Weak<Connection>>>,
        /// The engine looks after the loans.
        is_watched: AtomicBool,
        /// Have something to write at the end of the turn.
        noted: Mutex<Vec<Arc<Connection>>>,
        started: Instant,
        /// No loans before this many microseconds after `started`.
        late_until: AtomicU64,
        /// How long the last such time was, in microseconds; 0 once the loop was punctual again.
        late_for: AtomicU64,
    }

    impl EventLoop {
        /// A loop that nothing was lent to yet; `None` when the system refuses it.
        #[must_use]
        pub fn new(runtime: Handle) -> Option<Arc<Self>> {
            let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).ok()?;
            let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).ok()?;
            let readable = epoll::EventFlags::IN;
            epoll::add(&epoll, &bell, epoll::EventData::new_u64(BELL), readable).ok()?;
            Some(Arc::new(Self {
                epoll: Arc::new(epoll),
                bell,
                runtime,
                lent: Mutex::default(),
                is_watched: AtomicBool::new(false),
                noted: Mutex::default(),
                started: Instant::now(),
                late_until: AtomicU64::new(0),
                late_for: AtomicU64::new(0),
            }))
        }

        /// Readable when [`EventLoop::serve`] has something to do.
        #[must_use]
        pub fn descriptor(&self) -> Arc<OwnedFd> {
            Arc::clone(&self.epoll)
        }

        /// Serves the connections that can be read, after waiting for one for `patience` at most. On the loop's thread.
        pub fn serve(&self, patience: Duration) {
            let mut events = Vec::with_capacity(READY);
            let patience = Timespec::try_from(patience).unwrap_or_default();
            let room = rustix::buffer::spare_capacity(&mut events);
            if epoll::wait(&*self.epoll, room, Some(&patience)).is_err() {
                return;
            }
            for event in events {
                let number = event.data.u64();
                if number == BELL {
                    let _ = rustix::io::read(&self.bell, &mut [0; 8]);
                    continue;
                }
                let connection = usize::try_from(number)
                    .ok()
                    .and_then(|number| self.lent().get(number)?.upgrade());
                if let Some(connection) = connection {
                    connection.loop_turn();
                }
            }
        }

        /// Ends a [`EventLoop::serve`] that waits, from any thread.
        pub fn ring(&self) {
            // Full is rung as well.
            let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
        }

        /// Is it worth a loan, or was the loop late lately?
        #[must_use]
        pub fn is_punctual(&self) -> bool {
            let until = self.late_until.load(Ordering::Relaxed);
            until == 0 || self.now() >= until
        }

        /// Sockets on loan.
        #[cfg(test)]
        pub(in crate::conn) fn loans(&self) -> usize {
            self.lent().len()
        }

        /// Writes what the turn of the loop has left to be written.
        pub fn flush(&self) {
            let noted = std::mem::take(&mut *lock(&self.noted));
            for connection in noted {
                connection.write_noted();
            }
        }

        pub(in crate::conn) fn note(&self, connection: &Arc<Connection>) {
            lock(&self.noted).push(Arc::clone(connection));
        }

        /// Takes a socket on loan under a number; `None` when the system refuses it.
        pub(in crate::conn) fn admit(
            self: &Arc<Self>,
            connection: &Arc<Connection>,
            transport: &Transport,
        ) -> Option<usize> {
            let Transport::Lent(socket) = transport else {
                return None;
            };
            let number = self.lent().insert(Arc::downgrade(connection));
            let data = u64::try_from(number).ok().map(epoll::EventData::new_u64)?;
            let flags = epoll::EventFlags::IN | epoll::EventFlags::RDHUP;
            if epoll::add(&*self.epoll, socket.as_fd(), data, flags).is_err() {
                self.lent().try_remove(number);
                return None;
            }
            if !self.is_watched.swap(true, Ordering::AcqRel) {
                self.runtime.spawn(look_after(Arc::downgrade(self)));
            }
            Some(number)
        }

        /// Gives a socket back.
        pub(in crate::conn) fn dismiss(&self, number: usize, transport: &Transport) {
            if let Transport::Lent(socket) = transport {
                // It was added; what fails here is a descriptor that is gone already.
                let _ = epoll::delete(&*self.epoll, socket.as_fd());
            }
            self.lent().try_remove(number);
        }

        /// One look of the engine at all loans. `false` when there are none left to look at.
        fn look(&self) -> bool {
            let loans: Vec<_> = {
                let mut lent = self.lent();
                lent.retain(|_, loan| loan.strong_count() > 0);
                let alive = lent.iter().filter_map(|(_, loan)| loan.upgrade());
                alive.collect()
            };
            if loans.is_empty() {
                self.is_watched.store(false, Ordering::Release);
                // One that was lent in between counts on this watch.
                return !self.lent().is_empty() && !self.is_watched.swap(true, Ordering::AcqRel);
            }
            let mut late = false;
            for connection in loans {
                late |= connection.look_after();
            }
            if late {
                self.was_late();
            } else if self.is_punctual() {
                self.late_for.store(0, Ordering::Relaxed);
            }
            true
        }

        /// No loans for a while.
        pub(crate) fn was_late(&self) {
            let last = Duration::from_micros(self.late_for.load(Ordering::Relaxed));
            let next = micros((last * 2).clamp(LATE, LATEST));
            self.late_for.store(next, Ordering::Relaxed);
            self.late_until.store(self.now() + next, Ordering::Relaxed);
        }

        fn now(&self) -> u64 {
            micros(self.started.elapsed())
        }

        fn lent(&self) -> MutexGuard<'_, Slab<Weak<Connection>>> {
            lock(&self.lent)
        }
    }

    fn micros(time: Duration) -> u64 {
        u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
    }

    fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks after the loans of a loop as long as there are any.
    async fn look_after(of: Weak<EventLoop>) {
        loop {
            tokio::time::sleep(LOOK).await;
            match of.upgrade() {
                Some(events) if events.look() => {}
                _ => return,
            }
        }
    }
}

/// Where sockets cannot be lent: no value of this type exists, so every connection stays with the engine.
#[cfg(not(target_os = "linux"))]
mod nowhere {
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::runtime::Handle;

    use crate::conn::Connection;
    use crate::conn::transport::Transport;

    /// An event loop of JS.
    pub struct EventLoop(Infallible);

    impl EventLoop {
        /// Always `None`.
        #[must_use]
        pub fn new(_runtime: Handle) -> Option<Arc<Self>> {
            None
        }

        /// Serves nothing.
        pub fn serve(&self, _patience: Duration) {
            match self.0 {}
        }

        /// Ends nothing.
        pub fn ring(&self) {
            match self.0 {}
        }

        /// Is never asked.
        #[must_use]
        pub fn is_punctual(&self) -> bool {
            match self.0 {}
        }

        /// Writes nothing.
        pub fn flush(&self) {
            match self.0 {}
        }

        pub(in crate::conn) fn note(&self, _connection: &Arc<Connection>) {
            match self.0 {}
        }

        pub(in crate::conn) fn admit(
            &self,
            _connection: &Arc<Connection>,
            _transport: &Transport,
        ) -> Option<usize> {
            match self.0 {}
        }

        pub(in crate::conn) fn dismiss(&self, _number: usize, _transport: &Transport) {
            match self.0 {}
        }
    }
}
