//! What a pool counts: statements, connections, waits. Exact over its life, one short lock per event.
//!
//! Times are whole microseconds. A histogram keeps them in buckets whose middle is less than 1.6 % off, so that any
//! percentile can be told within 3 %, and count, sum, least and most exactly.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Below this every microsecond has a bucket of its own.
const FINE: u64 = 64;
/// Buckets per doubling above it.
const STEPS: usize = 32;
/// Doublings above it: up to some 38 hours, what is longer counts as that.
const DOUBLINGS: usize = 31;
const BUCKETS: usize = 64 + STEPS * DOUBLINGS;

/// Times of one kind.
#[derive(Clone, Debug)]
pub struct Histogram {
    buckets: Vec<u64>,
    /// How many.
    pub count: u64,
    /// Microseconds in all.
    pub sum: u64,
    /// The shortest, in microseconds.
    pub min: u64,
    /// The longest, in microseconds.
    pub max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            buckets: vec![0; BUCKETS],
            count: 0,
            sum: 0,
            min: 0,
            max: 0,
        }
    }
}

impl Histogram {
    /// Adds a time.
    pub fn record(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        if let Some(bucket) = self.buckets.get_mut(bucket_of(micros)) {
            *bucket += 1;
        }
        self.min = if self.count == 0 {
            micros
        } else {
            self.min.min(micros)
        };
        self.max = self.max.max(micros);
        self.count += 1;
        self.sum = self.sum.saturating_add(micros);
    }

    /// The buckets that hold something: the middle of each in microseconds, and how many.
    pub fn filled(&self) -> impl Iterator<Item = (u64, u64)> {
        self.buckets
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0)
            .map(|(index, count)| (middle_of(index), *count))
    }
}

fn bucket_of(micros: u64) -> usize {
    if micros < FINE {
        return usize::try_from(micros).unwrap_or_default();
    }
    let doubling = usize::try_from(micros.ilog2() - FINE.ilog2()).unwrap_or(DOUBLINGS);
    if doubling >= DOUBLINGS {
        return BUCKETS - 1;
    }
    // The six highest bits are 32 to 63.
    let step = usize::try_from(micros >> (doubling + 1)).unwrap_or_default() - STEPS;
    64 + doubling * STEPS + step
}

fn middle_of(index: usize) -> u64 {
    let Some(above) = index.checked_sub(64) else {
        return u64::try_from(index).unwrap_or_default();
    };
    let (doubling, step) = (above / STEPS, above % STEPS);
    let low = u64::try_from(STEPS + step).unwrap_or_default() << (doubling + 1);
    low + (1 << doubling)
}

/// Why a connection was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Nobody used it for long enough.
    Idle,
    /// It was old, or used often enough.
    Lifetime,
    /// It was lost, or given up in an unknown state.
    Error,
    /// The pool has ended.
    Shutdown,
}

/// Classes of SQLSTATE that are counted apart. What a server says beyond them is `other`: it must not make up names.
pub const CLASSES: [&str; 16] = [
    "08", "0A", "21", "22", "23", "25", "28", "40", "42", "53", "54", "55", "57", "58", "P0", "XX",
];

/// Everything counted so far.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Connections opened.
    pub opened: u64,
    /// Connections closed, by [`Reason`].
    pub closed: [u64; 4],
    /// Connections handed out.
    pub acquired: u64,
    /// Waiters that got none in time.
    pub acquire_timeouts: u64,
    /// Statements answered, or lost.
    pub statements: u64,
    /// Rows received.
    pub rows: u64,
    /// Bytes received.
    pub received: u64,
    /// Bytes sent.
    pub sent: u64,
    /// Statements refused by the server, by class.
    pub refused: [u64; CLASSES.len()],
    /// Statements refused with another class.
    pub refused_other: u64,
    /// Statements that ended without the server's answer.
    pub unanswered: u64,
    /// Statements given up while they ran, by a time limit or by the caller.
    pub cancels: u64,
    /// Waits for a connection.
    pub waits: Histogram,
    /// From sending a statement, or being the next to be answered, to its last answer.
    pub times: Histogram,
    /// From sending a statement alone to the first of its answer.
    pub trips: Histogram,
}

/// How a statement ended.
#[derive(Clone, Copy, Debug)]
pub enum Ending<'a> {
    /// Well.
    Well,
    /// The server refused it, with this SQLSTATE.
    Refused(&'a str),
    /// Without an answer.
    Lost,
}

/// The counters of one pool.
#[derive(Debug, Default)]
pub struct Metrics {
    figures: Mutex<Figures>,
}

impl Metrics {
    fn lock(&self) -> MutexGuard<'_, Figures> {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All figures of one moment.
    #[must_use]
    pub fn figures(&self) -> Figures {
        self.lock().clone()
    }

    /// A connection was opened.
    pub fn opened(&self) {
        self.lock().opened += 1;
    }

    /// A connection was closed.
    pub fn closed(&self, reason: Reason) {
        let [idle, lifetime, error, shutdown] = &mut self.lock().closed;
        *match reason {
            Reason::Idle => idle,
            Reason::Lifetime => lifetime,
            Reason::Error => error,
            Reason::Shutdown => shutdown,
        } += 1;
    }

    /// Somebody got a connection after so long.
    pub fn acquired(&self, waited: Duration) {
        let mut figures = self.lock();
        figures.acquired += 1;
        figures.waits.record(waited);
    }

    /// A statement was given up while it ran.
    pub fn cancelled(&self) {
        self.lock().cancels += 1;
    }

    /// Statements given up while they ran.
    #[must_use]
    pub fn cancels(&self) -> u64 {
        self.lock().cancels
    }

    /// So many waiters got no connection in time.
    pub fn acquire_timeouts(&self, count: u64) {
        self.lock().acquire_timeouts += count;
    }

    /// A statement has ended.
    pub fn statement(&self, took: Duration, trip: Option<Duration>, rows: u64, ending: Ending<'_>) {
        let mut figures = self.lock();
        figures.statements += 1;
        figures.rows += rows;
        figures.times.record(took);
        if let Some(trip) = trip {
            figures.trips.record(trip);
        }
        match ending {
            Ending::Well => {}
            Ending::Lost => figures.unanswered += 1,
            Ending::Refused(code) => {
                let class = CLASSES.iter().position(|class| code.starts_with(class));
                match class.and_then(|class| figures.refused.get_mut(class)) {
                    Some(count) => *count += 1,
                    None => figures.refused_other += 1,
                }
            }
        }
    }

    /// Bytes went over a connection.
    pub fn traffic(&self, received: u64, sent: u64) {
        let mut figures = self.lock();
        figures.received += received;
        figures.sent += sent;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_has_a_bucket_whose_middle_is_near() {
        let mut last = 0;
        for micros in (0..200_u64).chain((8..41).flat_map(|bit| {
            let power = 1_u64 << bit;
            [power - 1, power, power + 1, power + power / 3]
        })) {
            if micros >= 1 << 36 {
                continue;
            }
            let bucket = bucket_of(micros);
            assert!(bucket < BUCKETS, "{micros}");
            let middle = middle_of(bucket);
            let off = middle.abs_diff(micros);
            assert!(off * 1000 <= micros * 16, "{micros}: {middle}");
            last = last.max(bucket);
        }
        assert!(last > 900);
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn buckets_are_in_the_order_of_time() {
        let buckets: Vec<_> = (0..100_000).map(bucket_of).collect();
        assert!(
            buckets
                .windows(2)
                .all(|pair| matches!(pair, [a, b] if b - a <= 1))
        );
    }

    #[test]
    fn a_histogram_keeps_count_sum_and_bounds_exactly() {
        let mut times = Histogram::default();
        for micros in [5, 1000, 250_000] {
            times.record(Duration::from_micros(micros));
        }
        assert_eq!(
            (times.count, times.sum, times.min, times.max),
            (3, 251_005, 5, 250_000)
        );
        assert_eq!(times.filled().map(|(_, count)| count).sum::<u64>(), 3);
    }

    #[test]
    fn classes_that_a_server_makes_up_are_counted_together() {
        let metrics = Metrics::default();
        for code in ["23505", "23503", "ZZ999", "\u{0}\u{0}"] {
            metrics.statement(Duration::ZERO, None, 1, Ending::Refused(code));
        }
        metrics.statement(Duration::ZERO, None, 1, Ending::Lost);
        let figures = metrics.figures();
        assert_eq!(figures.refused.iter().sum::<u64>(), 2);
        assert_eq!(
            (figures.refused_other, figures.unanswered, figures.rows),
            (2, 1, 5)
        );
    }
}
