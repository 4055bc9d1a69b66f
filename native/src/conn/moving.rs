//! Answers of a node that must not serve them: what is withheld, and which requests go to another node.

use crate::conn::Connection;
use crate::conn::answers::Answers;
use crate::conn::guard::Check;
use crate::conn::inflight::Sent;
use crate::conn::request::{Command, LocalResult, Part, Place, Reply, Request};
use crate::conn::role::Role;
use crate::error::Error;
use crate::frame::FrameBuilder;
use crate::wire::TransactionStatus;

/// The request goes to another node.
pub(super) struct Moved;

impl Answers {
    /// A statement that certainly had no effect on a node that must not serve it goes to another one: nothing of its
    /// answer is delivered (CP-10, and 25006 as the last line). One that its session needs there fails instead.
    pub(super) fn withhold(
        &mut self,
        status: TransactionStatus,
        error: Option<Error>,
    ) -> Result<Option<Error>, Moved> {
        if status != TransactionStatus::Idle || !self.is_to_be_withheld(error.as_ref()) {
            return Ok(error);
        }
        let is_followed = self.sent.len() > 1;
        let Some(mut sent) = self.sent.pop_front() else {
            return Ok(error);
        };
        let stays = match sent.request.place {
            Place::Free => false,
            Place::First => is_followed,
            Place::Behind => true,
        };
        if stays {
            // Sent anew it would overtake its neighbours, or miss what they have left in the session.
            let refusal = sent.unserved("statement");
            self.sent.push_front(sent);
            return Ok(Some(refusal));
        }
        if self.builder.rows() > 0 {
            self.builder = FrameBuilder::new();
        }
        if let Reply::Local(local) = &mut sent.request.reply {
            local.result = LocalResult::default();
        }
        self.finished += 1;
        self.follow(&sent.request, None);
        sent.request.is_checked = false;
        self.guard.is_left |= sent.request.place == Place::First;
        self.elsewhere.push(sent.request);
        if let Some(next) = self.sent.front_mut() {
            next.since = self.now;
            next.met = Some(self.guard.is_met());
        }
        Err(Moved)
    }

    /// Did the oldest request certainly have no effect, on a node that must not serve it?
    fn is_to_be_withheld(&mut self, error: Option<&Error>) -> bool {
        let Some(sent) = self.sent.front() else {
            return false;
        };
        if sent.cancelled.is_some() || !self.guard.is_active() {
            return false;
        }
        // Fenced before and behind it, so in between as well.
        let was_unmet = sent.met == Some(false);
        let is_unsent = sent.sent == Sent::Check && was_unmet && sent.request.part == Part::Single;
        let is_alone = sent.sent == Sent::Whole && sent.request.is_alone();
        let is_refused = is_alone && error.is_some_and(|error| error.code() == "25006");
        if is_refused && !self.guard.reported.reports() {
            self.guard.reported.shown(Role::Fenced);
        }
        let is_read = |command: &Command| matches!(command.word(), "SELECT" | "SHOW" | "FETCH");
        let has_read =
            is_alone && was_unmet && error.is_none() && sent.command.as_ref().is_some_and(is_read);
        (is_refused || has_read || is_unsent) && !self.guard.is_met()
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

impl Connection {
    /// Gives back what was not sent: its session goes on elsewhere.
    pub fn take_back(&self) -> Vec<Request> {
        self.lock().exchange.queue.drain(..).collect()
    }
}
