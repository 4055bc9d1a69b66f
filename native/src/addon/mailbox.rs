//! Answers for one JS environment: queued by the engine, taken by one call per wake.
//!
//! Record, little-endian, 8-aligned: 32 bytes of header, then the body padded to 8.
//!
//! ```text
//! 0 u32 request (slot for events) · 4 u32 flags · 8 u32 length of the body · 12 u32 shape, 0 = none (generation for events)
//! 16 u32 rows in the frame, or unpadded bytes of a text body · 20 u32 command word, 0 = none · 24 f64 affected rows, NaN = none
//! ```

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use neon::event::Channel;
use serde_json::json;

use crate::addon::{command, settle, wake};
use crate::conn::request::{Account, Command, Completion, Event, Outlet};
use crate::error::Error;
use crate::frame::{FrameBuilder, Shape};

/// The body is a row frame.
pub(super) const FRAME: u32 = 1;
/// One result is complete.
pub(super) const COMPLETE: u32 = 2;
/// The request is over.
pub(super) const FINAL: u32 = 4;
/// The body is an error as JSON.
pub(super) const ERROR: u32 = 8;
/// The portal has more rows.
pub(super) const SUSPENDED: u32 = 16;
/// The body is too large for the inbox and is fetched by a call of its own.
pub(super) const SPILL: u32 = 32;
/// An event of a session, as JSON.
pub(super) const EVENT: u32 = 64;
/// The body is a command tag whose word has no number.
pub(super) const TAG: u32 = 128;

/// Bytes of a record's header.
const HEADER: usize = 32;
/// Frames below this size are gathered in one buffer; larger ones are counted against their connection.
const SMALL: usize = 4096;
/// Small records gathered in one buffer before the next one is begun.
const GATHERED: usize = 64 * 1024;

enum Item {
    /// Whole records, taken up to `taken`.
    Small { records: Vec<u8>, taken: usize },
    /// One record and the connection it is counted against.
    Large {
        record: Vec<u8>,
        account: Arc<Account>,
    },
}

#[derive(Default)]
struct Queue {
    items: VecDeque<Item>,
    /// Small records that arrive now, behind the items.
    tail: Vec<u8>,
    /// An empty buffer for the next tail.
    spare: Vec<u8>,
    /// Bodies whose header is in the inbox already.
    spilled: VecDeque<Vec<u8>>,
    /// Keeps the shapes of queued frames findable until the drain after the next.
    shapes: Vec<Arc<Shape>>,
    /// Shapes of the drain before.
    taken_shapes: Vec<Arc<Shape>>,
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
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The environment is gone.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        for item in std::mem::take(&mut *self.lock()).items {
            if let Item::Large { record, account } = item {
                account.taken(record.len());
            }
        }
    }

    /// Copies whole records into the inbox; returns the bytes written and whether more are waiting, for which JS then
    /// must come back by itself.
    pub(super) fn drain(&self, inbox: &mut [u8]) -> (usize, bool) {
        self.scheduled.store(false, Ordering::Release);
        let mut queue = self.lock();
        queue.taken_shapes = std::mem::take(&mut queue.shapes);
        queue.rotate();
        let mut written = 0;
        while let Some(item) = queue.items.pop_front() {
            let target = inbox.get_mut(written..).unwrap_or_default();
            let room = target.len();
            match item {
                Item::Small { mut records, taken } => {
                    let rest = records.get(taken..).unwrap_or_default();
                    let take = whole_records(rest, room);
                    copy(target, rest.get(..take).unwrap_or_default());
                    written += take;
                    if taken + take < records.len() {
                        queue.items.push_front(Item::Small {
                            records,
                            taken: taken + take,
                        });
                        break;
                    }
                    records.clear();
                    queue.spare = records;
                }
                Item::Large { record, account } if record.len() <= room => {
                    copy(target, &record);
                    written += record.len();
                    account.taken(record.len());
                }
                // Never fits: the header goes ahead, the body is fetched into a buffer of its own.
                Item::Large {
                    mut record,
                    account,
                } if record.len() > inbox.len() && room >= HEADER => {
                    account.taken(record.len());
                    let body = record.split_off(HEADER.min(record.len()));
                    if let Some(flags) = record.get_mut(4) {
                        *flags |= u8::try_from(SPILL).unwrap_or_default();
                    }
                    copy(inbox.get_mut(written..).unwrap_or_default(), &record);
                    written += HEADER;
                    queue.spilled.push_back(body);
                }
                item @ Item::Large { .. } => {
                    queue.items.push_front(item);
                    break;
                }
            }
        }
        let more = !queue.items.is_empty();
        if more {
            self.scheduled.store(true, Ordering::Release);
        }
        (written, more)
    }

    /// The next spilled body.
    pub(super) fn spilled(&self) -> Option<Vec<u8>> {
        self.lock().spilled.pop_front()
    }

    /// Blocks the JS thread until something has arrived; `false` when `patience` ran out.
    pub(super) fn park(&self, patience: Duration) -> bool {
        let mut queue = self.lock();
        queue.parked = true;
        let (mut queue, _) = self
            .arrived
            .wait_timeout_while(queue, patience, |queue| queue.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        queue.parked = false;
        !queue.is_empty()
    }

    fn text(&self, id: u32, flags: u32, shape: u32, text: &str) {
        if self.is_closed() {
            return;
        }
        let mut queue = self.lock();
        let buffer = queue.small(HEADER + text.len());
        let header = begin(buffer);
        buffer.extend_from_slice(text.as_bytes());
        buffer.resize(buffer.len().next_multiple_of(8), 0);
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
        finish(
            buffer,
            header,
            &Head {
                id,
                flags,
                shape,
                rows: length,
                ..Head::default()
            },
        );
    }
}

/// Whole records of `records` that fit into `room` bytes.
fn whole_records(records: &[u8], room: usize) -> usize {
    if records.len() <= room {
        return records.len();
    }
    let mut fits = 0;
    while let Some(length) = records.get(fits + 8..).and_then(|rest| rest.first_chunk()) {
        let end = fits
            + HEADER
            + usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX - HEADER - fits);
        if end > room {
            break;
        }
        fits = end;
    }
    fits
}

fn copy(target: &mut [u8], source: &[u8]) {
    if let Some(target) = target.get_mut(..source.len()) {
        target.copy_from_slice(source);
    }
}

impl Queue {
    /// The buffer the next small record goes to.
    fn small(&mut self, bytes: usize) -> &mut Vec<u8> {
        if self.tail.len() + bytes > GATHERED {
            self.rotate();
        }
        &mut self.tail
    }

    /// Puts the gathered records in line.
    fn rotate(&mut self) {
        if !self.tail.is_empty() {
            let records = std::mem::replace(&mut self.tail, std::mem::take(&mut self.spare));
            self.items.push_back(Item::Small { records, taken: 0 });
        }
    }

    fn is_empty(&self) -> bool {
        self.items.is_empty() && self.tail.is_empty()
    }

    fn keep(&mut self, shape: &Arc<Shape>) {
        if !self
            .shapes
            .last()
            .is_some_and(|kept| Arc::ptr_eq(kept, shape))
        {
            self.shapes.push(Arc::clone(shape));
        }
    }
}

#[derive(Default)]
struct Head {
    id: u32,
    flags: u32,
    shape: u32,
    rows: u32,
    word: u32,
    affected: Option<u64>,
}

fn begin(buffer: &mut Vec<u8>) -> usize {
    let header = buffer.len();
    buffer.resize(header + HEADER, 0);
    header
}

fn finish(buffer: &mut [u8], header: usize, head: &Head) {
    let body = u32::try_from(buffer.len() - header - HEADER).unwrap_or(u32::MAX);
    // Affected rows are below 2⁶³; a JS number is what they become anyway.
    let affected = head.affected.map_or(f64::NAN, |rows| {
        let (high, low) = (rows >> 32, rows & 0xffff_ffff);
        f64::from(u32::try_from(high).unwrap_or(u32::MAX)) * 4_294_967_296.0
            + f64::from(u32::try_from(low).unwrap_or(u32::MAX))
    });
    let mut bytes = [0; HEADER];
    for (place, value) in bytes
        .chunks_exact_mut(4)
        .zip([head.id, head.flags, body, head.shape, head.rows, head.word])
    {
        place.copy_from_slice(&value.to_le_bytes());
    }
    copy(
        bytes.get_mut(24..).unwrap_or_default(),
        &affected.to_le_bytes(),
    );
    copy(buffer.get_mut(header..).unwrap_or_default(), &bytes);
}

impl Outlet for Mailbox {
    fn deliver(&self, completion: Completion<'_>) {
        if self.is_closed() {
            if let Some((_, rows)) = completion.rows {
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
            last,
            error,
            account,
        } = completion;
        if let Some(error) = error {
            self.text(id, ERROR | FINAL, 0, &settle::describe(error));
            return;
        }
        let word = command.map(Command::word).map(command::number);
        if let (Some(command), Some(None)) = (command, word) {
            self.text(id, TAG, 0, &command.tag);
        }
        let mut head = Head {
            id,
            flags: if command.is_some() { COMPLETE } else { 0 }
                | if last { FINAL } else { 0 }
                | if suspended { SUSPENDED } else { 0 },
            shape: shape.map_or(0, |shape| shape.number),
            rows: 0,
            word: word.flatten().unwrap_or_default(),
            affected: command.and_then(Command::rows),
        };
        let mut queue = self.lock();
        if let Some(shape) = shape {
            queue.keep(shape);
        }
        match rows {
            Some((_, builder)) if builder.size() > SMALL => {
                head.flags |= FRAME;
                head.rows = builder.rows();
                let mut record = Vec::with_capacity(HEADER + builder.size());
                let header = begin(&mut record);
                builder.finish_into(&mut record);
                finish(&mut record, header, &head);
                account.add(record.len());
                queue.rotate();
                queue.items.push_back(Item::Large {
                    record,
                    account: Arc::clone(account),
                });
            }
            rows => {
                let bytes = rows.as_ref().map_or(0, |(_, builder)| builder.size());
                let buffer = queue.small(HEADER + bytes);
                let header = begin(buffer);
                if let Some((_, builder)) = rows {
                    head.flags |= FRAME;
                    head.rows = builder.rows();
                    builder.finish_into(buffer);
                }
                finish(buffer, header, &head);
            }
        }
    }

    fn event(&self, slot: u32, generation: u32, event: &Event<'_>) {
        let text = match event {
            Event::Notice(notice) => {
                let mut fields = serde_json::Map::new();
                settle::server_fields(notice, |name, value| {
                    if !value.is_null() {
                        fields.insert(name.to_owned(), value);
                    }
                });
                json!({ "event": "notice", "message": notice.message, "code": notice.code, "fields": fields })
            }
            Event::Notification {
                pid,
                channel,
                payload,
            } => {
                json!({ "event": "notification", "processId": pid, "channel": channel, "payload": payload })
            }
            Event::Parameter { name, value } => {
                json!({ "event": "parameter", "name": name, "value": value })
            }
            Event::Ended(cause) => {
                let cause: Option<serde_json::Value> = cause
                    .and_then(|cause: &Error| serde_json::from_str(&settle::describe(cause)).ok());
                json!({ "event": "end", "error": cause })
            }
        };
        self.text(slot, EVENT, generation, &text.to_string());
        self.announce();
    }

    fn announce(&self) {
        let queue = self.lock();
        let (parked, is_empty) = (queue.parked, queue.is_empty());
        drop(queue);
        if parked {
            self.arrived.notify_all();
        }
        if !is_empty && !self.is_closed() && !self.scheduled.swap(true, Ordering::AcqRel) {
            let woken = self.channel.try_send(|mut cx| wake(&mut cx));
            if woken.is_err() {
                self.close();
            }
        }
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }
}
