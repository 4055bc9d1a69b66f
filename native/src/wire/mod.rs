//! The protocol core: bytes in, events out. It has no socket, no clock and no thread, so it runs the same under the
//! tokio driver, the loop driver, a test and a fuzzer.
//!
//! The invariant: a message is either exactly what the state allows, or the connection is over. Nothing is guessed,
//! skipped or resynchronised.
//!
//! ```text
//!          frontend ──▶ bytes ──▶ server ──▶ bytes ──▶ Core::feed ──▶ Sink
//!             └── expect(…) ─────────▶ pipeline ◀── advance ──┘
//! ```

mod auth;
pub mod backend;
pub mod body;
pub mod copy;
pub mod copy_rows;
pub mod frontend;
mod methods;
pub mod params;
pub mod pipeline;
mod saslprep;
mod scram;
mod settings;
pub mod startup;
#[cfg(test)]
mod tests;
mod untrusted;

use bytes::{Buf, BytesMut};

use crate::error::{Error, ServerError};
use backend::{Message, Reader};
use pipeline::Pipeline;

pub use auth::Password;
pub use body::{Row, RowDescription};
pub use copy::CopyFormat;
pub use methods::AuthMethods;
pub use params::Params;
pub use pipeline::Expect;
pub use scram::{Derivation, Derived};
pub use settings::StartupSettings;
pub use startup::{Session, Startup, Step};
pub use untrusted::ssl_answer;

/// Default of the longest message accepted, in bytes: the server's own limit.
///
/// Source: `MaxAllocSize` in `src/include/utils/memutils.h`.
pub const MAX_MESSAGE: usize = 0x3fff_ffff;

/// What ReadyForQuery says about the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionStatus {
    /// Outside a transaction (`I`).
    Idle,
    /// Inside a transaction (`T`).
    InTransaction,
    /// Inside a transaction that has failed and can only be rolled back (`E`).
    Failed,
}

/// How a result ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResultEnd<'a> {
    /// With a command tag, for example `INSERT 0 1`.
    Complete(&'a str),
    /// The statement was empty.
    Empty,
    /// The row limit of Execute was reached; the portal has more.
    Suspended,
}

/// Takes what the server says, one call per message, in order.
pub trait Sink {
    /// Answer to Parse.
    fn parse_complete(&mut self);
    /// Answer to Close.
    fn close_complete(&mut self);
    /// Answer to Bind.
    fn bind_complete(&mut self);
    /// Types of a statement's parameters; [`Sink::row_description`] follows.
    fn parameter_description(&mut self, oids: Vec<u32>);
    /// Columns of a statement, a portal or a result of a simple query; `None` when there are no rows to come.
    ///
    /// In a simple query it may come twice before the result is complete (a rule that adds a SELECT).
    fn row_description(&mut self, description: Option<RowDescription>);
    /// One row: the body of DataRow from the `u16` column count on. The taker checks the count against the description
    /// and every length (rules W03, W04); its error ends the connection.
    fn row(&mut self, body: &[u8]) -> Result<(), Error>;
    /// A row of so many bytes has begun to arrive. `true`: it is not wanted, and passes without being kept.
    fn passes(&mut self, length: usize) -> bool {
        let _ = length;
        false
    }
    /// One result is complete. `tag` is that of [`Expect::Result`], 0 in a simple query.
    fn complete(&mut self, tag: u8, end: ResultEnd<'_>);
    /// The server takes COPY data until [`Core::end_copy_in`].
    fn copy_in(&mut self, format: CopyFormat);
    /// The server sends COPY data.
    fn copy_out(&mut self, format: CopyFormat);
    /// A piece of it.
    fn copy_data(&mut self, data: &[u8]);
    /// Its end.
    fn copy_done(&mut self);
    /// The current request failed; with nothing expected, the server's last words before it closes the connection.
    fn error(&mut self, error: ServerError);
    /// The request is over.
    fn ready(&mut self, status: TransactionStatus);
    /// A notice or warning; comes at any time.
    fn notice(&mut self, notice: ServerError);
    /// A notification; comes at any time.
    fn notification(&mut self, pid: i32, channel: &str, payload: &str);
    /// A server setting has changed; comes at any time.
    fn parameter_status(&mut self, name: &str, value: &str);
}

/// Decodes the messages of one session after its start-up.
#[derive(Debug)]
pub struct Core {
    pipeline: Pipeline,
    status: TransactionStatus,
    max_message: usize,
    /// Bytes of an unwanted row that are still to come.
    passing: usize,
    broken: bool,
}

impl Core {
    /// A core that refuses messages longer than `max_message` bytes ([`MAX_MESSAGE`] is the default of all faces).
    #[must_use]
    pub const fn new(max_message: usize) -> Self {
        Self {
            pipeline: Pipeline::new(),
            status: TransactionStatus::Idle,
            max_message,
            passing: 0,
            broken: false,
        }
    }

    /// Notes an answer that a message just written will get. Messages written behind an error and before the next Sync
    /// get none and are not noted.
    pub fn expect(&mut self, expect: Expect) {
        self.pipeline.push(expect);
    }

    /// Consumes whole messages from `input` and leaves an incomplete one at its end. Costs O(total bytes) however the
    /// input is cut, and allocates nothing from an announced length.
    ///
    /// After an error the connection must be closed; feeding on repeats that.
    pub fn feed<S: Sink>(&mut self, input: &mut BytesMut, sink: &mut S) -> Result<(), Error> {
        if self.broken {
            return Err(Error::protocol(
                "the stream was given up after an earlier violation",
            ));
        }
        let mut rest: &[u8] = input;
        self.pass(&mut rest);
        let outcome = self.run(&mut rest, sink);
        let consumed = input.len() - rest.len();
        input.advance(consumed);
        self.broken = outcome.is_err();
        outcome
    }

    fn run<S: Sink>(&mut self, rest: &mut &[u8], sink: &mut S) -> Result<(), Error> {
        let max = self.max_message;
        while let Some(message) = backend::split(rest, |tag| backend::bounds(tag, max))? {
            match message.tag {
                b'D' => {
                    self.pipeline.advance(b'D')?;
                    sink.row(message.body)?;
                    // where one row was in state, so are all that follow it at once
                    backend::rows(rest, max, |body| sink.row(body))?;
                }
                b'N' | b'A' | b'S' => unasked(message, sink)?,
                b'E' => {
                    let error = body::server_error(message)?;
                    self.pipeline.fail();
                    sink.error(error);
                }
                _ => self.answer(message, sink)?,
            }
        }
        // What is left is the beginning of a message. Rows that nobody wants are not collected until their end is here.
        if let Some(length) = backend::row_begins(rest)
            && sink.passes(length)
        {
            self.pipeline.advance(b'D')?;
            self.passing = backend::HEADER + length;
            self.pass(rest);
        }
        Ok(())
    }

    /// Throws away what has arrived of an unwanted row.
    fn pass(&mut self, rest: &mut &[u8]) {
        let arrived = self.passing.min(rest.len());
        *rest = rest.get(arrived..).unwrap_or_default();
        self.passing -= arrived;
    }

    /// Everything that moves the pipeline on, except rows and errors.
    fn answer<S: Sink>(&mut self, message: Message<'_>, sink: &mut S) -> Result<(), Error> {
        let expect = self.pipeline.advance(message.tag)?;
        let tag = if let Expect::Result { tag } = expect {
            tag
        } else {
            0
        };
        let mut reader = Reader::new(message);
        match message.tag {
            b'1' => sink.parse_complete(),
            b'2' => sink.bind_complete(),
            b'3' => sink.close_complete(),
            b't' => sink.parameter_description(body::parameter_description(message)?),
            b'T' => sink.row_description(Some(body::row_description(message)?)),
            b'n' => sink.row_description(None),
            b'C' => {
                let text = String::from_utf8_lossy(reader.cstr()?);
                reader.end()?;
                sink.complete(tag, ResultEnd::Complete(&text));
            }
            b'I' => sink.complete(tag, ResultEnd::Empty),
            b's' => sink.complete(tag, ResultEnd::Suspended),
            b'G' => sink.copy_in(CopyFormat::decode(message)?),
            b'H' => sink.copy_out(CopyFormat::decode(message)?),
            b'd' => sink.copy_data(message.body),
            b'c' => sink.copy_done(),
            b'Z' => {
                self.status = transaction_status(message)?;
                sink.ready(self.status);
            }
            // the table of the pipeline admits no other tag
            other => return Err(Error::internal(format!("no event for the tag {other}"))),
        }
        Ok(())
    }

    /// What the last ReadyForQuery said.
    #[must_use]
    pub const fn status(&self) -> TransactionStatus {
        self.status
    }

    /// Is nothing expected, and everything sent so far answered and ended by a Sync?
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.pipeline.is_idle()
    }

    /// Did an error come in a request whose Sync was not sent yet? The driver then writes Sync and expects
    /// [`Expect::Ready`]; until it does, the server answers nothing.
    #[must_use]
    pub const fn needs_sync(&self) -> bool {
        self.pipeline.needs_sync()
    }

    /// Number of ReadyForQuery messages the server owes.
    #[must_use]
    pub const fn outstanding(&self) -> usize {
        self.pipeline.readies()
    }
}

/// Messages that may come between any two others (rule W09).
fn unasked<S: Sink>(message: Message<'_>, sink: &mut S) -> Result<(), Error> {
    let mut reader = Reader::new(message);
    match message.tag {
        b'N' => sink.notice(body::server_error(message)?),
        b'A' => {
            let pid = reader.i32()?;
            let channel = String::from_utf8_lossy(reader.cstr()?);
            let payload = String::from_utf8_lossy(reader.cstr()?);
            reader.end()?;
            sink.notification(pid, &channel, &payload);
        }
        _ => {
            let name = String::from_utf8_lossy(reader.cstr()?);
            let value = String::from_utf8_lossy(reader.cstr()?);
            reader.end()?;
            sink.parameter_status(&name, &value);
        }
    }
    Ok(())
}

/// Decodes ReadyForQuery.
fn transaction_status(message: Message<'_>) -> Result<TransactionStatus, Error> {
    let mut reader = Reader::new(message);
    match reader.u8()? {
        b'I' => Ok(TransactionStatus::Idle),
        b'T' => Ok(TransactionStatus::InTransaction),
        b'E' => Ok(TransactionStatus::Failed),
        other => Err(reader.wrong(format_args!(
            "has the unknown status '{}'",
            other.escape_ascii()
        ))),
    }
}
