//! Answers of a node that must not serve them: what is withheld, and which requests go to another node.

use crate::conn::answers::Answers;
use crate::conn::guard::Check;
use crate::conn::inflight::Sent;
use crate::conn::request::{LocalResult, Reply};
use crate::conn::role::Role;
use crate::error::Error;
use crate::frame::FrameBuilder;
use crate::wire::TransactionStatus;

impl Answers {
    /// A statement that certainly had no effect on a node that must not serve it goes to another one: nothing of its
    /// answer is delivered (CP-10, and 25006 as the last line).
    pub(super) fn moves(&mut self, status: TransactionStatus, error: Option<&Error>) -> bool {
        let Some(sent) = self.sent.front_mut() else {
            return false;
        };
        let can_move = status == TransactionStatus::Idle
            && sent.request.is_alone()
            && sent.sent == Sent::Whole
            && sent.cancelled.is_none()
            && self.guard.is_active();
        let refused = error.is_some_and(|error| error.code() == "25006");
        let reports = self.guard.reported.reports();
        if can_move && refused && !reports {
            self.guard.reported.shown(Role::Fenced);
        }
        let read = error.is_none()
            && sent
                .command
                .as_ref()
                .is_some_and(|command| matches!(command.word(), "SELECT" | "SHOW" | "FETCH"));
        let moves = can_move
            && match sent.met {
                // Fenced before and behind it, so in between as well.
                Some(false) => (refused || read) && !self.guard.is_met(),
                _ => refused && !self.guard.is_met(),
            };
        if !moves {
            return false;
        }
        let Some(mut sent) = self.sent.pop_front() else {
            return false;
        };
        if self.builder.rows() > 0 {
            self.builder = FrameBuilder::new();
        }
        if let Reply::Local(local) = &mut sent.request.reply {
            local.result = LocalResult::default();
        }
        self.finished += 1;
        self.follow(&sent.request, None);
        self.elsewhere.push(sent.request);
        if let Some(next) = self.sent.front_mut() {
            next.since = self.now;
            next.met = Some(self.guard.is_met());
        }
        true
    }

    /// ReadyForQuery behind the check in front of a statement.
    pub(super) fn checked(&mut self) {
        let met = self.guard.is_met();
        if let Some(sent) = self.sent.front_mut() {
            sent.check = Check::None;
            // What the check itself stumbled over is not the caller's affair.
            sent.error = None;
            sent.met = Some(met);
            sent.is_late = !self.guard.lag.is_met();
        }
    }
}
