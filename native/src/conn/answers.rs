//! Takes the events of the wire core and turns them into answers of the requests in flight.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use crate::conn::copying::{Copying, Stage};
use crate::conn::cursor::Cursor;
use crate::conn::doubt::{self, Doubt, Named, Probing, Trail};
use crate::conn::guard::{Check, Guard};
use crate::conn::inflight::{InFlight, Sent, homeless, unreadable};
use crate::conn::keeper::Keeper;
use crate::conn::request::{
    Account, Command, Completion, Event, Outlet, Reply, Request, Subscriber, Work,
};
use crate::conn::residue::Residue;
use crate::conn::role::Role;
use crate::conn::statement::{Described, StatementCache};
use crate::conn::tally::Tally;
use crate::error::{Error, ServerError};
use crate::frame::{FrameBuilder, Plan, Shapes};
use crate::wire::{CopyFormat, ResultEnd, Row, RowDescription, Sink, TransactionStatus};

/// Marks the result of a BEGIN that travels in front of a statement.
pub const PRELUDE: u8 = 1;
/// Marks the result of the check in front.
pub const CHECK: u8 = 2;
/// Marks the result the caller asked for.
pub const RESULT: u8 = 0;
/// Marks the result of a probe.
pub const PROBE: u8 = 3;

/// Rows are handed over once a frame holds so many bytes, so that JS decodes while the server still sends.
const FRAME_BYTES: usize = 64 * 1024;

/// The longest answer to a statement of the engine's own that is believed.
const LOCAL_BYTES: usize = 16 * 1024 * 1024;

/// The requests in flight on one connection, oldest first, and what they share.
#[allow(clippy::struct_excessive_bools, reason = "independent facts")]
pub struct Answers {
    /// In flight.
    pub sent: VecDeque<InFlight>,
    /// What this connection has prepared.
    pub cache: StatementCache,
    /// Shapes of the process.
    pub shapes: Arc<Shapes>,
    /// Plans of open portals by name.
    pub portals: Vec<(Box<str>, Option<Arc<Plan>>)>,
    /// Environments that something was delivered to and that were not told yet.
    pub touched: Vec<Arc<dyn Outlet>>,
    /// The server writes dates in ISO style, as far as it said. Text in another style is the server's own, so a statement
    /// asks for text every time: its first execution and later ones must agree.
    pub iso_dates: bool,
    /// Undelivered bytes.
    pub account: Arc<Account>,
    /// Who hears the session's events.
    pub subscriber: Option<Subscriber>,
    /// Requests answered since the owner was told last.
    pub finished: usize,
    /// Last requests of sessions that were answered.
    pub sessions_over: usize,
    /// BEGIN failed: nothing behind it may run, it would run outside the transaction.
    pub begin_failed: Option<Error>,
    /// A statement of a transaction was given up while it was only being prepared: those behind it do without it.
    pub missed: bool,
    /// Requests to be sent again with a fresh Parse.
    pub again: Vec<Request>,
    /// A COPY FROM STDIN waits for data nobody will send.
    pub refuse_copy: bool,
    /// The COPY that runs.
    pub copy: Copying,
    /// The portal that is open without a Sync.
    pub cursor: Option<Cursor>,
    /// Why the last cursor was over before its end was asked for.
    pub cursor_over: Option<Error>,
    /// The portal of a cursor has ended: a Sync ends its implicit transaction.
    pub sync_due: bool,
    /// An error outside any request: the server's reason for ending the session.
    pub last_words: Option<ServerError>,
    /// What is known about the server.
    pub guard: Guard,
    /// What the open transaction has shown of itself.
    pub trail: Trail,
    /// Requests that had no effect here and go to another node.
    pub elsewhere: Vec<Request>,
    /// A COMMIT was answered by a server that was fenced meanwhile (CP-7).
    pub commit_fenced: bool,
    /// Such ones whose truth is to be looked for.
    pub doubts: Vec<Doubt>,
    /// Who looks after the connection.
    pub keeper: Option<Arc<dyn Keeper>>,
    /// What statements have left in the session.
    pub residue: Residue,
    /// The time of this turn.
    pub now: Instant,
    /// What is counted.
    pub tally: Tally,
    pub(super) builder: FrameBuilder,
}

impl Answers {
    /// Nothing in flight.
    pub fn new(statements: usize, shapes: Arc<Shapes>, guard: Guard, residue: Residue) -> Self {
        Self {
            sent: VecDeque::new(),
            cache: StatementCache::new(statements),
            shapes,
            portals: Vec::new(),
            touched: Vec::new(),
            iso_dates: true,
            account: Arc::default(),
            subscriber: None,
            finished: 0,
            sessions_over: 0,
            begin_failed: None,
            missed: false,
            again: Vec::new(),
            refuse_copy: false,
            copy: Copying::default(),
            cursor: None,
            cursor_over: None,
            sync_due: false,
            last_words: None,
            guard,
            trail: Trail::default(),
            elsewhere: Vec::new(),
            commit_fenced: false,
            doubts: Vec::new(),
            keeper: None,
            residue,
            now: Instant::now(),
            tally: Tally::default(),
            builder: FrameBuilder::new(),
        }
    }

    /// The backend that the login has named.
    pub fn note_backend(&mut self, pid: i32, host: &str) {
        self.trail.note_backend(pid, host);
    }

    /// A setting of the session, at its start or later.
    pub fn note_parameter(&mut self, name: &str, value: &str) {
        if name == "DateStyle" {
            self.iso_dates = value.starts_with("ISO");
        }
        self.trail.note_parameter(name, value);
    }

    fn event(&self, event: &Event<'_>) {
        if let Some(subscriber) = &self.subscriber {
            subscriber.pass_on(event, &self.account);
        }
    }

    /// Hands over what is complete of the oldest request; `last` together with its end. `row`: what was pushed last, if that is not
    /// kept yet.
    pub(super) fn deliver(&mut self, last: bool, row: &[u8]) {
        let Some(sent) = self.sent.front_mut() else {
            return;
        };
        let Reply::Outlet { outlet, id } = &sent.request.reply else {
            return;
        };
        let shape = sent.plan.as_ref().map(|plan| &plan.shape);
        let rows = match shape {
            Some(shape) if self.builder.rows() > 0 => Some((shape, &mut self.builder, row)),
            _ => None,
        };
        let command = sent.command.take();
        let suspended = std::mem::take(&mut sent.suspended);
        if rows.is_some() || command.is_some() || suspended || last {
            outlet.deliver(Completion {
                id: *id,
                rows,
                shape,
                command: command.as_ref(),
                suspended,
                copy: None,
                last,
                quick: last && sent.request.work.is_quick(),
                error: None,
                account: &self.account,
            });
            if command.is_some() && sent.prepared.is_none() {
                // The next statement of a simple request has other columns, or none and says nothing of them.
                sent.plan = None;
            }
            touch(&mut self.touched, outlet);
        }
    }

    /// Has everything that was delivered looked at.
    pub fn announce(&mut self) {
        for outlet in self.touched.drain(..) {
            outlet.announce();
        }
    }
}

/// Notes an environment once.
pub(super) fn touch(touched: &mut Vec<Arc<dyn Outlet>>, outlet: &Arc<dyn Outlet>) {
    if !touched.iter().any(|known| Arc::ptr_eq(known, outlet)) {
        touched.push(Arc::clone(outlet));
    }
}

impl Sink for Answers {
    fn parse_complete(&mut self) {
        if let Some(sent) = self.sent.front().filter(|sent| sent.probing) {
            if sent.names_probe {
                self.trail.named = Named::Yes;
            }
            return;
        }
        let parsed = |sent: &InFlight| {
            let of = if sent.prelude {
                &sent.begin
            } else {
                &sent.prepared
            };
            of.clone()
        };
        if let Some(prepared) = self.sent.front().and_then(parsed) {
            // A second Parse of the same name is refused by the server, so this is set once.
            let _ = prepared.parsed.set(());
        }
    }

    fn close_complete(&mut self) {}

    fn bind_complete(&mut self) {
        if let Some(sent) = self.sent.front_mut() {
            sent.bound = true;
        }
        if let Some(sent) = self.sent.front_mut().filter(|sent| !sent.timed) {
            sent.timed = true;
            self.tally.trip = Some(self.now.saturating_duration_since(sent.since));
        }
    }

    fn parameter_description(&mut self, oids: Vec<u32>) {
        if let Some(sent) = self.sent.front_mut() {
            sent.parameters = oids;
        }
    }

    fn row_description(&mut self, description: Option<RowDescription>) {
        let (fields, binary) = match description {
            Some(RowDescription { fields, binary }) => (Some(fields), binary),
            None => (None, Vec::new()),
        };
        // Several results of one simple request: the one before is complete.
        if self.sent.front().is_some_and(|sent| sent.command.is_some()) {
            self.deliver(false, &[]);
        }
        let Some(sent) = self.sent.front_mut() else {
            return;
        };
        let profile = &sent.request.profile;
        match &sent.prepared {
            Some(prepared) => {
                let described = Described {
                    parameters: std::mem::take(&mut sent.parameters).into(),
                    fields: fields.map(Into::into),
                };
                // Described twice when two requests of the first round were pipelined; both say the same.
                let _ = prepared.described.set(described);
                sent.plan = prepared.plan(profile, true, &self.shapes);
            }
            None => match fields.map(|fields| {
                Plan::as_described(&self.shapes, &fields, &binary, &profile.profile)
                    .map_err(unreadable)
            }) {
                Some(Err(refusal)) => sent.refusal = Some(refusal),
                plan => sent.plan = plan.and_then(Result::ok).map(Arc::new),
            },
        }
        if let (Work::CursorOpen { .. }, Some(cursor)) = (&sent.request.work, &mut self.cursor) {
            cursor.plan.clone_from(&sent.plan);
        }
        if let Work::CursorOpen { batch: 0, .. } = &sent.request.work {
            sent.suspended = true;
            self.settle_batch();
            return;
        }
        if let Work::Open { portal, .. } = &sent.request.work
            && let Some(open) = self.portals.iter_mut().find(|(name, _)| name == portal)
        {
            open.1.clone_from(&sent.plan);
        }
    }

    fn row(&mut self, body: &[u8]) -> Result<(), Error> {
        let Some(sent) = self.sent.front_mut() else {
            return Err(Error::protocol("a row without a request"));
        };
        if sent.check == Check::Lag {
            return self.guard.lag.answered(body);
        }
        if sent.check == Check::Query {
            let read_only = Row::new(body)?.next_column()?.flatten() != Some(b"off".as_slice());
            let role = if read_only {
                Role::Fenced
            } else {
                Role::Primary
            };
            self.guard.reported.shown(role);
            return Ok(());
        }
        if sent.probing {
            return self.trail.show(body);
        }
        self.tally.rows += 1;
        if !sent.has_room_for(body.len()) {
            return Ok(());
        }
        sent.received += body.len();
        match &mut sent.request.reply {
            Reply::Local(_) if sent.received > LOCAL_BYTES => Err(Error::protocol(
                "a statement of the engine's own has too many rows",
            )),
            Reply::Local(local) => local.result.push(body),
            Reply::Outlet { .. } => {
                // A plan is missing only when the statement of a pipelined neighbour was not described in time.
                if sent.plan.is_none() {
                    sent.plan = sent.prepared.as_ref().and_then(|prepared| {
                        prepared.plan(&sent.request.profile, true, &self.shapes)
                    });
                }
                let plan = sent
                    .plan
                    .as_ref()
                    .ok_or_else(|| Error::protocol("a row without a description"))?;
                if sent.command.is_some() {
                    return Err(Error::protocol("a row behind the end of its result"));
                }
                self.builder.push_row(plan, body)?;
                // What may still have to run elsewhere is not delivered piece by piece.
                let may_move = sent.met == Some(false) && sent.request.is_alone();
                if self.builder.size() >= FRAME_BYTES && !may_move {
                    self.deliver(false, body);
                    // Rows to decode while the server still sends the rest.
                    self.announce();
                }
                self.builder.keep(body);
                Ok(())
            }
        }
    }

    fn passes(&mut self, length: usize) -> bool {
        // The answers to a check and to a probe are small, and no part of the result.
        self.sent.front_mut().is_some_and(|sent| {
            sent.check == Check::None && !sent.probing && !sent.has_room_for(length)
        })
    }

    fn complete(&mut self, tag: u8, end: ResultEnd<'_>) {
        if let (PROBE, Some(sent)) = (tag, self.sent.front_mut()) {
            (sent.probing, sent.probed) = (false, true);
            return;
        }
        if self.sent.front().is_some_and(|sent| sent.command.is_some()) {
            self.deliver(false, &[]);
        }
        let is_alone = self.sent.len() == 1;
        let Some(sent) = self.sent.front_mut() else {
            return;
        };
        if tag == CHECK {
            return;
        }
        if tag == PRELUDE {
            sent.prelude = false;
            return;
        }
        sent.probing = sent.probe == Probing::Behind;
        match end {
            ResultEnd::Complete(tag) => {
                let forgets = sent.complete(tag);
                // What others have prepared behind it is there.
                if forgets && is_alone {
                    self.cache.forget_all();
                    self.trail.named = Named::No;
                }
            }
            ResultEnd::Empty => sent.command = Some(Command { tag: "".into() }),
            ResultEnd::Suspended => sent.suspended = true,
        }
        if sent.request.work.is_cursor() {
            if sent.suspended {
                self.settle_batch();
            } else {
                self.sync_due = true;
            }
        }
    }

    fn copy_in(&mut self, format: CopyFormat) {
        self.refuse_copy = !self.copy_begins(true, &format);
    }

    fn copy_out(&mut self, format: CopyFormat) {
        let begins = self.copy_begins(false, &format);
        if let Some(sent) = self.sent.front_mut()
            && !begins
            && !matches!(sent.request.work, Work::Simple { .. } | Work::Copy { .. })
            && !sent.request.leaves_copy
        {
            sent.refusal = Some(homeless());
        }
    }

    fn copy_data(&mut self, data: &[u8]) {
        self.copy_received(data);
    }

    fn copy_done(&mut self) {
        self.copy_flush();
        self.copy.stage = Stage::Over;
    }

    fn error(&mut self, error: ServerError) {
        if let Some(sent) = self.sent.front_mut() {
            // Parse failed, or was skipped because something in front of it failed.
            for (statement, prepared) in sent.unparsed() {
                self.cache.remove(statement, prepared, false);
            }
            let refused = sent.probing && doubt::is_refusal(&error.code);
            if refused {
                self.trail.refuse(&error.code);
            }
            let error = self.trail.said(error);
            // Not the statement has failed, but all of its transaction with the probe behind it.
            sent.error = Some(if refused {
                error.lose_transaction()
            } else {
                error
            });
        } else {
            if let Some(cursor) = &mut self.cursor {
                // Between two batches: the next one will never come, and must not look like the end.
                cursor.failed = Some(self.trail.said(error.clone()));
            }
            self.last_words = Some(error);
        }
    }

    fn ready(&mut self, status: TransactionStatus) {
        // A check in front of a request ends nothing: the portal behind it is noted already.
        let is_check = matches!(self.sent.front(), Some(sent) if sent.check != Check::None && sent.sent != Sent::Check);
        if status == TransactionStatus::Idle && !is_check {
            self.end_portals();
        }
        self.guard
            .ready(self.now, status == TransactionStatus::Idle);
        match self.sent.front() {
            Some(sent) if sent.check != Check::None && sent.sent != Sent::Check => self.checked(),
            Some(sent) if sent.check != Check::None => {
                self.checked();
                self.settle(status);
            }
            _ => {
                self.copy_ends();
                self.cursor_over = self.cursor.take().and_then(|cursor| cursor.failed);
                self.settle(status);
            }
        }
    }

    fn notice(&mut self, notice: ServerError) {
        // The routine, because texts are translated: the wait for a standby was interrupted, which is no error to the
        // server. Source: `SyncRepWaitForLSN` in `src/backend/replication/syncrep.c`.
        if notice.routine.as_deref() == Some("SyncRepWaitForLSN")
            && let Some(sent) = self.sent.front_mut()
        {
            sent.unreplicated = true;
        }
        self.event(&Event::Notice(&notice));
    }

    fn notification(&mut self, pid: i32, channel: &str, payload: &str) {
        self.event(&Event::Notification {
            pid,
            channel,
            payload,
        });
    }

    fn parameter_status(&mut self, name: &str, value: &str) {
        self.guard.reported.note(name, value);
        self.note_parameter(name, value);
        if let Some(keeper) = (self.keeper.as_ref()).filter(|_| name == "application_name") {
            keeper.named(value);
        }
        self.event(&Event::Parameter { name, value });
    }
}
