//! When the next pass of the reaper is due: one answer per process, target and service (rule SC-16).

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Longest time between passes while the lock is busy or passes fail. Source: pg-aequor 0.1.4.
const LONGEST: Duration = Duration::from_secs(600);

/// Targets that are remembered.
const MAX_TARGETS: usize = 1024;

#[derive(Debug, Default)]
struct State {
    /// The cooldown with its random part, drawn once.
    base: Option<Duration>,
    /// The time between passes at present: longer after passes that failed.
    current: Duration,
    next: Option<Instant>,
}

/// The time between passes on one target.
#[derive(Debug, Default)]
pub struct Cooldown(Mutex<State>);

/// A random time below `limit`.
fn random(limit: Duration) -> Duration {
    // Without randomness all processes come at the same time, which the lock sorts out.
    let roll = getrandom::u32().unwrap_or_default();
    limit.mul_f64(f64::from(roll) / (f64::from(u32::MAX) + 1.0))
}

/// Does an event of this probability happen?
#[must_use]
pub fn happens(probability: f64) -> bool {
    let roll = getrandom::u32().unwrap_or_default();
    f64::from(roll) / (f64::from(u32::MAX) + 1.0) < probability
}

impl Cooldown {
    /// The cooldown that this process keeps for a target and service.
    #[must_use]
    pub fn of(target: &str) -> Arc<Self> {
        static COOLDOWNS: LazyLock<Mutex<HashMap<Box<str>, Arc<Cooldown>>>> =
            LazyLock::new(Mutex::default);
        let mut cooldowns = COOLDOWNS.lock().unwrap_or_else(PoisonError::into_inner);
        if cooldowns.len() >= MAX_TARGETS {
            cooldowns.retain(|_, cooldown| Arc::strong_count(cooldown) > 1);
        }
        Arc::clone(cooldowns.entry(target.into()).or_default())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the turn if a pass is due; the next one is due a cooldown later.
    #[must_use]
    pub fn claim(&self, cooldown: Duration) -> bool {
        let now = Instant::now();
        let mut state = self.state();
        if state.next.is_some_and(|next| now < next) {
            return false;
        }
        let base = *state
            .base
            .get_or_insert_with(|| cooldown + random(cooldown / 3));
        // Another client of this process may be configured with a shorter one.
        if state.current.is_zero() || base > cooldown * 2 {
            state.base = Some(cooldown + random(cooldown / 3));
            state.current = state.base.unwrap_or(base);
        }
        state.next = now.checked_add(state.current + random(state.current / 2));
        true
    }

    /// Time until the next pass is due.
    #[must_use]
    pub fn left(&self) -> Duration {
        let next = self.state().next;
        next.map_or(Duration::ZERO, |next| {
            next.saturating_duration_since(Instant::now())
        })
    }

    /// The pass did not take place.
    pub fn give_back(&self) {
        self.state().next = None;
    }

    /// A pass is over that began at `began`. `well`: it had the lock and did not fail.
    pub fn finish(&self, began: Instant, well: bool) {
        let mut state = self.state();
        state.current = if well {
            state.base.unwrap_or(state.current)
        } else {
            (state.current.mul_f64(1.5)).min(LONGEST)
        };
        state.next = began.checked_add(state.current + random(state.current / 2));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COOLDOWN: Duration = Duration::from_secs(30);

    #[test]
    fn sc_16_one_pass_per_cooldown_for_all_clients_of_a_process() {
        let cooldown = Cooldown::of("sc_16");
        let turns = (0..40).filter(|_| Cooldown::of("sc_16").claim(COOLDOWN));
        assert_eq!(turns.count(), 1);
        cooldown.give_back();
        assert!(cooldown.claim(COOLDOWN));
    }

    #[test]
    fn a10_a_busy_lock_makes_the_time_longer_and_success_resets_it() {
        let cooldown = Cooldown::default();
        assert!(cooldown.claim(COOLDOWN));
        let began = Instant::now();
        let base = cooldown.state().current;
        assert!(base >= COOLDOWN && base < COOLDOWN * 4 / 3);
        for _ in 0..20 {
            cooldown.finish(began, false);
        }
        assert_eq!(cooldown.state().current, LONGEST);
        cooldown.finish(began, true);
        assert_eq!(cooldown.state().current, base);
        let next = cooldown.state().next.unwrap();
        assert!(next >= began + base && next <= began + base + base / 2);
    }

    #[test]
    fn probabilities_are_kept() {
        assert!((0..100).all(|_| !happens(0.0)));
        assert!((0..100).all(|_| happens(1.0)));
    }
}
