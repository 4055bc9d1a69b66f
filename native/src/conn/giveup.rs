//! Giving up requests: what happens to those that wait, and to the one that runs.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use crate::conn::exchange::Exchange;
use crate::conn::inflight::{InFlight, Sent};
use crate::conn::request::{Outlet, Part, Request};
use crate::conn::statement::Class;
use crate::error::{Error, Outcome, Phase};

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
            if commits(sent) {
                Running::GiveUp
            } else {
                Running::Cancel
            }
        }
    }
}

/// Is the statement itself on the wire, and not only being prepared?
fn runs(sent: &InFlight) -> bool {
    sent.sent == Sent::Whole
}

/// Is it a COMMIT, of ours or by hand? On the wire it is never cancelled (CP-2).
fn commits(sent: &InFlight) -> bool {
    let statement = sent.request.work.statement();
    let by_hand = statement.is_some_and(|statement| statement.class == Class::Commit);
    by_hand || sent.request.part == Part::Commit
}

/// Fails the requests that match and keeps the order of the others; returns how many failed. A COMMIT that waits behind a
/// statement of its transaction must not commit the others without that one.
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
        let mut is_missing = false;
        for mut request in queue.drain(..) {
            if matches(&request) {
                is_missing |= request.part == Part::Inside;
                failed.push(request);
            } else {
                if is_missing {
                    request.miss();
                }
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
    /// The earliest moment at which a caller gives up. Of what was sent only the oldest counts, as in [`Self::expire`]: a
    /// deadline that nothing can be done about would have the driver look again without end.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let sent = self.answers.sent.front();
        sent.filter(|sent| sent.cancelled.is_none())
            .and_then(InFlight::deadline)
            .into_iter()
            .chain(self.earliest.filter(|_| !self.is_unqueued()))
            .min()
    }

    fn is_unqueued(&self) -> bool {
        self.queue.is_empty() && self.cursor_queue.is_empty()
    }

    /// A request is about to join a queue. All of them are looked at only when the earliest deadline has passed: thousands
    /// may wait, and a turn of the connection must not take longer for that.
    pub(super) fn note_deadline(&mut self, request: &Request) {
        if self.is_unqueued() {
            self.earliest = None;
        }
        self.earliest = self.earliest.into_iter().chain(request.deadline()).min();
    }

    /// Looks for the earliest deadline in the queues if the one that was known has passed.
    fn look_again(&mut self, now: Instant) {
        if self.earliest.is_some_and(|earliest| earliest <= now) {
            let waiting = self.queue.iter().chain(&self.cursor_queue);
            self.earliest = waiting.filter_map(Request::deadline).min();
        }
    }

    /// Applies a deadline: what was not sent fails; returns what is to be done about the statement that runs.
    pub fn expire(&mut self, now: Instant) -> Running {
        for queue in [&mut self.queue, &mut self.cursor_queue] {
            self.answers.finished += fail_where(
                queue,
                |request| request.deadline().is_some_and(|deadline| deadline <= now),
                |request| Error::Timeout {
                    phase: Phase::Statement,
                    after: request.timeout.unwrap_or_default(),
                    outcome: Outcome::NotSent,
                },
            );
        }
        self.look_again(now);
        let due = self.answers.sent.front_mut().filter(|sent| {
            sent.cancelled.is_none() && sent.deadline().is_some_and(|deadline| deadline <= now)
        });
        let outcome = Outcome::Failed;
        if due
            .as_ref()
            .is_some_and(|sent| !sent.unwanted && runs(sent))
        {
            self.answers.tally.cancelled();
        }
        interrupt(due, |sent| {
            if sent.unwanted {
                return Error::Cancelled { outcome };
            }
            Error::Timeout {
                phase: Phase::Statement,
                after: sent.request.timeout.unwrap_or_default(),
                outcome,
            }
        })
    }

    /// The caller gives a request up; `None` when it is not here.
    pub fn cancel(&mut self, environment: &Arc<dyn Outlet>, id: u32) -> Option<Running> {
        let mut unsent = 0;
        for queue in [&mut self.queue, &mut self.cursor_queue] {
            unsent += fail_where(
                queue,
                |request| request.reply.is(environment, id),
                |_| Error::Cancelled {
                    outcome: Outcome::NotSent,
                },
            );
        }
        if unsent > 0 {
            self.answers.finished += unsent;
            return Some(Running::Nothing);
        }
        let front = self
            .answers
            .sent
            .iter_mut()
            .find(|sent| sent.cancelled.is_none() && sent.request.reply.is(environment, id))?;
        // From now on the limit is the caller's.
        front.request.may_outlast = false;
        if runs(front) {
            self.answers.tally.cancelled();
        }
        Some(interrupt(Some(front), |_| Error::Cancelled {
            outcome: Outcome::Failed,
        }))
    }

    /// The environment is gone: what it has asked for is not sent any more, and what runs for nobody else is cancelled. A
    /// COMMIT runs to its end, and so does what has statements of others beside it, which the cancel request could hit.
    pub fn forsake(&mut self, environment: &Arc<dyn Outlet>) -> Running {
        let is_forsaken = |request: &Request| request.reply.is_of(environment);
        for queue in [&mut self.queue, &mut self.cursor_queue] {
            self.answers.finished += fail_where(queue, is_forsaken, |_| Error::Cancelled {
                outcome: Outcome::NotSent,
            });
        }
        let sent = &mut self.answers.sent;
        let alone = sent
            .iter()
            .all(|sent| is_forsaken(&sent.request) && sent.cancelled.is_none() && !commits(sent));
        interrupt(sent.front_mut().filter(|_| alone), |_| Error::Cancelled {
            outcome: Outcome::Failed,
        })
    }

    /// Something is in flight that may be cancelled on the server when its owner, who calls himself so, ends.
    pub fn interrupt_all(&mut self, what: &'static str) -> Running {
        for queue in [&mut self.queue, &mut self.cursor_queue] {
            self.answers.finished += fail_where(queue, |_| true, |_| Error::Closed { what });
        }
        self.interrupt_running()
    }

    /// The same, with those that wait left to whoever ends the connection: they hear of it behind what runs.
    pub fn interrupt_running(&mut self) -> Running {
        let running = self
            .answers
            .sent
            .front_mut()
            .filter(|sent| sent.cancelled.is_none());
        interrupt(running, |_| Error::Cancelled {
            outcome: Outcome::Failed,
        })
    }

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

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use tokio::sync::oneshot;

    use super::*;
    use crate::conn::account::Account;
    use crate::conn::request::{Completion, Event, Reply, Work};
    use crate::conn::statement::Statement;
    use crate::conn::tests::server::{exchange, profile};

    fn request(timeout: Option<Duration>) -> Request {
        let mut request = Request::new(Work::CursorClose, Reply::local().0, profile());
        request.timeout = timeout;
        request
    }

    fn sent(timeout: Option<Duration>) -> InFlight {
        InFlight::new(request(timeout), Instant::now())
    }

    /// Notes whom it is told that something failed.
    #[derive(Default)]
    struct Told(Mutex<Vec<u32>>);

    impl Outlet for Told {
        fn deliver(&self, completion: Completion<'_>) {
            assert!(completion.error.is_some());
            self.0.lock().unwrap().push(completion.id);
        }
        fn event(&self, _: u32, _: u32, _: &Event<'_>, _: Option<&Arc<Account>>) {}
        fn is_closed(&self) -> bool {
            false
        }
        fn ping(&self) -> oneshot::Receiver<()> {
            oneshot::channel().1
        }
    }

    fn asked(outlet: &Arc<dyn Outlet>, id: u32, part: Part) -> Request {
        let outlet = Arc::clone(outlet);
        let mut request = request(None);
        request.reply = Reply::Outlet { outlet, id };
        request.part = part;
        request
    }

    #[test]
    fn who_is_given_up_and_who_stays_keep_their_order_and_a_commit_knows_what_it_lacks() {
        let told = Arc::new(Told::default());
        let outlet: Arc<dyn Outlet> = Arc::<Told>::clone(&told);
        let parts = [
            Part::Commit,
            Part::Single,
            Part::Commit,
            Part::Inside,
            Part::Inside,
            Part::Commit,
            Part::Inside,
        ];
        let mut queue: VecDeque<_> = (0..)
            .zip(parts)
            .map(|(id, part)| asked(&outlet, id, part))
            .collect();
        let leave = |queue: &mut VecDeque<_>, ids: &[u32]| {
            let leaves = |request: &Request| ids.iter().any(|id| request.reply.is(&outlet, *id));
            fail_where(queue, leaves, |_| Error::Closed { what: "test" })
        };
        let lacking = |queue: &VecDeque<Request>| {
            let facts = |request: &Request| match &request.reply {
                Reply::Outlet { id, .. } => (*id, request.lacks),
                Reply::Local(_) => unreachable!("nobody asks for himself"),
            };
            queue.iter().map(facts).collect::<Vec<_>>()
        };
        assert_eq!(leave(&mut queue, &[7]), 0);
        // What stands for itself, a COMMIT even, is missed by nobody.
        assert_eq!(leave(&mut queue, &[0, 1]), 2);
        let all = [(2, false), (3, false), (4, false), (5, false), (6, false)];
        assert_eq!(lacking(&queue), all);
        assert_eq!(leave(&mut queue, &[3, 6]), 2);
        assert_eq!(lacking(&queue), [(2, false), (4, false), (5, true)]);
        assert_eq!(*told.0.lock().unwrap(), [0, 1, 3, 6]);
    }

    #[test]
    fn a_commit_of_ours_or_by_hand_is_never_cancelled() {
        let working = |text: &str, part| {
            let mut request = request(Some(Duration::ZERO));
            request.work = Work::Simple {
                statement: Statement::intern(text).unwrap(),
                keep: false,
            };
            request.part = part;
            InFlight::new(request, Instant::now())
        };
        for (text, part, expected) in [
            ("select 1", Part::Single, Running::Cancel),
            ("select 1", Part::Inside, Running::Cancel),
            ("rollback", Part::Single, Running::Cancel),
            ("commit", Part::Single, Running::GiveUp),
            ("end", Part::Inside, Running::GiveUp),
            ("prepare transaction 'a'", Part::Single, Running::GiveUp),
            ("select 1", Part::Commit, Running::GiveUp),
        ] {
            let mut exchange = exchange();
            exchange.answers.sent.push_back(working(text, part));
            assert_eq!(exchange.expire(Instant::now()), expected, "{text}");
            // It is told once.
            assert_eq!(exchange.interrupt_running(), Running::Nothing, "{text}");
            exchange.answers.sent.clear();
            exchange.answers.sent.push_back(working(text, part));
            assert_eq!(exchange.interrupt_all("pool"), expected, "{text}");
        }
    }

    #[test]
    fn the_earliest_deadline_of_those_that_wait_is_known_whoever_leaves() {
        let (mut exchange, minute) = (exchange(), Duration::from_secs(60));
        exchange.hold();
        for timeout in [Some(2 * minute), Some(Duration::ZERO), Some(minute), None] {
            exchange.push(request(timeout));
        }
        assert!(exchange.next_deadline().unwrap() <= Instant::now());
        assert_eq!(exchange.expire(Instant::now()), Running::Nothing);
        assert_eq!(exchange.pending(), 3);
        let soon = Instant::now() + minute;
        assert!(exchange.next_deadline().unwrap() <= soon);
        // It leaves unnoticed: what is named then is too early, and found out when it has passed.
        exchange
            .cursor_queue
            .retain(|request| request.timeout != Some(minute));
        assert_eq!(exchange.expire(soon), Running::Nothing);
        assert_eq!(exchange.pending(), 2);
        assert!(exchange.next_deadline().unwrap() > soon);
        exchange.interrupt_all("pool");
        assert_eq!(exchange.next_deadline(), None);
        exchange.push(request(None));
        assert_eq!(exchange.next_deadline(), None);
    }

    #[test]
    fn a_deadline_that_is_named_is_one_that_can_be_applied() {
        let mut exchange = exchange();
        exchange.answers.sent.push_back(sent(None));
        exchange.answers.sent.push_back(sent(Some(Duration::ZERO)));
        assert_eq!(exchange.next_deadline(), None);
        assert_eq!(exchange.expire(Instant::now()), Running::Nothing);
        exchange.answers.sent.pop_front();
        assert!(exchange.next_deadline().is_some());
        assert_eq!(exchange.expire(Instant::now()), Running::Cancel);
        assert_eq!(exchange.next_deadline(), None);
    }
}
