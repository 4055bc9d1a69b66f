//! The end of a connection: what is known about the requests it leaves behind.

use crate::conn::doubt::{Doubt, Left, Shown, without_effect};
use crate::conn::exchange::Exchange;
use crate::conn::inflight::InFlight;
use crate::conn::request::{Part, Request, Work};
use crate::error::{Error, Outcome, Trace};
use crate::wire::TransactionStatus;

impl Exchange {
    /// Settles everything in flight with what is known about it; returns what another connection has to do.
    pub fn abandon(&mut self, host: &str, cause: &Error) -> Left {
        let mut in_transaction = self.core.status() != TransactionStatus::Idle;
        let mut is_behind = false;
        let mut left = Left::default();
        let untouched = self.left_before(cause);
        // What is in front of it may be committed, although its own answer is lost.
        let last_end = if untouched {
            None
        } else {
            (self.answers.sent.iter().rev())
                .find(|sent| sent.starts_at < self.written && sent.request.may_commit())
                .map(|sent| sent.starts_at)
        };
        loop {
            // A result that is complete is not lost with its connection, if it turns out to be true.
            if (self.answers.sent.front()).is_some_and(|sent| sent.probed && sent.command.is_some())
            {
                self.answers.deliver(false, &[]);
            }
            let Some(mut sent) = self.answers.sent.pop_front() else {
                break;
            };
            if (sent.starts_at >= self.written || untouched) && sent.cancelled.is_none() {
                left.unsent.push(sent.request);
                continue;
            }
            self.answers.finished += 1;
            self.answers.tally.lost(sent.since.elapsed());
            let gave_up = sent.cancelled.is_some() && !sent.request.may_outlast;
            let is_followed = last_end > Some(sent.starts_at);
            let outcome = self.outcome_of(&sent.request, in_transaction, is_followed);
            let error = Self::last_of(&mut sent, outcome, host, cause);
            let error = sent.overall(error);
            // Behind this one the status is known only if it cannot have begun or ended a transaction.
            in_transaction &= sent.request.may_share();
            let may_resolve = error.outcome() == Outcome::Unknown && !sent.unreplicated;
            let shown = may_resolve
                .then(|| {
                    self.answers
                        .trail
                        .end(&sent.request, sent.probed, is_behind)
                })
                .flatten();
            is_behind |= sent.request.part == Part::Inside;
            match shown {
                Some(Shown::Nothing) => sent.request.fail(&without_effect(error)),
                Some(Shown::Wrote(trace)) => {
                    let announced = cause.code() == "57P01" || error.code() == "57P01";
                    let mut doubt = Doubt {
                        request: Some(sent.request),
                        error,
                        trace: Trace { announced, ..trace },
                    };
                    if gave_up {
                        // Its caller hears in time that the outcome is open; what it was is found out all the same.
                        let told = Doubt {
                            request: doubt.request.take(),
                            error: doubt.error.clone(),
                            trace: doubt.trace.clone(),
                        };
                        told.leave_open(None);
                    }
                    left.doubts.push(doubt);
                }
                None => sent.request.fail(&error),
            }
        }
        left.unsent.extend(self.cursor_queue.drain(..));
        left.unsent.extend(self.queue.drain(..));
        // What a keeper asks means this connection and no other.
        left.unsent.retain(|request| !request.is_upkeep);
        left
    }

    /// Did the backend say that it leaves, in place of an answer that had not begun? Its FATAL is the last it has said, in
    /// order: nothing is executed whose `BindComplete` is not in front of that, and what was sent behind was not even read.
    /// Only the backend itself knows, so a pooler's words do not count. Source: `ProcessInterrupts` and
    /// `send_message_to_frontend` of the server.
    fn left_before(&self, cause: &Error) -> bool {
        let Some(front) = self.answers.sent.front() else {
            return false;
        };
        let words = front.error.as_ref().unwrap_or(cause);
        let is_leaving = matches!(words, Error::Server(words)
            if &*words.severity == "FATAL" && words.routine.as_deref() == Some("ProcessInterrupts"));
        is_leaving && !front.bound && matches!(front.request.work, Work::Execute { .. })
    }

    fn outcome_of(&self, request: &Request, in_transaction: bool, is_followed: bool) -> Outcome {
        // The server cannot have completed a COPY whose end was never sent.
        if !self.answers.copy.completed && request.is_incoming_copy() {
            return Outcome::Failed;
        }
        request.outcome_when_lost(in_transaction, is_followed)
    }

    /// What the caller of a request hears that will not be answered.
    fn last_of(sent: &mut InFlight, outcome: Outcome, host: &str, cause: &Error) -> Error {
        match (sent.cancelled.take(), sent.error.take()) {
            _ if sent.unreplicated => Error::NotReplicated,
            (_, _) if let Some(Error::Result { code, problem, .. }) = sent.refusal.take() => {
                Error::Result {
                    code,
                    problem,
                    outcome,
                }
            }
            // The server's ERROR is its verdict, even if ReadyForQuery is missing; FATAL is only why it left.
            (None, Some(Error::Server(verdict))) if &*verdict.severity == "ERROR" => {
                Error::Server(verdict)
            }
            (Some(Error::Timeout { phase, after, .. }), _) => Error::Timeout {
                phase,
                after,
                outcome,
            },
            (Some(_), _) => Error::Cancelled { outcome },
            (None, words) => Error::Lost {
                outcome,
                host: host.into(),
                cause: Box::new(words.unwrap_or_else(|| cause.clone())),
            },
        }
    }
}
