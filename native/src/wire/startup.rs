//! Start-up of a session: from the first byte to the first ReadyForQuery.
//!
//! Each attempt has a [`Startup`] of its own, so nothing one host says is visible to another (rule T08). Until the
//! server has authenticated, only four kinds of message are accepted and all of them are short (rule W02).
//!
//! ```text
//! first_message ──▶ [NegotiateProtocolVersion] ──▶ Authentication… ──▶ ParameterStatus, BackendKeyData ──▶ Ready
//!                                                     │ Derive ▲ derived
//!                                                     ▼        │
//!                                                  blocking pool
//! ```

use std::fmt;

use bytes::{Buf, BufMut, BytesMut};

use super::auth::{Auth, Password, Progress};
use super::backend::{self, Bounds, Message, Reader, Tag};
use super::body;
use super::scram::{Derivation, Derived};
use super::settings::{PROTOCOL_3, StartupSettings};
use super::untrusted::{self, is_old_error};
use super::{TransactionStatus, transaction_status};
use crate::error::{Error, ServerError};

/// Longest authentication message, in bytes. Source: libpq, `PQconnectPoll`.
const MAX_AUTHENTICATION: usize = 2_000;

/// Most parameters a server may report; PostgreSQL reports 15.
const MAX_PARAMETERS: usize = 1_000;

/// Most notices kept from a start-up; more are dropped, they cannot be told apart from noise.
const MAX_NOTICES: usize = 16;

/// A session the server has accepted.
#[derive(Clone, PartialEq, Eq)]
pub struct Session {
    /// Process id of the backend; 0 when the server (a pooler) sent none, then nothing can be cancelled.
    pub pid: i32,
    /// Secret for cancel requests, 4 to 256 bytes; empty when the server sent none.
    pub key: Vec<u8>,
    /// Parameters the server reported, in its order.
    pub parameters: Vec<(String, String)>,
    /// Warnings the server gave after authentication (for example a collation version mismatch), 16 at most.
    pub notices: Vec<ServerError>,
    /// Transaction status.
    pub status: TransactionStatus,
    /// Minor protocol version agreed on.
    pub minor: u16,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("pid", &self.pid)
            .field("key", &format_args!("{} bytes", self.key.len()))
            .field("parameters", &self.parameters)
            .field("notices", &self.notices)
            .field("status", &self.status)
            .field("minor", &self.minor)
            .finish()
    }
}

/// What [`Startup::feed`] came to.
#[derive(Debug)]
pub enum Step {
    /// Write `out`, read more, feed again.
    NeedMore,
    /// Run it on a pool for blocking work, give the result to [`Startup::derived`], write `out`, feed again.
    Derive(Derivation),
    /// The server asks for a password and there is none: give it to [`Startup::password`] and feed again.
    AskPassword,
    /// The session is ready. What is left in the input belongs to [`super::Core`].
    Done(Session),
}

/// How far the start-up has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing has arrived; the server may still turn out to be unable to speak the protocol.
    Silent,
    /// Authentication is under way.
    Authenticating,
    /// The server is satisfied and sets the session up.
    Starting,
    /// Over, or failed.
    Finished,
}

/// One attempt to start a session. Dropping it stops a derivation that still runs.
#[derive(Debug)]
pub struct Startup {
    settings: StartupSettings,
    phase: Phase,
    auth: Auth,
    negotiated: bool,
    asked: bool,
    session: Session,
}

impl Startup {
    /// Checks everything that will be sent: NUL, control characters, names, the length of the message (rule D03).
    pub fn new(settings: StartupSettings) -> Result<Self, Error> {
        settings.check()?;
        settings.message()?;
        let minor = settings.minor;
        Ok(Self {
            settings,
            phase: Phase::Silent,
            auth: Auth::new(),
            negotiated: false,
            asked: false,
            session: Session {
                pid: 0,
                key: Vec::new(),
                parameters: Vec::new(),
                notices: Vec::new(),
                status: TransactionStatus::Idle,
                minor,
            },
        })
    }

    /// Writes the start-up message. Once per attempt, after TLS.
    pub fn first_message(&mut self, out: &mut BytesMut) -> Result<(), Error> {
        out.put_slice(&self.settings.message()?);
        Ok(())
    }

    /// Consumes whole messages from `input` and writes answers to `out`. While a derivation is outstanding it consumes
    /// nothing. After an error or [`Step::Done`] the attempt is over.
    pub fn feed(&mut self, input: &mut BytesMut, out: &mut BytesMut) -> Result<Step, Error> {
        let step = self.run(input, out);
        if !matches!(
            step,
            Ok(Step::NeedMore | Step::Derive(_) | Step::AskPassword)
        ) {
            self.phase = Phase::Finished;
        }
        step
    }

    fn run(&mut self, input: &mut BytesMut, out: &mut BytesMut) -> Result<Step, Error> {
        while !self.auth.deriving() {
            let mut rest: &[u8] = input;
            let Some(tag) = rest.first() else { break };
            self.admit(*tag)?;
            if self.phase == Phase::Silent && is_old_error(rest) {
                return Err(untrusted::startup_error(rest));
            }
            let bounds = |tag| {
                if tag == b'R' {
                    Some(Bounds {
                        min: 8,
                        max: MAX_AUTHENTICATION,
                    })
                } else {
                    backend::bounds(tag, backend::SHORT_MESSAGE)
                }
            };
            let Some(message) = backend::split(&mut rest, bounds)? else {
                break;
            };
            if self.settings.may_ask && asks_for_password(message) {
                // Not consumed: it is answered once there is a password.
                return Ok(Step::AskPassword);
            }
            let step = self.take(message, out)?;
            let consumed = input.len() - rest.len();
            input.advance(consumed);
            if let Some(step) = step {
                return Ok(step);
            }
        }
        Ok(Step::NeedMore)
    }

    /// Refuses a message by its tag, before its length is even looked at.
    fn admit(&self, tag: u8) -> Result<(), Error> {
        let admitted = match self.phase {
            Phase::Silent | Phase::Authenticating => matches!(tag, b'R' | b'v' | b'E' | b'N'),
            Phase::Starting => matches!(tag, b'S' | b'K' | b'Z' | b'E' | b'N'),
            Phase::Finished => false,
        };
        if admitted {
            return Ok(());
        }
        Err(Error::protocol(match self.phase {
            Phase::Silent | Phase::Authenticating => {
                format!("{} came before authentication was complete", Tag(tag))
            }
            Phase::Starting => format!("{} came while the session was being set up", Tag(tag)),
            Phase::Finished => "the start-up is over".into(),
        }))
    }

    fn take(&mut self, message: Message<'_>, out: &mut BytesMut) -> Result<Option<Step>, Error> {
        if self.phase == Phase::Silent {
            self.phase = Phase::Authenticating;
        }
        match message.tag {
            b'E' => return Err(Error::Server(Box::new(body::server_error(message)?))),
            b'N' => {
                let notice = body::server_error(message)?;
                // before authentication nobody knows who is talking
                if self.phase == Phase::Starting && self.session.notices.len() < MAX_NOTICES {
                    self.session.notices.push(notice);
                }
            }
            b'v' => self.negotiate(message)?,
            b'R' => {
                self.asked = true;
                match self.auth.request(message, &mut self.settings, out)? {
                    Progress::Continue => {}
                    Progress::Derive(derivation) => return Ok(Some(Step::Derive(derivation))),
                    Progress::Authenticated => self.phase = Phase::Starting,
                }
            }
            b'S' => self.parameter(message)?,
            b'K' => self.key(message)?,
            _ => {
                self.session.status = transaction_status(message)?;
                return Ok(Some(Step::Done(self.finish())));
            }
        }
        Ok(None)
    }

    fn finish(&mut self) -> Session {
        let Session {
            pid, status, minor, ..
        } = self.session;
        Session {
            pid,
            key: std::mem::take(&mut self.session.key),
            parameters: std::mem::take(&mut self.session.parameters),
            notices: std::mem::take(&mut self.session.notices),
            status,
            minor,
        }
    }

    /// Gives what [`Step::AskPassword`] asked for.
    pub fn password(&mut self, password: Password) {
        self.settings.password = Some(password);
        self.settings.may_ask = false;
    }

    /// Gives back what [`Step::Derive`] asked for and writes the answer.
    pub fn derived(&mut self, derived: Derived, out: &mut BytesMut) -> Result<(), Error> {
        let outcome = self.auth.derived(derived, out);
        if outcome.is_err() {
            self.phase = Phase::Finished;
        }
        outcome
    }

    /// `i32` newest version supported, `i32` count, then the names of parameters that are not known.
    ///
    /// The documentation calls the number a minor version, the server sends the whole one; both are understood.
    fn negotiate(&mut self, message: Message<'_>) -> Result<(), Error> {
        let mut reader = Reader::new(message);
        if self.negotiated || self.asked {
            return Err(reader.wrong("came twice or after authentication began"));
        }
        self.negotiated = true;
        let newest = reader.i32()?;
        let minor = u16::try_from(if newest >= PROTOCOL_3 {
            newest - PROTOCOL_3
        } else {
            newest
        })
        .ok()
        .filter(|minor| *minor != 1 && *minor <= self.settings.minor)
        .ok_or_else(|| {
            reader.wrong(format_args!(
                "names the version {newest}, which was not asked for"
            ))
        })?;
        let count = reader.i32()?;
        for _ in 0..count {
            let name = reader.cstr()?;
            if !self
                .settings
                .parameters
                .iter()
                .any(|(given, _)| given.as_bytes() == name)
            {
                return Err(reader.wrong("names a parameter that was not sent"));
            }
        }
        reader.end()?;
        self.session.minor = minor;
        Ok(())
    }

    fn parameter(&mut self, message: Message<'_>) -> Result<(), Error> {
        let mut reader = Reader::new(message);
        let name = reader.text()?;
        let value = reader.text()?;
        if self.session.parameters.len() >= MAX_PARAMETERS {
            return Err(reader.wrong(format_args!("came more than {MAX_PARAMETERS} times")));
        }
        reader.end()?;
        self.session
            .parameters
            .retain(|(known, _)| **known != *name);
        self.session.parameters.push((name.into(), value.into()));
        Ok(())
    }

    /// `i32` process id, then the key: exactly 4 bytes in protocol 3.0, 4 to 256 in 3.2 (rule W10).
    fn key(&mut self, message: Message<'_>) -> Result<(), Error> {
        let mut reader = Reader::new(message);
        let pid = reader.i32()?;
        let key = reader.remaining();
        let longest = if self.session.minor == 0 { 4 } else { 256 };
        if !(4..=longest).contains(&key.len()) {
            return Err(reader.wrong(format_args!(
                "has a key of {} bytes, allowed are 4 to {longest}",
                key.len()
            )));
        }
        if !self.session.key.is_empty() {
            return Err(reader.wrong("came twice"));
        }
        self.session.pid = pid;
        self.session.key = key.to_vec();
        Ok(())
    }
}

/// Is it a request that only a password answers: clear text, MD5, SASL?
fn asks_for_password(message: Message<'_>) -> bool {
    message.tag == b'R' && matches!(Reader::new(message).i32(), Ok(3 | 5 | 10))
}
