//! What the pool does when a connection has news.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::conn::doubt::Left;
use crate::conn::exchange::Report;
use crate::conn::keeper::News;
use crate::conn::request::{Event, Place};
use crate::conn::{Connection, Owner};
use crate::error::Error;
use crate::pool::Pool;
use crate::pool::queue::Use;
use crate::pool::session::Session;

impl Owner for Pool {
    fn kept(&self, news: &News) {
        self.seeker.tell(&Event::Upkeep(news));
    }

    fn progressed(&self, connection: &Arc<Connection>, mut report: Report) {
        let slot = connection.slot;
        let mut heard = false;
        if report.refuses_probes {
            self.refuses_probes.store(true, Ordering::Relaxed);
        }
        if let Some(lag) = report.lag {
            self.seeker.table.lags(&connection.name, lag);
        }
        if report.tainted || report.is_late || !self.suits(connection, report.role) {
            self.books().condemn(slot, Instant::now());
        }
        if report.commit_fenced {
            let address = &connection.name;
            self.seeker.tell(&Event::CommitFenced { address });
        }
        for doubt in std::mem::take(&mut report.doubts) {
            self.resolve(doubt);
        }
        for request in std::mem::take(&mut report.elsewhere).into_iter().rev() {
            if request.place == Place::Free {
                self.again(request);
            } else {
                // Nobody has it any more.
                return self.move_session(connection, request);
            }
        }
        let (free, was_cleaned) = {
            let mut books = self.books();
            let Some(entry) = books.entry(slot) else {
                return;
            };
            let was_cleaned = matches!(entry.usage, Use::Cleaning);
            let free = match &entry.usage {
                Use::Idle => return,
                Use::Shared(_) => books.answered(slot, report.finished, Instant::now()),
                Use::Held(session) => {
                    let session = Arc::clone(session);
                    let mut over = report.sessions_over;
                    if over > 0
                        && let Some(predecessor) = books.pass(slot)
                    {
                        predecessor.over();
                        over -= 1;
                    }
                    if let Some(cause) = &report.begin_failed {
                        session.lose(cause);
                    } else if over > 0 {
                        session.over();
                    }
                    heard = session.is_heard();
                    // It may have asked for more before it left and behind the report; once over it asks for nothing.
                    report.pending == 0 && session.is_over() && connection.unanswered() == 0
                }
                Use::Cleaning => report.pending == 0,
            };
            // In the same breath: a statement of another thread could still join those that are answered, and be on it
            // together with whoever has it next.
            if free {
                books.clean(slot);
            }
            (free, was_cleaned)
        };
        if free && heard {
            connection.subscribe(None);
        }
        if !free {
            // Room behind the statements that are still unanswered.
            self.serve();
        } else if connection.is_closed() {
            // Nobody gets it any more: its end follows.
        } else if report.cancelling {
            // Waits for the cancel request to be delivered: another report follows.
        } else if report.in_transaction {
            if was_cleaned && report.finished > 0 {
                connection.discard(Error::Closed { what: "connection" });
            } else {
                self.clean(connection);
            }
        } else if let Some(error) = &report.reset_failed {
            self.reset_failed(connection, error);
        } else if report.has_residue {
            self.reset(connection);
        } else {
            self.release(connection);
        }
    }

    fn attend(&self, connection: &Arc<Connection>) {
        self.look_after(connection);
    }

    fn avoid(&self, connection: &Arc<Connection>) {
        self.fall_silent(&connection.name);
    }

    fn closed(&self, connection: &Arc<Connection>, cause: &Error, left: Left) {
        self.count_closed(connection, cause);
        self.seeker.table.closed(&connection.name);
        let usage = self.books().closed(connection.slot);
        if !matches!(cause, Error::Closed { .. }) {
            let key = &connection.name;
            self.seeker.view.lost(key);
            if self.seeker.view.is_left_behind(key) {
                // It is there, and is what it was.
                self.seeker.table.misfits(key, cause);
            } else {
                self.seeker
                    .went(connection.node, key, cause, Duration::ZERO);
            }
        }
        match usage {
            Some((Use::Held(session), predecessor)) => {
                let mut unsent = left.unsent;
                let is_spared = predecessor.is_some_and(|predecessor| {
                    predecessor.session.lose(cause);
                    self.spare(&session, predecessor.deadline, &mut unsent)
                });
                if !is_spared {
                    session.lose(cause);
                }
                Session::refuse(unsent, cause);
            }
            _ => {
                for request in left.unsent.into_iter().rev() {
                    self.again(request);
                }
            }
        }
        for doubt in left.doubts {
            self.resolve(doubt);
        }
        if self.books().is_empty() {
            self.drained.notify_waiters();
        }
        self.open_as_needed();
    }
}

#[cfg(test)]
mod tests;
