//! A time in which nothing is due for a lease: what a statement asks first, because it costs one look at a clock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::lease::clock::{wall, whole};

/// The longest such time: whatever becomes due earlier than was thought (another clock, a pass given back) waits no longer.
const LONGEST: Duration = Duration::from_secs(1);

/// A span of time by this machine's clock, in milliseconds since 1970. A clock that is set back ends it, and one that goes
/// on while the machine sleeps does too.
#[derive(Debug, Default)]
pub(super) struct Quiet {
    from: AtomicU64,
    until: AtomicU64,
}

impl Quiet {
    /// Begins now, for as long as nothing is due, but not for ever.
    pub(super) fn begin(&self, nothing_for: Duration) {
        let now = wall();
        self.from.store(now, Ordering::Relaxed);
        let until = now.saturating_add(whole(nothing_for.min(LONGEST)));
        self.until.store(until, Ordering::Relaxed);
    }

    /// Something may be due after all.
    pub(super) fn end(&self) {
        self.until.store(0, Ordering::Relaxed);
    }

    /// Is nothing due yet?
    pub(super) fn lasts(&self) -> bool {
        let until = self.until.load(Ordering::Relaxed);
        let now = wall();
        self.from.load(Ordering::Relaxed) <= now && now < until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_an_end_and_a_beginning() {
        let quiet = Quiet::default();
        assert!(!quiet.lasts(), "before it has begun");
        quiet.begin(Duration::from_secs(3600));
        assert!(quiet.lasts());
        let most = wall() + whole(LONGEST);
        assert!(quiet.until.load(Ordering::Relaxed) <= most);
        quiet.begin(Duration::ZERO);
        assert!(!quiet.lasts(), "something is due");
        quiet.begin(LONGEST);
        quiet.end();
        assert!(!quiet.lasts(), "something is due after all");
        quiet.begin(LONGEST);
        quiet.from.store(wall() + 60_000, Ordering::Relaxed);
        quiet.until.store(wall() + 61_000, Ordering::Relaxed);
        assert!(!quiet.lasts(), "the clock was set back");
    }
}
