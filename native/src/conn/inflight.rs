//! One request on the wire: what was sent of it, and what has come of its answer.

use std::sync::Arc;
use std::time::Instant;

use crate::conn::doubt::Probing;
use crate::conn::guard::Check;
use crate::conn::request::{Command, Part, Request};
use crate::conn::statement::{Prepared, Statement};
use crate::error::{Error, Outcome};
use crate::field::Field;
use crate::frame::Plan;
use crate::wire::TransactionStatus;

/// Code of a result that is longer than the caller allows.
const TOO_LARGE: &str = "ERR_RESULT_TOO_LARGE";

/// How much of a request is on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// All of it.
    Whole,
    /// Nothing but the check in front; the request is encoded again afterwards.
    Check,
    /// Parse and Describe, to learn the parameter types; the request is encoded again afterwards.
    Preparation,
}

/// A request whose Sync is on the wire.
#[allow(clippy::struct_excessive_bools, reason = "independent facts")]
pub struct InFlight {
    /// The request.
    pub request: Request,
    /// Its prepared statement, unless unnamed or simple.
    pub prepared: Option<Arc<Prepared>>,
    /// Parse is part of this request.
    pub fresh: bool,
    /// The prepared BEGIN in front of it, unless that is unnamed.
    pub begin: Option<Arc<Prepared>>,
    /// The BEGIN in front was not answered yet.
    pub prelude: bool,
    /// What was sent of it.
    pub sent: Sent,
    /// How rows become frames.
    pub plan: Option<Arc<Plan>>,
    /// Where in the output stream its bytes begin.
    pub starts_at: u64,
    /// When it was sent, or its predecessor answered.
    pub since: Instant,
    /// Its round trip was taken, or cannot be because it was not sent alone.
    pub timed: bool,
    /// A BindComplete of it has arrived, so something of it may have run.
    pub bound: bool,
    /// The server's error.
    pub error: Option<Error>,
    /// Why the caller gave up, once a cancel is under way.
    pub cancelled: Option<Error>,
    /// Its session has gone while a COMMIT was in front of it: it is cancelled as soon as it can be.
    pub unwanted: bool,
    /// Why its result is not taken, whatever else becomes of it.
    pub refusal: Option<Error>,
    /// The check in front that was not answered yet.
    pub check: Check,
    /// Was the server what it must be, right before the statement ran?
    pub met: Option<bool>,
    /// It replays too far behind.
    pub is_late: bool,
    /// The server has warned that no standby has confirmed it (CP-1).
    pub unreplicated: bool,
    /// No transaction is open behind it, whatever its answer.
    pub leaves_idle: bool,
    /// In place of a COMMIT that must not be sent on a fenced node.
    pub fenced: bool,
    /// Where its probe is (CP-4).
    pub probe: Probing,
    /// What arrives now belongs to the probe.
    pub probing: bool,
    /// The probe was answered.
    pub probed: bool,
    /// The Parse of the probe's name is part of this request.
    pub names_probe: bool,
    pub(super) parameters: Vec<u32>,
    pub(super) command: Option<Command>,
    /// A COMMIT of its text was answered, so what fails behind that has not failed as a whole.
    committed: bool,
    pub(super) suspended: bool,
    /// Bytes of rows so far.
    pub(super) received: usize,
}

impl InFlight {
    /// A request about to be sent.
    #[must_use]
    pub fn new(request: Request, now: Instant) -> Self {
        Self {
            request,
            prepared: None,
            fresh: false,
            begin: None,
            prelude: false,
            sent: Sent::Whole,
            plan: None,
            starts_at: 0,
            since: now,
            timed: false,
            bound: false,
            error: None,
            cancelled: None,
            unwanted: false,
            refusal: None,
            check: Check::None,
            met: None,
            is_late: false,
            unreplicated: false,
            leaves_idle: false,
            fenced: false,
            probe: Probing::None,
            probing: false,
            probed: false,
            names_probe: false,
            parameters: Vec::new(),
            command: None,
            committed: false,
            suspended: false,
            received: 0,
        }
    }

    /// Is it a COMMIT that the server was asked for?
    pub(super) fn commits(&self) -> bool {
        self.request.part == Part::Commit && !self.fenced && !self.request.lacks
    }

    /// The moment at which it is given up, once it is what the server does.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let at_once = self.unwanted.then_some(self.since);
        at_once.or_else(|| self.request.deadline())
    }

    /// Is it the COMMIT of a session, which asks for nothing more? Whatever its answer, the server is outside a transaction
    /// behind it, unless it did not come to run it.
    pub(super) fn ends(&self) -> bool {
        self.request.part == Part::Commit && self.request.finish
    }

    /// The server's error, or what it means for a transaction of the driver. `commits`: it, or what is sent behind it, is a
    /// COMMIT, so that nothing of the transaction can be called rolled back.
    pub(super) fn take_error(&mut self, commits: bool) -> Option<Error> {
        let error = self.error.take();
        let code = error.as_ref().map(Error::code);
        let inside = self.met == Some(false) && self.request.part != Part::Single;
        if inside && self.is_late {
            // Its first statement already: nothing of it has been seen.
            return Some(self.unserved("transaction").lose_transaction());
        }
        if (self.fenced || inside) && code.map_or(!commits, |code| code == "25006") {
            return Some(Error::Fenced {
                what: "transaction",
            });
        }
        if self.request.lacks && error.is_none() {
            return Some(Error::TransactionRolledBack);
        }
        // The probe in front of COMMIT was refused in its place.
        if self.probe == Probing::Before && code == Some("25P02") {
            return Some(Error::TransactionRolledBack);
        }
        error
    }

    /// Why a node that must not serve it does not: `what` was asked.
    pub(super) fn unserved(&self, what: &'static str) -> Error {
        if !self.is_late {
            return Error::Fenced { what };
        }
        Error::Io {
            code: "ERR_LAG",
            problem: "the standby replays further behind than maxLagMs".into(),
        }
    }

    /// Why the caller gave it up while it was only being prepared: the statement itself never went out. `missed`: its
    /// transaction goes on without it.
    pub(super) fn given_up(&mut self, missed: &mut bool) -> Option<Error> {
        let reason = self.cancelled.take().map(Error::not_sent);
        *missed |= reason.is_some() && self.request.part == Part::Inside;
        reason
    }

    /// A statement of it is over. Gives whether the server has let all prepared statements go.
    pub(super) fn complete(&mut self, tag: &str) -> bool {
        self.committed |= self.request.work.may_be_several()
            && ["COMMIT", "PREPARE TRANSACTION", "COMMIT PREPARED"].contains(&tag);
        self.command = Some(Command { tag: tag.into() });
        ["DISCARD ALL", "DEALLOCATE ALL"].contains(&tag)
    }

    /// An error that was answered, as far as it speaks for all of the text.
    pub(super) fn overall(&self, error: Error) -> Error {
        if self.committed && error.outcome() == Outcome::Failed {
            return Error::Partly {
                cause: Box::new(error),
            };
        }
        error
    }

    /// Is it a COMMIT that the server has answered with ROLLBACK?
    pub(super) fn is_rolled_back(&self) -> bool {
        let is = |command: &Command| command.word() == "ROLLBACK";
        self.request.part == Part::Commit && self.command.as_ref().is_some_and(is)
    }

    /// Is only its prepared statement at fault, with nothing of it carried out?
    pub(super) fn goes_again(&self, stale: Option<&Stale>, status: TransactionStatus) -> bool {
        let is_unrun = match stale {
            Some(Stale::Begin) => true,
            Some(Stale::Gone | Stale::Changed) => self.request.part == Part::Single,
            None => false,
        };
        is_unrun
            && !self.request.repeated
            && self.cancelled.is_none()
            && status == TransactionStatus::Idle
    }

    /// The request, to be encoded once more: as a repetition, or behind what was sent of it.
    ///
    /// What the server had lost is sent without a name: behind a pooler the next session may not know that either. Not so behind a
    /// lost BEGIN: all of it is parsed anew in the packet that uses it.
    pub(super) fn into_next(self, again: bool, stale: Option<&Stale>) -> Request {
        let mut request = self.request;
        request.repeated |= again;
        if again && matches!(stale, Some(Stale::Gone)) {
            request.work.unname();
        }
        if self.sent == Sent::Check {
            request.is_checked = true;
        } else if !self.prelude {
            request.work.begun();
            request.described = self.prepared.filter(|prepared| prepared.name.is_empty());
        }
        request
    }

    /// Are there more bytes of rows than the caller allows?
    pub(super) fn is_too_large(&self) -> bool {
        matches!(
            self.refusal,
            Some(Error::Result {
                code: TOO_LARGE,
                ..
            })
        )
    }

    /// Is there room for so many bytes of rows? If not, nothing more of the result is taken.
    pub(super) fn has_room_for(&mut self, bytes: usize) -> bool {
        let received = self.received.saturating_add(bytes);
        if let Some(limit) = self.request.max_result.filter(|max| received > *max) {
            self.refusal.get_or_insert_with(|| Error::Result {
                code: TOO_LARGE,
                problem: format!("the result has more than the {limit} bytes of maxResultBytes")
                    .into(),
                outcome: Outcome::Failed,
            });
        }
        self.refusal.is_none()
    }
}

/// The column came in a format that nobody asked for.
pub(super) fn unreadable(field: &Field) -> Error {
    Error::Result {
        code: "ERR_RESULT_FORMAT",
        problem: format!(
            "column \"{}\" came in the binary format of type {}, which is not read; declare the cursor without BINARY",
            field.name, field.type_oid
        )
        .into(),
        outcome: Outcome::Unknown,
    }
}

/// What `pg` leaves out without a word: a statement of the simple protocol is answered as there.
pub(super) fn homeless() -> Error {
    Error::Result {
        code: "ERR_RESULT_FORMAT",
        problem: "the data of COPY TO STDOUT has no place among rows; use copyTo".into(),
        outcome: Outcome::Unknown,
    }
}

/// Why a prepared statement cannot be used any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stale {
    /// The server does not know it.
    Gone,
    /// The server does not know the BEGIN in front of it, so nothing was run.
    Begin,
    /// The server knows it, but its result type has changed.
    Changed,
}

impl InFlight {
    /// What it was to have parsed and has not: those names were never taken.
    pub(super) fn unparsed(&self) -> impl Iterator<Item = (&Arc<Statement>, &Arc<Prepared>)> {
        let own = self.prepared.as_ref().filter(|_| self.fresh);
        let work = &self.request.work;
        [
            work.begin().zip(self.begin.as_ref()),
            work.statement().zip(own),
        ]
        .into_iter()
        .flatten()
        .filter(|(_, prepared)| prepared.parsed.get().is_none())
    }

    /// Does the error mean that the cached statement, not the caller's request, is at fault?
    pub(super) fn staleness(&self, error: &Error) -> Option<Stale> {
        let Error::Server(server) = error else {
            return None;
        };
        if self.prelude {
            let kept = (self.begin.as_ref()).is_some_and(|begin| begin.parsed.get().is_some());
            return (kept && &*server.code == "26000").then_some(Stale::Begin);
        }
        if self.fresh || self.prepared.as_ref().is_none_or(|prepared| prepared.own) {
            return None;
        }
        match (&*server.code, server.routine.as_deref()) {
            ("26000", _) => Some(Stale::Gone),
            // The latter: a column has got another type, and the parameter beside it still has that of the first Parse.
            ("0A000", Some("RevalidateCachedQuery")) | ("42883" | "42804" | "42846", _) => {
                Some(Stale::Changed)
            }
            _ => None,
        }
    }
}
