//! The server's clock as this process knows it (rule SC-9): learnt from answers, going on while the process is frozen.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A longer round trip says little about the moment in which the server looked at its clock.
const LONGEST_SAMPLE: Duration = Duration::from_secs(1);

/// Targets whose clock is remembered.
const MAX_TARGETS: usize = 1024;

/// One look at the server's clock.
#[derive(Clone, Copy, Debug)]
struct Sample {
    server: u64,
    wall: u64,
    at: Instant,
}

/// The clock of one server.
#[derive(Debug, Default)]
pub struct Clock(Mutex<Option<Sample>>);

/// Milliseconds since 1970 by this machine's clock.
#[must_use]
pub fn wall() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, whole)
}

/// Milliseconds of a time.
#[must_use]
pub fn whole(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl Clock {
    /// The clock that this process keeps for a target.
    #[must_use]
    pub fn of(target: &str) -> Arc<Self> {
        static CLOCKS: LazyLock<Mutex<HashMap<Box<str>, Arc<Clock>>>> =
            LazyLock::new(Mutex::default);
        let mut clocks = CLOCKS.lock().unwrap_or_else(PoisonError::into_inner);
        if clocks.len() >= MAX_TARGETS {
            clocks.retain(|_, clock| Arc::strong_count(clock) > 1);
        }
        Arc::clone(clocks.entry(target.into()).or_default())
    }

    fn sample(&self) -> std::sync::MutexGuard<'_, Option<Sample>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the server's time from an answer to what was asked at `asked`.
    pub fn learn(&self, server: u64, asked: Instant) {
        let took = asked.elapsed();
        let mut sample = self.sample();
        if took > LONGEST_SAMPLE && sample.is_some() {
            return;
        }
        *sample = Some(Sample {
            server: server.saturating_add(whole(took.min(LONGEST_SAMPLE) / 2)),
            wall: wall(),
            at: Instant::now(),
        });
    }

    /// The server's time, in milliseconds since 1970; this machine's until something was learnt.
    ///
    /// Of the two clocks that went on since the sample the later one counts: one may have stopped while the machine
    /// slept, the other may have been set back. Too late a time only renews a lease early.
    #[must_use]
    pub fn now(&self) -> u64 {
        let wall = wall();
        self.sample().map_or(wall, |sample| {
            let passed = wall.saturating_sub(sample.wall);
            sample
                .server
                .saturating_add(passed.max(whole(sample.at.elapsed())))
        })
    }

    /// How far the server's clock is from this machine's, either way.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.sample()
            .map_or(0, |sample| sample.server.abs_diff(sample.wall))
    }

    /// Is the server's clock known?
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.sample().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sc_9_the_offset_is_learnt_and_kept() {
        let clock = Clock::default();
        assert!(clock.now().abs_diff(wall()) < 100);
        let ahead = wall() + 600_000;
        clock.learn(ahead, Instant::now());
        assert!(clock.now().abs_diff(ahead) < 100);
        assert!(clock.offset().abs_diff(600_000) < 100);
    }

    #[test]
    fn sc_9_an_answer_that_took_long_does_not_spoil_what_is_known() {
        let clock = Clock::default();
        clock.learn(wall(), Instant::now());
        let Some(long_ago) = Instant::now().checked_sub(Duration::from_secs(60)) else {
            return;
        };
        clock.learn(wall() - 60_000, long_ago);
        assert!(clock.offset() < 100);
    }

    #[test]
    fn a_target_has_one_clock() {
        assert!(Arc::ptr_eq(&Clock::of("db:1"), &Clock::of("db:1")));
        assert!(!Arc::ptr_eq(&Clock::of("db:1"), &Clock::of("db:2")));
    }
}
