//! The data of a COPY beside its request: both directions in bounded memory, and an end whatever happens.
//!
//! ```text
//! FROM STDIN   JS ─ Data ─▶ output ─▶ socket ─ Written ─▶ JS     JS keeps a window of unwritten bytes
//! TO STDOUT    socket ─▶ buffer ─ Data ─▶ JS ─ Taken ─▶ reading  over 1 MiB not taken, reading stops
//! ```

use std::collections::VecDeque;
use std::sync::Arc;

use crate::conn::answers::{Answers, touch};
use crate::conn::exchange::Exchange;
use crate::conn::inflight::InFlight;
use crate::conn::request::{Completion, Outlet, Reply, Work};
use crate::error::{Error, Outcome};
use crate::wire::{CopyFormat, copy_rows, frontend};

/// Bytes of a COPY TO handed to JS at a time.
const PIECE: usize = 64 * 1024;
/// Bytes of a COPY TO that JS was given and has not used up, at which the connection stops reading.
const HIGH_WATER: usize = 1024 * 1024;

/// What JS does about a COPY that runs.
#[derive(Debug)]
pub enum CopyStep {
    /// Data for the server.
    Data(Box<[u8]>),
    /// Rows of values for the server, as a block of `wire/copy_rows.rs`.
    Rows(Box<[u8]>),
    /// The data is complete.
    Done,
    /// The data will never be complete, for this reason.
    Fail(Box<str>),
    /// So many bytes from the server were used up: more may come.
    Taken(usize),
}

/// What a COPY tells JS.
pub enum CopyNews<'a> {
    /// The server is ready to take or about to send data, in so many columns.
    Started {
        /// The format.
        binary: bool,
        /// Columns of a row.
        columns: usize,
    },
    /// Bytes from the server, taken out of the vector.
    Data(&'a mut Vec<u8>),
    /// The socket has taken so many bytes of ours.
    Written(usize),
}

/// How far a COPY has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// Not begun.
    #[default]
    Before,
    /// The server takes our data.
    Incoming,
    /// The server sends data.
    Outgoing,
    /// Its data is complete, or given up; a second COPY in the same text has no stream of its own.
    Over,
}

/// What is known of the COPY that runs.
#[derive(Debug, Default)]
pub struct Copying {
    /// How far it has come.
    pub stage: Stage,
    /// The end of our data was sent: from here on the server may have taken it.
    pub completed: bool,
    /// Where in the output stream a piece of our data ends, and its length.
    unwritten: VecDeque<(u64, usize)>,
    /// From the server, not handed over yet.
    buffer: Vec<u8>,
    /// Handed over and not used up.
    untaken: usize,
    /// Some of what came was not kept, because its caller had given it up.
    dropped: bool,
}

impl Answers {
    /// The server has begun a COPY. `false` when it is not the one that was asked for, or data for it is not wanted any more.
    pub(super) fn copy_begins(&mut self, wanted: bool, format: &CopyFormat) -> bool {
        let asked = self.sent.front().is_some_and(|sent| {
            // What the server sends may still be all of it: the cancel can come too late.
            (sent.cancelled.is_none() || !wanted)
                && matches!(sent.request.work, Work::Copy { incoming, .. } if incoming == wanted)
        });
        if !asked || self.copy.stage != Stage::Before {
            return false;
        }
        self.copy.stage = if wanted {
            Stage::Incoming
        } else {
            Stage::Outgoing
        };
        self.tell_copy(CopyNews::Started {
            binary: format.binary,
            columns: format.columns.len(),
        });
        true
    }

    /// Tells JS about the COPY that runs.
    fn tell_copy(&mut self, news: CopyNews<'_>) {
        let Some(Reply::Outlet { outlet, id }) = self.sent.front().map(|sent| &sent.request.reply)
        else {
            return;
        };
        outlet.deliver(Completion {
            id: *id,
            rows: None,
            shape: None,
            command: None,
            suspended: false,
            copy: Some(news),
            last: false,
            quick: false,
            error: None,
            account: &self.account,
        });
        touch(&mut self.touched, outlet);
    }

    /// Takes data of a COPY TO; what nobody asked for is dropped. One that was given up is read to its end, because the server
    /// may be faster than the cancel, and what its caller does not take of that is dropped too, over a limit.
    pub(super) fn copy_received(&mut self, data: &[u8]) {
        if self.copy.stage != Stage::Outgoing {
            return;
        }
        let is_given_up = |sent: &InFlight| sent.cancelled.is_some();
        self.copy.dropped |=
            self.copy.untaken >= HIGH_WATER && self.sent.front().is_none_or(is_given_up);
        if self.copy.dropped {
            self.copy.buffer = Vec::new();
            return;
        }
        self.copy.buffer.extend_from_slice(data);
        if self.copy.buffer.len() >= PIECE {
            self.copy_flush();
        }
    }

    /// Hands over what has come.
    pub(super) fn copy_flush(&mut self) {
        if self.copy.buffer.is_empty() {
            return;
        }
        let mut piece = std::mem::take(&mut self.copy.buffer);
        self.copy.untaken += piece.len();
        self.tell_copy(CopyNews::Data(&mut piece));
    }

    /// Its request is answered. A part of the data must not pass for all of it.
    pub(super) fn copy_ends(&mut self) {
        self.copy_flush();
        let copy = std::mem::take(&mut self.copy);
        if let Some(sent) = self.sent.front_mut()
            && copy.dropped
            && sent.error.is_none()
        {
            sent.refusal = Some(Error::Result {
                code: "ERR_RESULT_INCOMPLETE",
                problem: "the COPY was given up, and some of its data dropped, but the server had sent all of it".into(),
                outcome: Outcome::Unknown,
            });
        }
    }

    /// The socket has taken everything up to `written`.
    pub(super) fn copy_written(&mut self, written: u64) {
        let mut bytes = 0;
        while let Some((end, length)) = self.copy.unwritten.front()
            && *end <= written
        {
            bytes += length;
            self.copy.unwritten.pop_front();
        }
        if bytes > 0 {
            self.tell_copy(CopyNews::Written(bytes));
        }
    }
}

impl Exchange {
    /// A step of the COPY that runs for a request of that environment; one that comes too late changes nothing, because
    /// the COPY's own answer says why it is over.
    pub fn copy_step(&mut self, environment: &Arc<dyn Outlet>, of: u32, step: CopyStep) {
        let Some(front) = self.answers.sent.front() else {
            return;
        };
        if !front.request.reply.is(environment, of) {
            return;
        }
        let takes = self.core.takes_copy_data() && self.answers.copy.stage == Stage::Incoming;
        match step {
            CopyStep::Taken(bytes) => {
                self.answers.copy.untaken = self.answers.copy.untaken.saturating_sub(bytes);
            }
            CopyStep::Data(data) if takes => self.send_copy(&data, data.len()),
            CopyStep::Rows(block) if takes => {
                let mut lines = Vec::with_capacity(block.len());
                match copy_rows::append(&block, &mut lines) {
                    Ok(_) => self.send_copy(&lines, block.len()),
                    Err(error) => self.end_copy(Err(&error.to_string())),
                }
            }
            CopyStep::Data(_) | CopyStep::Rows(_) => {}
            CopyStep::Done => self.end_copy(Ok(())),
            CopyStep::Fail(reason) => self.end_copy(Err(&reason)),
        }
    }

    /// `length` is what JS counts the piece as.
    fn send_copy(&mut self, data: &[u8], length: usize) {
        let before = self.output.len();
        if frontend::copy_data(&mut self.output, data).is_ok() {
            let end = self.produced_since(before);
            self.answers.copy.unwritten.push_back((end, length));
        } else {
            self.output.truncate(before);
            self.end_copy(Err("a piece of the data is too long for a message"));
        }
    }

    /// Gives up a COPY that waits for our data.
    pub(super) fn fail_copy(&mut self) {
        self.end_copy(Err("given up by the caller"));
    }

    fn end_copy(&mut self, end: Result<(), &str>) {
        let before = self.output.len();
        self.answers.copy.completed |= end.is_ok() && self.answers.copy.stage == Stage::Incoming;
        // Longer reasons than the wire takes, or such with NUL, give way to one that certainly fits.
        let ended = self.core.end_copy_in(&mut self.output, end);
        if ended.is_err() {
            let end = Err("the source of the data failed");
            drop(self.core.end_copy_in(&mut self.output, end));
        }
        self.produced_since(before);
        let is_outgoing = |sent: &InFlight| {
            matches!(
                sent.request.work,
                Work::Copy {
                    incoming: false,
                    ..
                }
            )
        };
        // What the server sends is over when it says so.
        if !self.answers.sent.front().is_some_and(is_outgoing) {
            self.answers.copy.stage = Stage::Over;
        }
    }

    /// Does a COPY on it need its caller, for data or for its end?
    #[must_use]
    pub fn has_open_copy(&self) -> bool {
        let sent = self.answers.sent.iter().map(|sent| &sent.request);
        let mut requests = sent.chain(&self.queue);
        !self.answers.copy.completed
            && requests.any(|request| matches!(request.work, Work::Copy { .. }))
    }

    /// Must reading wait until JS has used up what it was given? A COPY that was given up is read to its end.
    #[must_use]
    pub fn copy_is_full(&self) -> bool {
        self.answers.copy.stage == Stage::Outgoing
            && self.answers.copy.untaken >= HIGH_WATER
            && self
                .answers
                .sent
                .front()
                .is_some_and(|sent| sent.cancelled.is_none())
    }
}
