//! A portal that stays open without a Sync: one per connection, in front of everything that waits.
//!
//! ```text
//! CursorOpen    Parse Bind Describe Flush                ─▶ columns: answered as a batch without rows
//!               Parse Bind Describe Execute(n) Flush     ─▶ rows, PortalSuspended: the batch is answered
//! CursorFetch   Execute(n) Flush                         ─▶ rows, CommandComplete: Sync, answered at ReadyForQuery
//! CursorClose   Close Sync                               ─▶ ReadyForQuery: the queue goes on
//! ```
//!
//! An error needs a Sync as well; what was asked behind it is answered with that error, never with an empty batch.

use std::sync::Arc;

use bytes::BytesMut;

use crate::conn::answers::{Answers, RESULT, touch};
use crate::conn::encode::ALL_TEXT;
use crate::conn::exchange::Exchange;
use crate::conn::inflight::InFlight;
use crate::conn::request::{Request, Work};
use crate::error::Error;
use crate::frame::{FrameBuilder, Plan};
use crate::wire::{Expect, frontend};

/// The open portal.
#[derive(Debug, Default)]
pub struct Cursor {
    /// How its rows become frames.
    pub plan: Option<Arc<Plan>>,
    /// An error that came between two batches.
    pub failed: Option<Error>,
}

/// Appends the messages of a step that has no Sync.
pub(super) fn encode(
    sent: &mut InFlight,
    expected: &mut Vec<Expect>,
    out: &mut BytesMut,
    answers: &mut Answers,
) -> Result<(), Error> {
    let batch = match &sent.request.work {
        Work::CursorOpen {
            statement,
            params,
            batch,
        } => {
            frontend::parse(out, "", &statement.text, &[])?;
            frontend::bind(out, "", "", &params.section, ALL_TEXT)?;
            frontend::describe_portal(out, "")?;
            expected.extend([
                Expect::ParseComplete,
                Expect::BindComplete,
                Expect::PortalDescription,
            ]);
            answers.cursor = Some(Cursor::default());
            if *batch == 0 {
                frontend::flush(out);
                return Ok(());
            }
            *batch
        }
        Work::CursorFetch { batch } => {
            let open = answers.cursor.as_ref();
            sent.plan = open.and_then(|cursor| cursor.plan.clone());
            *batch
        }
        _ => return Err(Error::internal("no step of a cursor")),
    };
    frontend::execute(out, "", batch)?;
    frontend::flush(out);
    expected.push(Expect::Result { tag: RESULT });
    Ok(())
}

impl Answers {
    /// Fails a batch that was not taken whole. Was it one?
    fn refuse_batch(&mut self) -> bool {
        let Some(refusal) = (self.sent.front_mut()).and_then(|sent| sent.refusal.take()) else {
            return false;
        };
        self.builder = FrameBuilder::new();
        self.finished += 1;
        if let Some(sent) = self.sent.pop_front() {
            self.follow(&sent.request, Some(&refusal));
            if let Some(outlet) = sent.request.reply.fail_quietly(&refusal) {
                touch(&mut self.touched, &outlet);
            }
        }
        true
    }

    /// A batch of a cursor is complete and its portal has more: the request is over without ReadyForQuery.
    pub(super) fn settle_batch(&mut self) {
        if self.refuse_batch() {
            return;
        }
        self.deliver(true, &[]);
        let Some(sent) = self.sent.pop_front() else {
            return;
        };
        self.finished += 1;
        self.follow(&sent.request, None);
        if let Some(statement) = sent.request.work.statement() {
            statement.took(self.now.saturating_duration_since(sent.since));
        }
    }
}

impl Exchange {
    /// The request that may be sent now.
    pub(super) fn next_request(&mut self) -> Option<Request> {
        if self.answers.cursor.is_none() {
            return self.queue.pop_front();
        }
        if self.answers.sent.is_empty() {
            return self.cursor_queue.pop_front();
        }
        None
    }

    /// Answers what was asked of a cursor that is over already.
    pub(super) fn refuse_late_cursor_steps(&mut self) {
        // A cursor that waits for its turn has steps that wait with it.
        let opens = |request: &Request| matches!(request.work, Work::CursorOpen { .. });
        if self.cursor_queue.is_empty()
            || self.answers.cursor.is_some()
            || self.queue.iter().any(opens)
        {
            return;
        }
        while let Some(request) = self.cursor_queue.pop_front() {
            self.answers.finished += 1;
            if matches!(request.work, Work::CursorClose) {
                request.reply.done(&self.answers.account);
            } else {
                let over = Error::Closed { what: "cursor" };
                request.fail(self.answers.cursor_over.as_ref().unwrap_or(&over));
            }
        }
    }
}
