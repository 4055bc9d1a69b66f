//! Giving up requests: what happens to those that wait, and to the one that runs.

use std::collections::VecDeque;

use crate::conn::exchange::Exchange;
use crate::conn::inflight::InFlight;
use crate::conn::request::{Part, Request};
use crate::conn::statement::Class;
use crate::error::{Error, Outcome};

/// What must happen to the statement that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Running {
    /// Nothing.
    Nothing,
    /// Ask the server to cancel it.
    Cancel,
    /// A COMMIT is on the wire: never cancelled (CP-2), the connection is given up and the outcome stays open.
    GiveUp,
}

pub(super) fn interrupt(
    sent: Option<&mut InFlight>,
    reason: impl FnOnce(&InFlight) -> Error,
) -> Running {
    match sent {
        None => Running::Nothing,
        Some(sent) => {
            let reason = reason(sent);
            sent.cancelled = Some(reason);
            let statement = sent.request.work.statement();
            let by_hand = statement.is_some_and(|statement| statement.class == Class::Commit);
            if by_hand || sent.request.part == Part::Commit {
                Running::GiveUp
            } else {
                Running::Cancel
            }
        }
    }
}

/// Fails the requests that match and keeps the order of the others; returns how many failed.
pub fn fail_where(
    queue: &mut VecDeque<Request>,
    matches: impl Fn(&Request) -> bool,
    error: impl Fn(&Request) -> Error,
) -> usize {
    if !queue.iter().any(&matches) {
        return 0;
    }
    let before = queue.len();
    let (failed, kept): (Vec<_>, VecDeque<_>) = {
        let mut failed = Vec::new();
        let mut kept = VecDeque::with_capacity(before);
        for request in queue.drain(..) {
            if matches(&request) {
                failed.push(request);
            } else {
                kept.push_back(request);
            }
        }
        (failed, kept)
    };
    *queue = kept;
    let count = failed.len();
    for request in failed {
        let error = error(&request);
        request.fail(&error);
    }
    count
}

impl Exchange {
    /// A result is not taken: what is to be done about its statement. One with others behind it runs to its end, because
    /// a cancel request could hit them.
    pub fn refuse(&mut self) -> Running {
        let alone = self.answers.sent.len() == 1;
        let refused = self
            .answers
            .sent
            .front_mut()
            .filter(|sent| alone && sent.cancelled.is_none() && sent.is_too_large());
        interrupt(refused, |_| Error::Cancelled {
            outcome: Outcome::Failed,
        })
    }
}
