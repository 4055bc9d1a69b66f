//! The books of a pool: which connection is in whose hands, and who waits. No I/O, no clock of its own.
//!
//! Invariants, whatever happens: open + opening ≤ max; a connection is idle, shared or held, never two of these; every
//! waiter leaves the queue exactly once and in the order of arrival.

mod spread;
mod succession;

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use crate::error::Counts;

pub use self::spread::Spread;
pub use self::succession::Predecessor;

/// Who uses a connection.
#[derive(Debug, PartialEq, Eq)]
pub enum Use<H> {
    /// Nobody.
    Idle,
    /// Autocommit statements of any callers; so many are unanswered.
    Shared(usize),
    /// One session, until it is over.
    Held(H),
    /// The pool itself: a rollback brings it back into a clean state.
    Cleaning,
}

/// One open connection.
#[derive(Debug)]
pub struct Entry<C, H> {
    /// The connection.
    pub connection: C,
    /// Who uses it.
    pub usage: Use<H>,
    /// Every statement on it is known to be short, so that another may queue behind them.
    quick: bool,
    /// Since when it is in its present use, or made progress there.
    since: Instant,
    /// When its life ends.
    expires: Instant,
    /// It was taken out to be closed: news that come meanwhile do not bring it back.
    leaves: bool,
    /// Whose COMMIT is in front of whatever the holder asks.
    predecessor: Option<Predecessor<H>>,
    uses: u64,
    /// Which node it leads to.
    node: usize,
}

/// Somebody who waits for a connection.
#[derive(Debug)]
pub struct Waiter<W> {
    /// What for.
    pub wanted: W,
    /// Since when.
    pub since: Instant,
    /// Until when.
    pub deadline: Instant,
}

/// What a waiter needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// A connection to itself.
    Whole,
    /// A connection to itself, for one statement.
    Single,
    /// A short statement that may travel behind others.
    Shared,
}

/// Bounds of a pool.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Most connections.
    pub max: usize,
    /// Connections kept although idle.
    pub min_idle: usize,
    /// Unanswered statements on a shared connection.
    pub depth: usize,
    /// Idle longer than this: closed. `None`: never.
    pub idle_timeout: Option<Duration>,
    /// Uses after which a connection is replaced.
    pub max_uses: Option<u64>,
    /// How checkouts are spread over nodes; `None`: the warmest connection, wherever it leads.
    pub spread: Option<Spread>,
}

/// A shared connection without progress for so long gets no further statements: something slow is in front.
const STALLED: Duration = Duration::from_millis(5);

/// The books.
#[derive(Debug)]
pub struct Books<C, H, W> {
    bounds: Bounds,
    /// By number. None is given twice: of a connection that has ended there may still be news on its way, on another thread.
    entries: BTreeMap<usize, Entry<C, H>>,
    /// The number of the next one.
    next: usize,
    /// Slots of idle connections; the last one returned is the first one taken, because its backend is warm.
    idle: Vec<usize>,
    waiters: VecDeque<Waiter<W>>,
    opening: usize,
    ended: bool,
    /// Node of the last checkout.
    last_node: usize,
}

impl<C: Clone, H, W> Books<C, H, W> {
    /// Empty books.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            entries: BTreeMap::new(),
            next: 0,
            idle: Vec::new(),
            waiters: VecDeque::new(),
            opening: 0,
            ended: false,
            last_node: usize::MAX,
        }
    }

    /// The counts users see.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            max: self.bounds.max,
            size: self.entries.len(),
            available: self.idle.len(),
            opening: self.opening,
            waiting: self.waiters.len(),
        }
    }

    /// No new work is accepted any more.
    pub fn end(&mut self) -> Vec<Waiter<W>> {
        self.ended = true;
        self.waiters.drain(..).collect()
    }

    /// Was the pool ended?
    #[must_use]
    pub const fn is_ended(&self) -> bool {
        self.ended
    }

    /// Is every connection gone, and none on its way?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.opening == 0
    }

    /// Nothing is in use: the next statement has the engine to itself.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.idle.len() == self.entries.len() && self.waiters.is_empty()
    }

    /// A connection for somebody who arrives now; `None`: join the queue. Nobody overtakes the queue.
    pub fn place(&mut self, need: Need, now: Instant) -> Option<(usize, C)> {
        if self.waiters.is_empty() {
            self.take(need, now)
        } else {
            None
        }
    }

    /// Joins the queue.
    pub fn wait(&mut self, waiter: Waiter<W>) {
        self.waiters.push_back(waiter);
    }

    /// Goes back to the front of the queue: its connection ended before anything was sent.
    pub fn wait_again(&mut self, waiter: Waiter<W>) {
        self.waiters.push_front(waiter);
    }

    /// Since when the next waiter has waited.
    #[must_use]
    pub fn waiting_since(&self) -> Option<Instant> {
        self.waiters.front().map(|waiter| waiter.since)
    }

    /// Has the life of this connection ended, by age or by use?
    #[must_use]
    pub fn is_worn(&self, slot: usize, now: Instant) -> bool {
        self.entries.get(&slot).is_some_and(|entry| {
            entry.expires <= now || self.bounds.max_uses.is_some_and(|max| entry.uses >= max)
        })
    }

    /// The next waiter that can be served, with its connection.
    pub fn serve(&mut self, need: impl Fn(&W) -> Need, now: Instant) -> Option<(W, usize, C)> {
        let need = need(&self.waiters.front()?.wanted);
        let (slot, connection) = self.take(need, now)?;
        let waiter = self.waiters.pop_front()?;
        Some((waiter.wanted, slot, connection))
    }

    fn take(&mut self, need: Need, now: Instant) -> Option<(usize, C)> {
        while let Some(slot) = self.pop_idle() {
            if let Some(entry) = self.entries.get_mut(&slot) {
                entry.usage = Use::Shared(usize::from(need != Need::Whole));
                entry.quick = need == Need::Shared;
                entry.since = now;
                entry.uses += 1;
                return Some((slot, entry.connection.clone()));
            }
        }
        let full = self.entries.len() >= self.bounds.max || self.opening > 0;
        if need != Need::Shared || !full {
            return None;
        }
        let depth = self.bounds.depth;
        let (slot, entry) = self
            .entries
            .iter_mut()
            .filter(|(_, entry)| {
                entry.quick
                    && matches!(entry.usage, Use::Shared(unanswered) if unanswered < depth)
                    && now.saturating_duration_since(entry.since) < STALLED
            })
            .min_by_key(|(_, entry)| match entry.usage {
                Use::Shared(unanswered) => unanswered,
                _ => usize::MAX,
            })?;
        if let Use::Shared(unanswered) = &mut entry.usage {
            *unanswered += 1;
        }
        entry.uses += 1;
        Some((*slot, entry.connection.clone()))
    }

    /// A taken connection is handed to a session for as long as it likes.
    pub fn hold(&mut self, slot: usize, holder: H) {
        if let Some(entry) = self.entries.get_mut(&slot) {
            entry.usage = Use::Held(holder);
        }
    }

    /// The entry of a connection.
    pub fn entry(&mut self, slot: usize) -> Option<&mut Entry<C, H>> {
        self.entries.get_mut(&slot)
    }

    /// Statements of a shared connection were answered; returns whether none is left.
    pub fn answered(&mut self, slot: usize, finished: usize, now: Instant) -> bool {
        let Some(entry) = self.entries.get_mut(&slot) else {
            return false;
        };
        let Use::Shared(unanswered) = &mut entry.usage else {
            return false;
        };
        *unanswered = unanswered.saturating_sub(finished);
        entry.since = now;
        *unanswered == 0
    }

    /// The pool itself gives a connection back. `Some`: its life is over, close it; its slot stays until it is closed.
    ///
    /// Two may find it free at once: the second one changes nothing.
    pub fn release(&mut self, slot: usize, now: Instant) -> Option<C> {
        let entry = self.entries.get_mut(&slot)?;
        if !matches!(entry.usage, Use::Cleaning | Use::Shared(0)) {
            return None;
        }
        let worn =
            entry.expires <= now || self.bounds.max_uses.is_some_and(|max| entry.uses >= max);
        if worn || self.ended || entry.leaves {
            entry.usage = Use::Cleaning;
            return Some(entry.connection.clone());
        }
        entry.usage = Use::Idle;
        entry.since = now;
        self.idle.push(slot);
        None
    }

    /// The pool itself has the connection from now on.
    pub fn clean(&mut self, slot: usize) -> bool {
        let entry = self.entries.get_mut(&slot);
        entry.is_some_and(|entry| {
            entry.usage = Use::Cleaning;
            true
        })
    }

    /// Takes a connection that nobody uses out of the idle ones; `false` when somebody does.
    pub fn take_idle(&mut self, slot: usize) -> bool {
        let before = self.idle.len();
        self.idle.retain(|idle| *idle != slot);
        if self.idle.len() == before {
            return false;
        }
        if let Some(entry) = self.entries.get_mut(&slot) {
            entry.usage = Use::Cleaning;
        }
        true
    }

    /// Has one caller the connection for himself?
    pub fn is_held(&mut self, slot: usize) -> bool {
        let entry = self.entries.get_mut(&slot);
        entry.is_some_and(|entry| matches!(entry.usage, Use::Held(_)))
    }

    /// May, and should, another connection be opened, with at most `limit` at a time? Then it is counted at once.
    pub fn may_open(&mut self, limit: usize) -> bool {
        let room = self.entries.len() + self.opening < self.bounds.max
            && self.opening < limit
            && !self.ended;
        let wanted = self.waiters.len() > self.opening
            || self.entries.len() + self.opening < self.bounds.min_idle;
        let open = room && wanted;
        self.opening += usize::from(open);
        open
    }

    /// Should the first connection be opened for somebody who is about to come? Then it is counted at once.
    pub fn may_open_first(&mut self) -> bool {
        let open = self.is_empty() && !self.ended;
        self.opening += usize::from(open);
        open
    }

    /// An attempt to open ended without a connection.
    pub fn open_failed(&mut self) {
        self.opening = self.opening.saturating_sub(1);
    }

    /// The slot the next connection will have.
    #[must_use]
    pub const fn next_slot(&self) -> usize {
        self.next
    }

    /// An attempt to open succeeded. The connection is in nobody's hands until it is released for the first time.
    pub fn opened(&mut self, connection: C, node: usize, expires: Instant, now: Instant) -> usize {
        self.opening = self.opening.saturating_sub(1);
        let slot = self.next;
        self.next += 1;
        let entry = Entry {
            connection,
            usage: Use::Cleaning,
            quick: false,
            since: now,
            expires,
            leaves: false,
            predecessor: None,
            uses: 0,
            node,
        };
        self.entries.insert(slot, entry);
        slot
    }

    /// A connection is over; returns who held it, and whose COMMIT was in front of him.
    pub fn closed(&mut self, slot: usize) -> Option<(Use<H>, Option<Predecessor<H>>)> {
        self.idle.retain(|idle| *idle != slot);
        let entry = self.entries.remove(&slot)?;
        Some((entry.usage, entry.predecessor))
    }

    /// Waiters that match leave the queue.
    pub fn leave(&mut self, matches: impl Fn(&Waiter<W>) -> bool) -> Vec<Waiter<W>> {
        if !self.waiters.iter().any(&matches) {
            return Vec::new();
        }
        let (left, kept): (Vec<_>, Vec<_>) = self.waiters.drain(..).partition(matches);
        self.waiters = kept.into();
        left
    }

    /// Idle connections whose time is over leave the idle list, oldest use first; `min_idle` are kept.
    pub fn retire(&mut self, now: Instant) -> Vec<C> {
        let spare = self.entries.len().saturating_sub(self.bounds.min_idle);
        let (idle_timeout, ended) = (self.bounds.idle_timeout, self.ended);
        let mut retired = Vec::new();
        let entries = &mut self.entries;
        self.idle.retain(|slot| {
            let Some(entry) = entries.get_mut(slot) else {
                return false;
            };
            let bored = idle_timeout
                .is_some_and(|limit| now.saturating_duration_since(entry.since) >= limit)
                && retired.len() < spare;
            if ended || bored || entry.expires <= now {
                (entry.usage, entry.leaves) = (Use::Cleaning, true);
                retired.push(entry.connection.clone());
                return false;
            }
            true
        });
        retired
    }

    /// A connection gets nothing new any more, and ends when what it does is over.
    pub fn condemn(&mut self, slot: usize, now: Instant) {
        if let Some(entry) = self.entries.get_mut(&slot) {
            entry.quick = false;
            entry.expires = now;
        }
    }

    /// Idle connections that match leave the idle list, to be closed.
    pub fn evict(&mut self, matches: impl Fn(&C) -> bool) -> Vec<C> {
        let mut evicted = Vec::new();
        let entries = &mut self.entries;
        self.idle.retain(|slot| {
            let Some(entry) = entries
                .get_mut(slot)
                .filter(|entry| matches(&entry.connection))
            else {
                return true;
            };
            (entry.usage, entry.leaves) = (Use::Cleaning, true);
            evicted.push(entry.connection.clone());
            false
        });
        evicted
    }

    /// Does anybody wait, or are fewer connections open than are kept open?
    #[must_use]
    pub fn wants(&self) -> bool {
        !self.ended && (!self.waiters.is_empty() || self.entries.len() < self.bounds.min_idle)
    }

    /// When something in the books is due next.
    #[must_use]
    pub fn next_alarm(&self) -> Option<Instant> {
        let waiters = self.waiters.iter().map(|waiter| waiter.deadline);
        let idle = self.idle.iter().filter_map(|slot| self.entries.get(slot));
        let spare = self.entries.len() > self.bounds.min_idle;
        let idle_timeout = self.bounds.idle_timeout.filter(|_| spare);
        waiters
            .chain(self.successions())
            .chain(idle.map(|entry| {
                let bored = idle_timeout.and_then(|limit| entry.since.checked_add(limit));
                bored.map_or(entry.expires, |bored| bored.min(entry.expires))
            }))
            .min()
    }

    /// Every open connection.
    pub fn connections(&self) -> impl Iterator<Item = &Entry<C, H>> {
        self.entries.values()
    }
}

#[cfg(test)]
mod tests;
