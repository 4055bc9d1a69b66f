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
        let Some(sent) = self.sent.front_mut() else {
            return;
        };
        if sent.names_probe && self.trail.named == Named::Sent {
            self.trail.named = Named::No;
        }
        let error = sent.take_error();
        let stale = error.as_ref().and_then(|error| sent.staleness(error));
        if self.moves(status, error.as_ref()) {
            return;
        }
        let Some(sent) = self.sent.front_mut() else {
            return;
        };
        let again = stale.is_some()
            && !sent.request.repeated
            && sent.cancelled.is_none()
            && status == TransactionStatus::Idle
            && sent.request.part == Part::Single;
        if status == TransactionStatus::Idle && sent.request.work.begins() {
            self.begin_failed.clone_from(&error);
        }
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
            // Given up while it was only being prepared: the statement itself never went out.
            None if sent.sent != Sent::Whole => sent.cancelled.take().map(Error::not_sent),
            None => None,
        };
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
                self.deliver(true);
            }
            let Some(sent) = self.sent.pop_front() else {
                return;
            };
            self.drop_stale(&sent, stale.as_ref());
            if self.builder.rows() > 0 {
                self.builder = FrameBuilder::new();
            }
            self.session_over |= sent.request.finish;
            let is_idle = status == TransactionStatus::Idle;
            self.trail.answered(&sent.request, sent.probed, is_idle);
            if !sent.request.is_upkeep {
                self.finished += 1;
                self.tally.answered(took, error.as_ref());
            }
            self.follow(&sent);
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
            error: Error::Fenced,
            trace,
        });
    }

    /// What a statement may have changed in its session.
    fn follow(&mut self, sent: &InFlight) {
        if let Some(statement) = sent.request.work.statement() {
            self.guard.tainted |= statement.overrides_fence;
            if statement.hides {
                self.cache.renew();
            }
        }
    }

    fn drop_stale(&mut self, sent: &InFlight, stale: Option<&Stale>) {
        if let (Some(prepared), Some(statement)) = (&sent.prepared, sent.request.work.statement()) {
            match stale {
                Some(Stale::Gone) => {
                    self.cache.remove(statement, prepared, false);
                    self.cache.count_lost();
                }
                Some(Stale::Changed) => self.cache.remove(statement, prepared, true),
                None => {}
            }
        }
    }
}
