//! What JS has not taken yet: small records in order of arrival, large results one after another.
//!
//! Records of one request keep their order. Between requests the oldest large result goes first until it is complete:
//! its caller has it early, where results taken in turns would all be late. Nothing waits long behind it: small records
//! go first, within half of each turn.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::addon::records::{
    ERROR, EVENT, FINAL, HEADER, Head, SUSPENDED, append, copy, mark_spilled, whole,
};
use crate::conn::request::Account;
use crate::frame::Shape;

/// Records up to this size are gathered in one buffer.
const SMALL: usize = 4096;
/// Small records gathered in one buffer before the next one is begun.
const GATHERED: usize = 64 * 1024;
/// The longest buffer of a large record that is used again: to get as much anew from the system takes longer than to fill it.
const REUSED: usize = 16 << 20;

/// Whole records of any requests, taken up to `taken`.
#[derive(Default)]
struct Gathered {
    records: Vec<u8>,
    taken: usize,
    shapes: Vec<Arc<Shape>>,
    /// Bytes of events by the accounts they are counted against.
    counted: Vec<(Arc<Account>, usize)>,
}

impl Gathered {
    /// Counts bytes against an account until the buffer is taken whole.
    fn count(&mut self, account: &Arc<Account>, bytes: usize) {
        account.add(bytes);
        match self.counted.last_mut() {
            Some((last, sum)) if Arc::ptr_eq(last, account) => *sum += bytes,
            _ => self.counted.push((Arc::clone(account), bytes)),
        }
    }

    fn uncount(&mut self) {
        for (account, bytes) in self.counted.drain(..) {
            account.taken(bytes);
        }
    }
}

/// One record that stands for itself.
struct Single {
    record: Vec<u8>,
    shape: Option<Arc<Shape>>,
    /// The account it is counted against.
    account: Option<Arc<Account>>,
    last: bool,
}

/// A record of which only the body is still to be taken.
pub(super) struct Spilled(Vec<u8>);

impl Spilled {
    /// That body.
    pub(super) fn body(&self) -> &[u8] {
        self.0.get(HEADER..).unwrap_or_default()
    }
}

/// A request with large records, from its first one until its last record is taken.
struct Lane {
    key: u64,
    records: VecDeque<Single>,
    /// Buffers of gathered records that may hold earlier records of the request.
    behind: u64,
    done: bool,
}

/// Records for one JS environment.
#[derive(Default)]
pub(super) struct Inbox {
    gathered: VecDeque<Gathered>,
    /// Small records that arrive now, behind those gathered.
    tail: Gathered,
    /// An empty buffer for the next tail.
    spare: Vec<u8>,
    /// Buffers ever put into `gathered`, and ever taken whole.
    rotated: u64,
    emptied: u64,
    /// Large results, oldest first.
    lanes: Vec<Lane>,
    /// Records whose header is in the JS thread's buffer already.
    spilled: VecDeque<Spilled>,
    /// The buffer of such a record, as long as large ones follow each other.
    room: Vec<u8>,
    /// Keeps the shapes of what was taken findable until the next call.
    taken_shapes: Vec<Arc<Shape>>,
}

impl Inbox {
    /// Is there nothing to take?
    pub(super) fn is_empty(&self) -> bool {
        self.gathered.is_empty()
            && self.tail.records.is_empty()
            && self.lanes.iter().all(|lane| lane.records.is_empty())
    }

    /// Takes a record of about `bytes` in, behind earlier ones of its request. With an account, a large one is counted
    /// against it until it is taken, and so is an event: of small results there are no more than requests.
    pub(super) fn push(
        &mut self,
        head: &Head,
        bytes: usize,
        shape: Option<&Arc<Shape>>,
        account: Option<&Arc<Account>>,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        let (key, is_event) = (key(head), head.flags & EVENT != 0);
        let lane = self.lanes.iter().position(|lane| lane.key == key);
        if lane.is_none() && bytes <= SMALL {
            if self.tail.records.len() + HEADER + bytes > GATHERED {
                self.rotate();
            }
            let before = self.tail.records.len();
            append(&mut self.tail.records, head, write);
            if let Some(account) = account.filter(|_| is_event) {
                self.tail.count(account, self.tail.records.len() - before);
            }
            if let Some(shape) = shape
                && !is_kept(&self.tail.shapes, shape)
            {
                self.tail.shapes.push(Arc::clone(shape));
            }
            return;
        }
        let needed = HEADER + bytes + 8;
        let fits = (needed..=2 * needed).contains(&self.room.capacity());
        let mut record = if fits {
            std::mem::take(&mut self.room)
        } else {
            Vec::with_capacity(needed)
        };
        append(&mut record, head, write);
        let account = account.filter(|_| is_event || bytes > SMALL).cloned();
        if let Some(account) = &account {
            account.add(record.len());
        }
        let single = Single {
            record,
            shape: shape.cloned(),
            account,
            last: is_last(head),
        };
        if let Some(lane) = lane.and_then(|at| self.lanes.get_mut(at)) {
            lane.records.push_back(single);
        } else {
            self.rotate();
            self.lanes.push(Lane {
                key,
                records: VecDeque::from([single]),
                behind: self.rotated,
                done: false,
            });
        }
    }

    /// Copies whole records into the JS thread's buffer; returns the bytes written and whether more are waiting.
    ///
    /// Small records go first, large ones have half of the buffer for certain.
    pub(super) fn take(&mut self, target: &mut [u8]) -> (usize, bool) {
        self.rotate();
        self.taken_shapes.clear();
        let small = if self.lanes.is_empty() {
            self.room = Vec::new();
            target.len()
        } else {
            target.len() / 2
        };
        let mut written = self.take_small(target.get_mut(..small).unwrap_or_default());
        self.take_large(target, &mut written);
        (written, !self.is_empty())
    }

    fn take_small(&mut self, target: &mut [u8]) -> usize {
        let mut written = 0;
        while let Some(mut first) = self.gathered.pop_front() {
            let room = target.get_mut(written..).unwrap_or_default();
            let rest = first.records.get(first.taken..).unwrap_or_default();
            let take = whole(rest, room.len());
            copy(room, rest.get(..take).unwrap_or_default());
            written += take;
            first.taken += take;
            self.taken_shapes.extend(first.shapes.iter().cloned());
            if first.taken < first.records.len() {
                self.gathered.push_front(first);
                break;
            }
            self.emptied += 1;
            first.uncount();
            first.records.clear();
            self.spare = first.records;
        }
        written
    }

    fn take_large(&mut self, target: &mut [u8], written: &mut usize) {
        let longest = target.len();
        let mut over = false;
        'lanes: for lane in &mut self.lanes {
            if lane.behind > self.emptied {
                continue;
            }
            while let Some(first) = lane.records.front_mut() {
                let room = target.get_mut(*written..).unwrap_or_default();
                let bytes = first.record.len();
                if bytes <= room.len() {
                    copy(room, &first.record);
                    *written += bytes;
                } else if bytes > longest && room.len() >= HEADER {
                    // Never fits: the header goes ahead, the body is fetched into a buffer of its own.
                    mark_spilled(&mut first.record);
                    copy(room, first.record.get(..HEADER).unwrap_or_default());
                    *written += HEADER;
                    let record = std::mem::take(&mut first.record);
                    self.spilled.push_back(Spilled(record));
                } else {
                    break 'lanes;
                }
                if let Some(account) = &first.account {
                    account.taken(bytes);
                }
                self.taken_shapes.extend(first.shape.take());
                lane.done = first.last;
                over |= lane.done;
                lane.records.pop_front();
            }
        }
        if over {
            self.lanes
                .retain(|lane| !lane.done || !lane.records.is_empty());
        }
    }

    /// The next spilled body.
    pub(super) fn next_spilled(&mut self) -> Option<Spilled> {
        self.spilled.pop_front()
    }

    /// The body was taken.
    pub(super) fn reuse(&mut self, Spilled(mut record): Spilled) {
        if record.capacity() <= REUSED {
            record.clear();
            self.room = record;
        }
    }

    /// Nobody takes anything any more: connections are not held back by it.
    pub(super) fn clear(&mut self) {
        for gathered in self.gathered.iter_mut().chain([&mut self.tail]) {
            gathered.uncount();
        }
        for single in self.lanes.iter().flat_map(|lane| &lane.records) {
            if let Some(account) = &single.account {
                account.taken(single.record.len());
            }
        }
        *self = Self::default();
    }

    /// Puts the gathered records in line.
    fn rotate(&mut self) {
        if !self.tail.records.is_empty() {
            let next = Gathered {
                records: std::mem::take(&mut self.spare),
                ..Gathered::default()
            };
            self.gathered
                .push_back(std::mem::replace(&mut self.tail, next));
            self.rotated += 1;
        }
    }
}

/// Requests and sessions are numbered apart.
fn key(head: &Head) -> u64 {
    u64::from(head.id) | u64::from(head.flags & EVENT) << 32
}

fn is_kept(shapes: &[Arc<Shape>], shape: &Arc<Shape>) -> bool {
    shapes.last().is_some_and(|kept| Arc::ptr_eq(kept, shape))
}

/// No record of the request follows, or none for a while.
fn is_last(head: &Head) -> bool {
    head.flags & (FINAL | ERROR | SUSPENDED | EVENT) != 0
}

#[cfg(test)]
#[path = "inbox_tests.rs"]
mod tests;
