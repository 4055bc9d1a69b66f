//! Answers for one JS environment: queued by the engine, taken by one call per wake.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use neon::event::Channel;
use tokio::sync::oneshot;

use crate::addon::inbox::{Inbox, Spilled};
use crate::addon::records::{
    COMPLETE, COPY, ERROR, EVENT, FINAL, FRAME, Head, PLACED, QUICK, SUSPENDED, TAG,
};
use crate::addon::{command, events, settle, wake};
use crate::conn::event_loop::EventLoop;
use crate::conn::request::{Account, Command, Completion, CopyNews, Event, Outlet};
use crate::frame::FrameBuilder;

/// Pauses of the processor between two looks at the queue.
const PAUSES: u32 = 16;

#[derive(Default)]
struct Queue {
    inbox: Inbox,
    /// The JS thread is blocked until something arrives.
    parked: bool,
}

/// Answers for one JS environment.
pub(super) struct Mailbox {
    queue: Mutex<Queue>,
    arrived: Condvar,
    /// A wake is on its way, or JS has promised to come back.
    scheduled: AtomicBool,
    closed: AtomicBool,
    channel: Channel,
    /// The loop of the environment, if it has one that sockets can be lent to.
    events: OnceLock<Option<Arc<EventLoop>>>,
}

impl Mailbox {
    /// The mailbox of an environment; `channel` must not keep the event loop alive.
    pub(super) fn new(channel: Channel) -> Self {
        Self {
            queue: Mutex::default(),
            arrived: Condvar::new(),
            scheduled: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            channel,
            events: OnceLock::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Was the loop of the environment looked for?
    pub(super) fn has_looked(&self) -> bool {
        self.events.get().is_some()
    }

    /// What was found.
    pub(super) fn attach(&self, events: Option<Arc<EventLoop>>) {
        // Looked for twice only by a bug of ours; the first one stays.
        let _ = self.events.set(events);
    }

    /// The loop of the environment, if sockets can be lent to it.
    pub(super) fn event_loop(&self) -> Option<&Arc<EventLoop>> {
        self.events.get()?.as_ref()
    }

    /// The environment is gone.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.lock().inbox.clear();
    }

    /// Copies whole records into the inbox; returns the bytes written and whether more are waiting, for which JS then
    /// must come back by itself.
    pub(super) fn drain(&self, inbox: &mut [u8]) -> (usize, bool) {
        self.scheduled.store(false, Ordering::Release);
        let (written, more) = self.lock().inbox.take(inbox);
        if more {
            self.scheduled.store(true, Ordering::Release);
        }
        (written, more)
    }

    /// The next spilled body.
    pub(super) fn spilled(&self) -> Option<Spilled> {
        self.lock().inbox.next_spilled()
    }

    /// It was taken.
    pub(super) fn reuse(&self, spilled: Spilled) {
        self.lock().inbox.reuse(spilled);
    }

    /// Blocks the JS thread until something has arrived; `false` when `patience` ran out. It serves its own loans meanwhile.
    pub(super) fn park(&self, patience: Duration, events: Option<&EventLoop>) -> bool {
        let mut queue = self.lock();
        queue.parked = true;
        if let Some(events) = events {
            let until = Instant::now() + patience;
            while queue.inbox.is_empty() {
                let left = until.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    break;
                }
                drop(queue);
                events.serve(left);
                queue = self.lock();
            }
            queue.parked = false;
            return !queue.inbox.is_empty();
        }
        let (mut queue, _) = self
            .arrived
            .wait_timeout_while(queue, patience, |queue| queue.inbox.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        queue.parked = false;
        !queue.inbox.is_empty()
    }

    /// Keeps the JS thread looking until something has arrived; `false` when `patience` ran out. It serves its own loans
    /// meanwhile, and what the engine reads needs to wake nobody.
    pub(super) fn look(&self, patience: Duration, events: Option<&EventLoop>) -> bool {
        self.attend();
        let until = Instant::now() + patience;
        loop {
            match events {
                Some(events) => events.serve(Duration::ZERO),
                None => (0..PAUSES).for_each(|_| std::hint::spin_loop()),
            }
            if !self.lock().inbox.is_empty() || Instant::now() >= until {
                return self.leave();
            }
        }
    }

    /// The JS thread looks by itself when it is done with what it does: until then nothing has to wake it.
    pub(super) fn attend(&self) {
        self.scheduled.store(true, Ordering::Release);
    }

    /// The JS thread is done: is there something to take?
    pub(super) fn leave(&self) -> bool {
        let is_empty = || self.lock().inbox.is_empty();
        if is_empty() {
            self.scheduled.store(false, Ordering::Release);
            // What has come between the two looks has woken nobody.
            return !is_empty() && !self.scheduled.swap(true, Ordering::AcqRel);
        }
        true
    }

    fn copy(&self, id: u32, news: CopyNews<'_>, account: &Arc<Account>) {
        let mut data = Vec::new();
        let (word, number) = match news {
            CopyNews::Started { binary, columns } => (1, columns * 2 + usize::from(binary)),
            CopyNews::Data(bytes) => {
                data = std::mem::take(bytes);
                (2, data.len())
            }
            CopyNews::Written(bytes) => (3, bytes),
        };
        let head = Head {
            id,
            flags: COPY,
            rows: u32::try_from(number).unwrap_or(u32::MAX),
            word,
            ..Head::default()
        };
        self.lock()
            .inbox
            .push(&head, data.len(), None, Some(account), |buffer| {
                buffer.extend_from_slice(&data);
                buffer.resize(buffer.len().next_multiple_of(8), 0);
            });
    }

    fn text(&self, id: u32, flags: u32, text: &str) {
        let head = Head {
            id,
            flags,
            ..Head::default()
        };
        self.body(head, text, None);
    }

    fn body(&self, mut head: Head, text: &str, account: Option<&Arc<Account>>) {
        if self.is_closed() {
            return;
        }
        head.rows = u32::try_from(text.len()).unwrap_or(u32::MAX);
        self.lock()
            .inbox
            .push(&head, text.len(), None, account, |buffer| {
                buffer.extend_from_slice(text.as_bytes());
                buffer.resize(buffer.len().next_multiple_of(8), 0);
            });
    }
}

impl Outlet for Mailbox {
    fn deliver(&self, completion: Completion<'_>) {
        if self.is_closed() {
            if let Some((_, rows, _)) = completion.rows {
                // Nobody takes them, and the server sends on until it hears of the cancel.
                *rows = FrameBuilder::new();
            }
            return;
        }
        let Completion {
            id,
            rows,
            shape,
            command,
            suspended,
            copy,
            last,
            quick,
            error,
            account,
        } = completion;
        if let Some(news) = copy {
            self.copy(id, news, account);
            return;
        }
        if let Some(error) = error {
            self.text(id, ERROR | FINAL, &settle::describe(error));
            return;
        }
        let word = command.map(Command::word).map(command::number);
        if let (Some(command), Some(None)) = (command, word) {
            self.text(id, TAG, &command.tag);
        }
        let mut head = Head {
            id,
            flags: if command.is_some() { COMPLETE } else { 0 }
                | if last { FINAL } else { 0 }
                | if suspended { SUSPENDED } else { 0 }
                | if quick { QUICK } else { 0 },
            shape: shape.map_or(0, |shape| shape.number),
            rows: 0,
            word: word.flatten().unwrap_or_default(),
            affected: command.and_then(Command::rows),
        };
        let bytes = rows.as_ref().map_or(0, |(_, builder, _)| builder.room());
        if let Some((_, builder, _)) = &rows {
            head.flags |= FRAME;
            head.rows = builder.rows();
        }
        self.lock()
            .inbox
            .push(&head, bytes, shape, Some(account), |buffer| {
                if let Some((_, builder, last)) = rows {
                    builder.finish_into(buffer, last);
                }
            });
    }

    /// Not announced: the answer to the request follows, and brings it along.
    fn placed(&self, id: u32, waited: Duration, host: &str, address: &str) {
        let head = Head {
            id,
            flags: PLACED,
            affected: u64::try_from(waited.as_micros()).ok(),
            ..Head::default()
        };
        self.body(head, &format!("{host}\t{address}"), None);
    }

    fn event(&self, slot: u32, generation: u32, event: &Event<'_>, account: Option<&Arc<Account>>) {
        let head = Head {
            id: slot,
            flags: EVENT,
            shape: generation,
            ..Head::default()
        };
        self.body(head, &events::describe(event).into_string(), account);
        self.announce();
    }

    fn announce(&self) {
        let queue = self.lock();
        let (parked, is_empty) = (queue.parked, queue.inbox.is_empty());
        drop(queue);
        if parked {
            self.arrived.notify_all();
            if let Some(events) = self.event_loop() {
                events.ring();
            }
        }
        if !is_empty && !self.is_closed() && !self.scheduled.swap(true, Ordering::AcqRel) {
            let woken = self.channel.try_send(|mut cx| {
                wake(&mut cx);
                Ok(())
            });
            if woken.is_err() {
                self.close();
            }
        }
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    fn ping(&self) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        // The waiting side may have given up; an environment that is gone drops the sender.
        let asked = self.channel.try_send(move |_| {
            let _ = sender.send(());
            Ok(())
        });
        drop(asked);
        receiver
    }
}
