//! Keeps statements off a node that must not serve them: the check in front of a statement, and what its answer means.
//!
//! ```text
//! packet   Sync │ Bind Execute Sync           answer   Z │ 2 D C Z
//!                                                      └ what the server was before the statement ran (CP-10)
//! ```
//!
//! Only this order proves something: a setting can be reloaded between any two messages, so the report behind a statement
//! does not tell under which setting the statement ran.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::FenceCheck;
use crate::conn::lag::Lag;
use crate::conn::request::{Request, Work};
use crate::conn::role::{Reported, Role};
use crate::conn::statement::Statement;

/// What the owner of a connection needs its server to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Demand {
    /// Anything.
    #[default]
    Nothing,
    /// A primary that takes writes.
    Writable,
    /// Out of recovery.
    OutOfRecovery,
}

impl Demand {
    /// Does a role meet it? An unknown one is not held against the server.
    #[must_use]
    const fn is_met_by(self, role: Role) -> bool {
        match self {
            Self::Nothing => true,
            Self::Writable => matches!(role, Role::Primary | Role::Unknown),
            Self::OutOfRecovery => !matches!(role, Role::Standby),
        }
    }
}

/// How a connection is guarded.
#[derive(Clone, Copy, Debug, Default)]
pub struct Policy {
    /// What its server must be.
    pub demand: Demand,
    /// How that is checked.
    pub check: FenceCheck,
    /// An answer younger than this stands for a check.
    pub fresh_for: Duration,
    /// How far a standby may replay behind.
    pub max_lag: Option<Duration>,
    /// A COMMIT that a fenced server has answered is not believed.
    pub strict: bool,
}

/// What travels in front of a statement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Check {
    /// Nothing.
    #[default]
    None,
    /// A bare Sync.
    Sync,
    /// `SHOW transaction_read_only`.
    Query,
    /// How far it replays behind.
    Lag,
}

impl Check {
    /// At least a Sync: something has to be awaited.
    #[must_use]
    pub const fn or_sync(self) -> Self {
        match self {
            Self::None => Self::Sync,
            check => check,
        }
    }
}

/// What one connection knows about its server.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "independent facts")]
pub struct Guard {
    policy: Policy,
    /// What the server has said about itself.
    pub reported: Reported,
    /// When ReadyForQuery came last.
    last_ready: Option<Instant>,
    /// How far it replays behind.
    pub lag: Lag,
    /// Outside a transaction, with the last ReadyForQuery.
    is_idle: bool,
    /// A statement touched the setting that fences: what is reported from now on means nothing.
    pub tainted: bool,
    /// A statement of the open transaction was called rolled back, and has to be, whatever the server is by now.
    pub withdrawn: bool,
    /// The session that had the connection begins anew on another one: nothing more is sent on this one.
    pub is_left: bool,
}

impl Guard {
    /// A guard of a connection whose server reported so much at login.
    #[must_use]
    pub const fn new(policy: Policy, reported: Reported) -> Self {
        Self {
            policy,
            reported,
            last_ready: None,
            lag: Lag::new(policy.max_lag),
            is_idle: true,
            tainted: false,
            withdrawn: false,
            is_left: false,
        }
    }

    /// May a COMMIT be sent?
    #[must_use]
    pub fn lets_commit(&self) -> bool {
        self.is_met() && !self.withdrawn
    }

    /// Is the server what it must be, as far as it has said?
    #[must_use]
    pub fn is_met(&self) -> bool {
        self.policy.demand.is_met_by(self.reported.role()) && self.lag.is_met()
    }

    /// May a COMMIT be believed that the server has answered while it was fenced?
    #[must_use]
    pub const fn believes(&self) -> bool {
        !self.policy.strict
    }

    /// Is there anything to guard?
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.policy.demand != Demand::Nothing || self.lag.is_limited()
    }

    /// May the BEGIN of another session be sent behind a COMMIT whose answer tells what the server is then?
    #[must_use]
    pub fn lets_succeed(&self) -> bool {
        let tells = self.reported.reports() && self.policy.check != FenceCheck::Query;
        !self.is_active() || self.is_met() && !self.lag.is_limited() && tells
    }

    /// ReadyForQuery came.
    pub fn ready(&mut self, now: Instant, is_idle: bool) {
        self.last_ready = Some(now);
        self.is_idle = is_idle;
    }

    /// What travels in front of a request that is the only one on its connection. Behind an unanswered one nothing does:
    /// the answer to that one tells the same.
    #[must_use]
    pub fn check(&self, request: &Request) -> Check {
        let checks = self.policy.check != FenceCheck::Off;
        let single = matches!(
            &request.work,
            Work::Execute { .. } | Work::Simple { .. } | Work::Open { .. }
        ) || request.work.copies_out();
        if !self.is_active() || !single || !self.is_idle || request.is_checked {
            return Check::None;
        }
        if self.lag.is_limited() {
            let is_due = self.lag.is_due(Instant::now());
            return if is_due { Check::Lag } else { Check::None };
        }
        if !checks {
            return Check::None;
        }
        // A write tells by itself: a fenced server refuses it with 25006.
        let writes = matches!(&request.work, Work::Execute { statement, begin: None, .. } if statement.writes);
        let is_fresh = || {
            let age = self.last_ready.map(|last| last.elapsed());
            age.is_some_and(|age| age < self.policy.fresh_for)
        };
        if writes || (!self.policy.fresh_for.is_zero() && is_fresh()) {
            return Check::None;
        }
        match (self.policy.check, self.reported.reports()) {
            (FenceCheck::Auto | FenceCheck::InBand, true) => Check::Sync,
            (FenceCheck::Auto, false) | (FenceCheck::Query, _) => Check::Query,
            (FenceCheck::InBand, false) | (FenceCheck::Off, _) => Check::None,
        }
    }

    /// Must the check be answered before the request is sent? It asks for a transaction that the fence does not hold
    /// back (CP-8), or its data cannot be taken back.
    #[must_use]
    pub fn must_wait(&self, request: &Request) -> bool {
        let is_due = self.is_active() && self.is_idle && !request.is_checked;
        is_due && (overrides(&request.work) || request.work.copies_out())
    }
}

/// Does it ask for a transaction that the fence does not hold back?
#[must_use]
pub fn overrides(work: &Work) -> bool {
    let asks = |begin: &Arc<Statement>| asks_to_write(&begin.text);
    match work {
        Work::Execute {
            statement, begin, ..
        } => statement.overrides_fence || begin.as_ref().is_some_and(asks),
        Work::Open { begin, .. } => begin.as_ref().is_some_and(asks),
        Work::Simple { statement, .. } => statement.overrides_fence,
        _ => false,
    }
}

/// Does a BEGIN name its access mode so? Each face writes it in its own letters.
fn asks_to_write(begin: &str) -> bool {
    const WORDS: &[u8] = b"read write";
    let mut places = begin.as_bytes().windows(WORDS.len());
    places.any(|place| place.eq_ignore_ascii_case(WORDS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_begin_that_asks_for_writes_is_seen_in_any_letters() {
        for (begin, overrides) in [
            ("BEGIN READ WRITE", true),
            (
                "start transaction isolation level serializable read write",
                true,
            ),
            ("begin", false),
            ("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY", false),
        ] {
            assert_eq!(asks_to_write(begin), overrides, "{begin}");
        }
    }

    #[test]
    fn what_is_demanded_is_met_by_these_roles() {
        use Demand::{Nothing, OutOfRecovery, Writable};
        use Role::{Fenced, Primary, Standby, Unknown};
        for (demand, met) in [
            (Nothing, [true, true, true, true]),
            (Writable, [true, false, false, true]),
            (OutOfRecovery, [true, true, false, true]),
        ] {
            let seen = [Primary, Fenced, Standby, Unknown].map(|role| demand.is_met_by(role));
            assert_eq!(seen, met, "{demand:?}");
        }
    }
}
