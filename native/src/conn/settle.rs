//! The end of a request: its answer is complete up to ReadyForQuery.

use crate::conn::answers::{Answers, touch};
use crate::conn::doubt::{Doubt, Named, Shown};
use crate::conn::guard::Check;
use crate::conn::inflight::{InFlight, Sent, Stale};
use crate::conn::request::{Part, Reply, Request};
use crate::conn::role::Role;
use crate::error::{Error, Outcome, Trace};
use crate::frame::FrameBuilder;
use crate::wire::TransactionStatus;

impl Answers {
    /// Settles the request that was answered up to ReadyForQuery.
    pub(super) fn settle(&mut self, status: TransactionStatus) {
        let error = self.failure(status);
        let Some(sent) = self.sent.front_mut() else {
            return;
        };
        if sent.names_probe && self.trail.named == Named::Sent {
            // Skipped, and with it the Close in front of it, if there was one.
            self.trail.named = Named::Doubtful;
        }
        let stale = error.as_ref().and_then(|error| sent.staleness(error));
        let Ok(error) = self.withhold(status, error) else {
            return;
        };
        let goes_again = |sent: &InFlight| sent.goes_again(stale.as_ref(), status);
        let again = self.sent.front().is_some_and(goes_again);
        let error = if again {
            error
        } else {
            self.begin_refused(status, error)
        };
        let Some(sent) = self.sent.front_mut() else {
            return;
        };
        // The statement was carried out although its result was not taken: whoever runs it again does it twice.
        let refusal = sent.refusal.take().map(|refusal| match refusal {
            Error::Result { code, problem, .. } if error.is_none() => Error::Result {
                code,
                problem,
                outcome: Outcome::Unknown,
            },
            refusal => refusal,
        });
        let error = match error {
            None if sent.unreplicated => Some(Error::NotReplicated),
            _ if refusal.is_some() => refusal,
            Some(error) => sent
                .cancelled
                .take()
                .filter(|_| error.code() == "57014")
                .or(Some(error)),
            None if sent.is_rolled_back() => Some(Error::TransactionRolledBack),
            None if sent.sent != Sent::Whole => sent.given_up(&mut self.missed),
            None => None,
        };
        let error = error.map(|error| sent.overall(error));
        if sent.sent != Sent::Whole && error.is_none() || again {
            let Some(sent) = self.sent.pop_front() else {
                return;
            };
            self.drop_stale(&sent, stale.as_ref());
            self.again.push(sent.into_next(again, stale.as_ref()));
        } else {
            let took = self.now.saturating_duration_since(sent.since);
            if let Some(statement) = sent.request.work.statement()
                && !sent.request.prepares
            {
                statement.took(took);
            }
            let is_outlet = matches!(sent.request.reply, Reply::Outlet { .. });
            let doubted = self.overtaken(error.as_ref());
            if error.is_none() && doubted.is_none() && is_outlet {
                self.deliver(true, &[]);
            }
            let Some(sent) = self.sent.pop_front() else {
                return;
            };
            self.drop_stale(&sent, stale.as_ref());
            if self.builder.rows() > 0 {
                self.builder = FrameBuilder::new();
            }
            self.sessions_over += usize::from(sent.request.finish);
            let is_idle = status == TransactionStatus::Idle;
            self.trail.answered(&sent.request, sent.probed, is_idle);
            if !sent.request.is_upkeep {
                self.finished += 1;
                self.tally.answered(took, error.as_ref());
            }
            self.follow(&sent.request, error.as_ref());
            match error {
                None if let Some(trace) = doubted => self.doubt(sent.request, trace),
                Some(error) => {
                    if let Some(outlet) = sent.request.reply.fail_quietly(&error) {
                        touch(&mut self.touched, &outlet);
                    }
                }
                None => {
                    if let Reply::Local(mut local) = sent.request.reply {
                        if let Some(command) = sent.command {
                            local.result.tag = command.tag;
                        }
                        // The waiting side may have given up meanwhile.
                        drop(local.sender.send(Ok(local.result)));
                    }
                }
            }
        }
        if let Some(next) = self.sent.front_mut() {
            next.since = self.now;
            next.timed = true;
            // It was sent before this ReadyForQuery came, so what the server is now it was before the statement.
            if next.check == Check::None && self.guard.is_active() {
                next.met = Some(self.guard.is_met());
            }
        }
    }

    /// Why the request that was answered has failed, and whether its transaction may still be committed then.
    fn failure(&mut self, status: TransactionStatus) -> Option<Error> {
        let commits = self.sent.iter().any(InFlight::commits);
        let error = self.sent.front_mut()?.take_error(commits);
        self.guard.withdrawn |= matches!(error, Some(Error::Fenced { .. }));
        self.guard.withdrawn &= status != TransactionStatus::Idle;
        error
    }

    /// Notes that BEGIN failed, with which its session is over.
    fn begin_refused(&mut self, status: TransactionStatus, error: Option<Error>) -> Option<Error> {
        let sent = self.sent.front()?;
        let is_idle = status == TransactionStatus::Idle;
        // The COMMIT in front of it did not come to be run, and its transaction is not over (conn/succession.rs).
        let is_in_another = !is_idle && sent.prelude;
        let error = match error {
            Some(error) if is_in_another => Some(error.lose_transaction()),
            error => error,
        };
        if (is_idle || is_in_another) && sent.request.work.begins() {
            self.begin_failed.clone_from(&error);
        }
        error
    }

    /// A COMMIT that was answered by a server that was fenced meanwhile: what it has shown, if it is not believed (CP-7).
    fn overtaken(&mut self, error: Option<&Error>) -> Option<Trace> {
        let sent = self.sent.front()?;
        let is_commit = error.is_none() && sent.request.part == Part::Commit && !sent.fenced;
        if !is_commit || self.guard.is_met() || self.guard.reported.role() != Role::Fenced {
            return None;
        }
        self.commit_fenced = true;
        match self.trail.end(&sent.request, sent.probed, false) {
            Some(Shown::Wrote(trace)) if !self.guard.believes() => Some(trace),
            _ => None,
        }
    }

    fn doubt(&mut self, request: Request, trace: Trace) {
        self.doubts.push(Doubt {
            request: Some(request),
            error: Error::Fenced {
                what: "transaction",
            },
            trace,
        });
    }

    /// What a statement may have changed in its session.
    pub(super) fn follow(&mut self, request: &Request, error: Option<&Error>) {
        self.residue.follow(request, error);
        if let Some(statement) = request.work.statement() {
            self.guard.tainted |= statement.overrides_fence;
            if statement.hides {
                self.cache.renew();
            }
        }
    }

    fn drop_stale(&mut self, sent: &InFlight, stale: Option<&Stale>) {
        if stale == Some(&Stale::Begin) {
            // Whoever has ended that one behind our back has hardly spared the others.
            self.cache.renew();
            self.cache.count_lost();
            self.trail.named.doubt();
            return;
        }
        if let (Some(prepared), Some(statement)) = (&sent.prepared, sent.request.work.statement()) {
            match stale {
                Some(Stale::Gone) => {
                    self.cache.remove(statement, prepared, false);
                    self.cache.count_lost();
                }
                Some(Stale::Changed) => self.cache.remove(statement, prepared, true),
                Some(Stale::Begin) | None => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use tokio::sync::oneshot::Receiver;

    use super::*;
    use crate::conn::exchange::Exchange;
    use crate::conn::giveup::Running;
    use crate::conn::request::{LocalResult, Parameters, Work};
    use crate::conn::statement::{Naming, Statement};
    use crate::conn::tests::server::{description, exchange, message, profile};

    /// A statement of a transaction; `either`: its parameter types have to be learned first.
    fn asked(
        text: &str,
        part: Part,
        either: bool,
    ) -> (Request, Receiver<Result<LocalResult, Error>>) {
        let (reply, answer) = Reply::local();
        let work = Work::Execute {
            statement: Statement::intern(text).unwrap(),
            params: Parameters {
                either,
                ..Parameters::none()
            },
            naming: Naming::Unnamed,
            begin: (part == Part::Inside).then(|| Statement::intern("BEGIN").unwrap()),
        };
        let mut request = Request::new(work, reply, profile());
        request.part = part;
        (request, answer)
    }

    fn says(exchange: &Exchange, word: &str) -> bool {
        let word = word.as_bytes();
        exchange.output.windows(word.len()).any(|at| at == word)
    }

    fn hears(exchange: &mut Exchange, messages: &[Vec<u8>]) {
        exchange.input.extend_from_slice(&messages.concat());
        exchange.feed().unwrap();
    }

    #[test]
    fn what_is_asked_before_its_owner_hears_that_begin_has_failed_is_not_sent() {
        let mut exchange = exchange();
        let (first, mut failed) = asked("select 1", Part::Inside, false);
        exchange.push(first);
        let refusal = message(b'E', b"SERROR\0VERROR\0C25006\0Mno\0\0");
        hears(&mut exchange, &[refusal, message(b'Z', b"I")]);
        assert!(failed.try_recv().unwrap().is_err());
        // The report is on its way.
        assert!(exchange.report().begin_failed.is_some());
        exchange.output.clear();
        let (next, mut behind) = asked("select 2", Part::Inside, false);
        let (commit, mut end) = asked("COMMIT", Part::Commit, false);
        exchange.push(next);
        exchange.push(commit);
        assert!(exchange.output.is_empty());
        for answer in [&mut behind, &mut end] {
            let answer = answer.try_recv().unwrap();
            assert!(matches!(answer, Err(Error::TransactionLost { .. })));
        }
        // Whoever has the connection next begins anew.
        exchange.subscribe(None);
        let (other, _answer) = asked("select 3", Part::Inside, false);
        exchange.push(other);
        assert!(says(&exchange, "select 3"));
    }

    #[test]
    fn a_commit_behind_a_statement_that_was_only_prepared_rolls_back() {
        let mut exchange = exchange();
        let (mut first, mut given_up) = asked("select 1", Part::Inside, true);
        first.timeout = Some(Duration::ZERO);
        let (commit, mut end) = asked("COMMIT", Part::Commit, false);
        exchange.push(first);
        exchange.push(commit);
        assert_eq!(exchange.expire(Instant::now()), Running::Cancel);
        exchange.hold();
        exchange.output.clear();
        // The cancel request comes too late.
        let begun = [message(b'1', b""), message(b'2', b"")];
        hears(&mut exchange, &begun);
        let prepared = [
            message(b'C', b"BEGIN\0"),
            message(b'1', b""),
            message(b't', &[0, 0]),
            description(),
            message(b'Z', b"T"),
        ];
        hears(&mut exchange, &prepared);
        let answer = given_up.try_recv().unwrap();
        let is_unsent = |error: &Error| error.outcome() == crate::error::Outcome::NotSent;
        assert!(answer.is_err_and(|error| is_unsent(&error)));
        exchange.resume();
        assert!(says(&exchange, "ROLLBACK"));
        assert!(!says(&exchange, "COMMIT"));
        let rolled_back = [
            message(b'1', b""),
            message(b'2', b""),
            message(b'n', b""),
            message(b'C', b"ROLLBACK\0"),
            message(b'Z', b"I"),
        ];
        hears(&mut exchange, &rolled_back);
        let answer = end.try_recv().unwrap();
        assert!(matches!(answer, Err(Error::TransactionRolledBack)));
    }
}
