//! Requests in, bytes out; bytes in, answers out: one connection's conversation without its socket.
//!
//! ```text
//! push(request) ─▶ queue ─▶ encode ─▶ output ──▶ (socket)
//!                             │ sent: one entry per Sync
//! (socket) ──▶ input ─▶ wire::Core ─▶ Answers (sink) ─▶ request's outlet
//! ```
//!
//! Every request has its own Sync, so an error stays with its own request. What became of a request whose answer
//! never came follows from two counters: bytes put into `output` and bytes the socket has taken.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;

use crate::config::Driver;
use crate::conn::answers::{Answers, touch};
use crate::conn::doubt::Doubt;
use crate::conn::encode;
pub use crate::conn::giveup::{Running, fail_where};
use crate::conn::guard::{Guard, Policy};
use crate::conn::inflight::{InFlight, Sent};
use crate::conn::request::{Account, Outlet, Part, Request, Subscriber};
use crate::conn::residue::Residue;
use crate::conn::role::{Reported, Role};
use crate::conn::statement::Statement;
use crate::error::Error;
use crate::frame::Shapes;
use crate::metrics::Metrics;
use crate::wire::{Core, Expect, TransactionStatus, frontend};

/// Bytes of room that a quiet connection keeps for either direction, so that one huge message is not paid for as long as it
/// lives.
const KEPT: usize = 1 << 20;
/// The same as long as such messages follow each other: to get as much anew from the system takes longer than to read it.
const KEPT_IN_USE: usize = 16 << 20;

/// What changed since the owner was told last.
#[derive(Default)]
#[allow(clippy::struct_excessive_bools, reason = "independent facts")]
pub struct Report {
    /// Requests answered.
    pub finished: usize,
    /// Requests still queued or in flight.
    pub pending: usize,
    /// Last requests of sessions that were answered.
    pub sessions_over: usize,
    /// The BEGIN of the session that has the connection failed, for this reason: it is over as well, and is counted.
    pub begin_failed: Option<Error>,
    /// The server is inside a transaction.
    pub in_transaction: bool,
    /// A cancel request may still be on its way to the server, or the keeper has the connection.
    pub cancelling: bool,
    /// What the server has said about itself last.
    pub role: Role,
    /// The connection must not be used again.
    pub tainted: bool,
    /// It replays further behind than is allowed.
    pub is_late: bool,
    /// Statements may have left something in the session.
    pub has_residue: bool,
    /// Why that could not be removed.
    pub reset_failed: Option<Error>,
    /// How far it does, where that was asked.
    pub lag: Option<Duration>,
    /// The server does not answer probes.
    pub refuses_probes: bool,
    /// Requests that had no effect here and go to another node.
    pub elsewhere: Vec<Request>,
    /// A COMMIT was answered by a server that was fenced meanwhile.
    pub commit_fenced: bool,
    /// Such ones whose truth is to be looked for.
    pub doubts: Vec<Doubt>,
}

/// How one connection converses.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// Requests sent ahead of their answers.
    pub depth: usize,
    /// Prepared statements kept.
    pub statements: usize,
    /// Longest message accepted, in bytes.
    pub max_message: usize,
    /// How it is guarded.
    pub policy: Policy,
    /// Which side reads it.
    pub driver: Driver,
    /// Is it to be known what statements leave in the session?
    pub resets: bool,
}

/// One connection's conversation.
pub struct Exchange {
    pub(super) core: Core,
    /// Bytes from the socket.
    pub input: BytesMut,
    /// Bytes for the socket.
    pub output: BytesMut,
    pub(super) queue: VecDeque<Request>,
    /// Goes on with the cursor that is open, in front of the queue.
    pub(super) cursor_queue: VecDeque<Request>,
    /// No deadline in the queues is earlier.
    pub(super) earliest: Option<Instant>,
    pub(super) answers: Answers,
    depth: usize,
    /// The longest a request of a caller may take once it is sent, each alone.
    pub(super) limit: Option<Duration>,
    /// A cancel request is under way: nothing new is sent, it could be hit in place of its predecessor (rule C02).
    pub(super) held: bool,
    /// The keeper has the connection: requests of callers wait.
    pub(super) kept: bool,
    /// Why the transaction of whoever has the connection was never begun: he may not have heard of it yet.
    unbegun: Option<Error>,
    /// Bytes ever put into `output`, and bytes ever taken from it.
    produced: u64,
    pub(super) written: u64,
    /// The most bytes that `input` or `output` have held since the connection was quiet last, and since they were made.
    most: usize,
    room: usize,
}

impl Exchange {
    /// A conversation on a connection whose start-up is over; `reported` then.
    pub fn new(manner: Manner, shapes: Arc<Shapes>, input: BytesMut, reported: Reported) -> Self {
        Self {
            core: Core::new(manner.max_message),
            input,
            output: BytesMut::new(),
            queue: VecDeque::new(),
            cursor_queue: VecDeque::new(),
            earliest: None,
            answers: Answers::new(
                manner.statements,
                shapes,
                Guard::new(manner.policy, reported),
                Residue::new(manner.resets),
            ),
            depth: manner.depth.max(1),
            limit: None,
            held: false,
            kept: false,
            unbegun: None,
            produced: 0,
            written: 0,
            most: 0,
            room: 0,
        }
    }

    /// Keeps a limit for each statement that the other side does not keep (CP-52).
    pub fn limit(&mut self, limit: Duration) {
        self.limit = Some(limit);
    }

    /// The backend that the start-up has named.
    pub fn note_backend(&mut self, pid: i32, host: &str) {
        self.answers.note_backend(pid, host);
    }

    /// A setting the server reported during start-up.
    pub fn note_parameter(&mut self, name: &str, value: &str) {
        self.answers.note_parameter(name, value);
    }

    /// Takes a request and encodes as many as may be sent.
    pub fn push(&mut self, request: Request) {
        if let Some(cause) = &self.unbegun
            && request.part != Part::Single
        {
            return request.fail(&Error::TransactionLost {
                cause: Box::new(cause.clone()),
            });
        }
        self.note_deadline(&request);
        if request.work.continues_cursor() {
            self.cursor_queue.push_back(request);
        } else {
            self.queue.push_back(request);
        }
        self.pump();
    }

    /// Encodes queued requests while the rules of the connection allow it: at most `depth` ahead, and a request that
    /// may be cancelled has the connection to itself, so that a late cancel cannot hit a neighbour.
    pub fn pump(&mut self) {
        while !self.held && !self.kept && !self.answers.guard.is_left && self.has_room() {
            self.refuse_late_cursor_steps();
            let limited = self.limit.is_some();
            let alone = |request: &Request| {
                let timed = limited || request.timeout.is_some();
                timed || request.exclusive || request.work.stands_alone()
            };
            if self.answers.sent.back().is_some_and(|sent| {
                sent.sent != Sent::Whole
                    || sent.request.work.begins()
                    || alone(&sent.request)
                    || self.queue.front().is_some_and(alone)
            }) {
                return;
            }
            let Some(mut request) = self.next_request() else {
                return;
            };
            if let Some(limit) = self.limit {
                request.limit_to(limit);
            }
            // Every statement of a transaction brings BEGIN along until one was answered: whichever is sent first
            // needs it, and those before it may have been given up.
            let is_behind_end = self.answers.sent.back().is_some_and(InFlight::ends);
            if self.core.status() != TransactionStatus::Idle && !is_behind_end {
                request.work.begun();
            }
            let is_outside = match self.answers.sent.back() {
                Some(before) => before.leaves_idle || is_behind_end,
                None => self.core.status() == TransactionStatus::Idle,
            };
            let is_lasting = self.answers.cache.is_lasting();
            request.work.decide(is_outside && is_lasting);
            // Outside of one the next loss goes unseen; inside it would fail the transaction.
            if !is_lasting && request.part != Part::Single {
                request.work.unname();
            }
            let leaves_idle = is_outside && request.work.is_plain();
            let fenced = request.part == Part::Commit && !self.answers.guard.lets_commit();
            if fenced || request.lacks {
                request.roll_back();
            }
            let before = self.output.len();
            let is_open = self.core.status() == TransactionStatus::InTransaction && !is_behind_end;
            match encode::encode(request, &mut self.output, &mut self.answers, is_open) {
                Ok((mut sent, expected)) => {
                    sent.starts_at = self.produced;
                    sent.fenced = fenced;
                    sent.leaves_idle = leaves_idle;
                    self.produced_since(before);
                    for expect in expected {
                        self.core.expect(expect);
                    }
                    self.answers.sent.push_back(sent);
                }
                Err(refused) => {
                    let (request, error) = *refused;
                    if request.work.is_cursor() {
                        self.answers.cursor = None;
                    }
                    self.output.truncate(before);
                    if request.part == Part::Inside {
                        self.queue.iter_mut().for_each(Request::miss);
                    }
                    request.fail(&error);
                    self.answers.finished += 1;
                }
            }
        }
    }

    /// May another request be sent ahead of the answers that are owed?
    fn has_room(&self) -> bool {
        self.answers.sent.len() < self.depth
            || self.queue.front().is_some_and(|next| next.pipelined)
                && self
                    .answers
                    .sent
                    .back()
                    .is_none_or(|sent| sent.request.pipelined)
    }

    /// Counts what was put into `output` behind its first `before` bytes; returns the count of all bytes ever.
    pub(super) fn produced_since(&mut self, before: usize) -> u64 {
        self.produced += u64::try_from(self.output.len() - before).unwrap_or(u64::MAX);
        self.most = self.most.max(self.output.len());
        self.produced
    }

    /// Gives room back that only huge messages need, unless the last ones were such.
    fn give_room_back(&mut self) {
        let needed = std::mem::take(&mut self.most);
        self.room = self.room.max(needed);
        let is_over = needed <= KEPT || self.room > KEPT_IN_USE;
        if self.room > KEPT && is_over && self.input.len() <= KEPT && self.output.is_empty() {
            self.room = 0;
            self.input = BytesMut::from(&*self.input);
            self.output = BytesMut::new();
        }
    }

    /// Has everything counted there.
    pub fn count_in(&mut self, metrics: Arc<Metrics>) {
        self.answers.tally.metrics = Some(metrics);
    }

    /// The socket has taken bytes of `output`.
    pub fn wrote(&mut self, bytes: usize) {
        self.written += u64::try_from(bytes).unwrap_or(u64::MAX);
        self.answers.copy_written(self.written);
    }

    /// Reads `input` as far as messages are complete and answers the requests they belong to.
    ///
    /// # Errors
    /// [`Error::Protocol`]: the connection must be closed.
    pub fn feed(&mut self) -> Result<(), Error> {
        self.answers.now = Instant::now();
        let unread = self.input.len();
        self.most = self.most.max(unread);
        let fed = self.core.feed(&mut self.input, &mut self.answers);
        let received = unread.saturating_sub(self.input.len());
        self.answers.tally.traffic(received, self.written);
        fed?;
        if self.is_quiet() {
            self.give_room_back();
        }
        self.answers.copy_flush();
        let before = self.output.len();
        if std::mem::take(&mut self.answers.refuse_copy) {
            // Nobody feeds a COPY that came as an ordinary statement; refused in the words of `pg`.
            self.core
                .end_copy_in(&mut self.output, Err("No source stream defined"))?;
        }
        // What was sent without a Sync has failed, or is complete.
        if std::mem::take(&mut self.answers.sync_due) || self.core.needs_sync() {
            frontend::sync(&mut self.output);
            self.core.expect(Expect::Ready);
        }
        self.produced_since(before);
        if std::mem::take(&mut self.answers.missed) {
            self.queue.iter_mut().for_each(Request::miss);
        }
        if let Some(cause) = self.answers.begin_failed.clone() {
            self.unbegun = Some(cause.clone());
            self.answers.sessions_over += 1;
            self.answers.finished += fail_where(
                &mut self.queue,
                |_| true,
                |_| Error::TransactionLost {
                    cause: Box::new(cause.clone()),
                },
            );
        }
        for stale in std::mem::take(&mut self.answers.again).into_iter().rev() {
            self.note_deadline(&stale);
            self.queue.push_front(stale);
        }
        self.pump();
        Ok(())
    }

    /// Sends nothing new until [`Exchange::resume`].
    pub fn hold(&mut self) {
        self.held = true;
    }

    /// Sends on.
    pub fn resume(&mut self) {
        self.held = false;
        self.pump();
    }

    /// Is everything that was sent answered?
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.answers.sent.is_empty()
    }

    /// Were requests answered since the last report?
    #[must_use]
    pub fn has_news(&self) -> bool {
        self.answers.finished > 0
    }

    /// Adds the environments to be told that something was delivered to them.
    pub fn move_touched(&mut self, to: &mut Vec<Arc<dyn Outlet>>) {
        for outlet in self.answers.touched.drain(..) {
            touch(to, &outlet);
        }
    }

    /// What changed since the last call.
    pub fn report(&mut self) -> Report {
        Report {
            finished: std::mem::take(&mut self.answers.finished),
            pending: self.pending(),
            sessions_over: std::mem::take(&mut self.answers.sessions_over),
            begin_failed: self.answers.begin_failed.take(),
            in_transaction: self.core.status() != TransactionStatus::Idle,
            cancelling: false,
            role: self.role(),
            tainted: self.answers.guard.tainted,
            is_late: !self.answers.guard.lag.is_met(),
            has_residue: self.answers.residue.is_left,
            reset_failed: self.answers.residue.failure.take(),
            lag: self.answers.guard.lag.take_news(),
            refuses_probes: self.answers.trail.refused,
            elsewhere: std::mem::take(&mut self.answers.elsewhere),
            commit_fenced: std::mem::take(&mut self.answers.commit_fenced),
            doubts: std::mem::take(&mut self.answers.doubts),
        }
    }

    /// Requests queued or in flight.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.queue.len() + self.cursor_queue.len() + self.answers.sent.len()
    }

    /// The statements that were asked for most.
    #[must_use]
    pub fn most_used(&self, count: usize) -> Vec<(Arc<Statement>, u64)> {
        self.answers.cache.most_used(count)
    }

    /// The server's transaction status with the last answer.
    #[must_use]
    pub fn status(&self) -> TransactionStatus {
        self.core.status()
    }

    /// Its user leaves. May statements have left something in the session since this was asked last?
    pub fn take_residue(&mut self) -> bool {
        self.answers.cache.drop_lost();
        std::mem::take(&mut self.answers.residue.is_left)
    }

    /// What the server has said about itself last.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.answers.guard.reported.role()
    }

    /// Asks for nothing but ReadyForQuery, in front of which the server reports what has changed.
    pub fn sync(&mut self) {
        let before = self.output.len();
        frontend::sync(&mut self.output);
        self.core.expect(Expect::Ready);
        self.produced += u64::try_from(self.output.len() - before).unwrap_or(u64::MAX);
    }

    /// Since when the oldest request is unanswered that is on the wire.
    #[must_use]
    pub fn asked(&self) -> Option<Instant> {
        self.answers.sent.front().map(|sent| sent.since)
    }

    /// Does the server report its role by itself?
    #[must_use]
    pub const fn reports(&self) -> bool {
        self.answers.guard.reported.reports()
    }

    /// A query has shown what the server does not report.
    pub fn shown(&mut self, role: Role) {
        self.answers.guard.reported.shown(role);
    }

    /// Is everything answered that was sent?
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.core.is_idle() && self.output.is_empty()
    }

    /// The bytes JS has not taken yet.
    #[must_use]
    pub fn account(&self) -> &Arc<Account> {
        &self.answers.account
    }

    /// Somebody else has the connection from now on, and hears the events of the session if he likes.
    pub fn subscribe(&mut self, subscriber: Option<Subscriber>) {
        self.unbegun = None;
        self.answers.subscriber = subscriber;
    }

    /// Where events go.
    #[must_use]
    pub fn subscriber(&self) -> Option<&Subscriber> {
        self.answers.subscriber.as_ref()
    }

    /// Why the server ended the session, if it said so: between requests, or in place of an answer.
    #[must_use]
    pub fn last_words(&self) -> Option<Error> {
        if let Some(words) = &self.answers.last_words {
            return Some(Error::Server(Box::new(words.clone())));
        }
        let answer = self.answers.sent.front()?.error.as_ref();
        answer
            .filter(|error| matches!(error, Error::Server(words) if &*words.severity != "ERROR"))
            .cloned()
    }
}
