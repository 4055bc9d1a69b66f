//! The one error of the engine: what happened, what is known about the statement, and whether waiting may help.
//!
//! Every error answers with [`Error::outcome`] what became of the statement it belongs to. Retry logic of all faces
//! reads that and [`Error::transient`], never a message.

mod lack;
mod trace;
mod words;

use std::time::Duration;

pub use self::lack::{Lack, NodeReport};
pub use self::trace::Trace;
use crate::sqlstate;

/// What is known about the effect of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// No byte of it reached the socket, or the server certainly did nothing.
    NotSent,
    /// The server answered with an error, or the transaction certainly did not commit.
    Failed,
    /// It was sent and the answer never came: it may or may not have taken effect.
    Unknown,
}

impl Outcome {
    /// The word JS sees in `error.outcome`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotSent => "not-sent",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }
}

/// All fields of an `ErrorResponse` or `NoticeResponse`.
///
/// Source: PostgreSQL protocol, "Error and Notice Message Fields".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerError {
    /// Length of the whole message in bytes as announced by the server (`length` of `pg`).
    pub length: u32,
    /// Severity, never translated when the server is 9.6 or newer (field `V`, else `S`).
    pub severity: Box<str>,
    /// SQLSTATE, five characters.
    pub code: Box<str>,
    /// Primary message.
    pub message: Box<str>,
    /// Detail (`D`).
    pub detail: Option<Box<str>>,
    /// Hint (`H`).
    pub hint: Option<Box<str>>,
    /// Cursor position in the statement, 1-based, in characters (`P`).
    pub position: Option<Box<str>>,
    /// Cursor position in an internally generated command (`p`).
    pub internal_position: Option<Box<str>>,
    /// Text of that command (`q`).
    pub internal_query: Option<Box<str>>,
    /// Context, one entry a line, most recent first (`W`).
    pub context: Option<Box<str>>,
    /// Schema (`s`).
    pub schema: Option<Box<str>>,
    /// Table (`t`).
    pub table: Option<Box<str>>,
    /// Column (`c`).
    pub column: Option<Box<str>>,
    /// Data type (`d`).
    pub data_type: Option<Box<str>>,
    /// Constraint (`n`).
    pub constraint: Option<Box<str>>,
    /// Source file of the server (`F`).
    pub file: Option<Box<str>>,
    /// Line in that file (`L`).
    pub line: Option<Box<str>>,
    /// Routine that reported it (`R`).
    pub routine: Option<Box<str>>,
    /// Whose answer it is: `host:port` or the socket path. No field of the protocol.
    pub host: Option<Box<str>>,
}

/// What a deadline was waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Dial, TLS and authentication together.
    Connect,
    /// A connection of the pool.
    Acquire,
    /// The answer to a statement.
    Statement,
}

impl Phase {
    /// The word JS sees in `error.phase`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Acquire => "acquire",
            Self::Statement => "statement",
        }
    }
}

/// Counts of a pool at the moment an error was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Most connections.
    pub max: usize,
    /// Open connections.
    pub size: usize,
    /// Open connections that nobody uses.
    pub available: usize,
    /// Connections being opened.
    pub opening: usize,
    /// Requests waiting for a connection.
    pub waiting: usize,
}

/// Everything that can go wrong in the engine.
#[derive(Clone, Debug)]
pub enum Error {
    /// The server answered with an error.
    Server(Box<ServerError>),
    /// The server refused the login: no statement ever reached it.
    Refused(Box<ServerError>),
    /// One attempt to connect failed before the server accepted it.
    Connect {
        /// `host:port` or the socket path.
        host: Box<str>,
        /// System code (`ECONNREFUSED`, `ENOTFOUND`, …) or one of `ERR_TLS`, `ERR_AUTH`, `ERR_PROTOCOL`.
        code: &'static str,
        /// What happened, without the host.
        problem: Box<str>,
    },
    /// No connection of the pool became free in time.
    Acquire {
        /// How long was waited.
        waited: Duration,
        /// The pool's counts when the wait ended.
        counts: Counts,
        /// The last failure to open a connection, if that is what was in the way.
        last: Option<Box<Error>>,
        /// What a search for a usable node has met, if that is what was waited for.
        search: Option<Box<Lack>>,
    },
    /// The pool, client or transaction was ended by its owner.
    Closed {
        /// `pool`, `client`, `transaction` or `stream`.
        what: &'static str,
    },
    /// The caller gave up.
    Cancelled {
        /// What is known about the statement.
        outcome: Outcome,
    },
    /// A deadline passed.
    Timeout {
        /// What was waited for.
        phase: Phase,
        /// The length of the deadline.
        after: Duration,
        /// What is known about the statement.
        outcome: Outcome,
    },
    /// The connection ended under a statement.
    Lost {
        /// What is known about the statement.
        outcome: Outcome,
        /// `host:port` or the socket path.
        host: Box<str>,
        /// Why it ended: the server's last words, or the socket's error.
        cause: Box<Error>,
    },
    /// The socket failed or was closed by the other side.
    Io {
        /// System code, for example `ECONNRESET`.
        code: &'static str,
        /// What happened.
        problem: Box<str>,
    },
    /// A transaction is used whose connection was lost.
    TransactionLost {
        /// Why it was lost.
        cause: Box<Error>,
    },
    /// Committed on this server, but the wait for a synchronous standby was interrupted.
    NotReplicated,
    /// A text of several statements failed behind a COMMIT of its own that was answered.
    Partly {
        /// What failed.
        cause: Box<Error>,
    },
    /// COMMIT was answered with the tag `ROLLBACK`.
    TransactionRolledBack,
    /// Nobody has heard the end of a transaction, and nobody could say what became of it.
    Doubt {
        /// How its end was lost.
        cause: Box<Error>,
        /// What it has shown, and what was found out.
        trace: Box<Trace>,
    },
    /// Nobody has heard the end of a transaction, and it was found out that it did not commit.
    CommitAborted {
        /// How its end was lost.
        cause: Box<Error>,
    },
    /// The node was demoted: COMMIT was not sent, or a statement that its session would have needed there had no effect.
    Fenced {
        /// `transaction` or `statement`.
        what: &'static str,
    },
    /// The result is not taken: it is longer than allowed, or has a form that cannot be read.
    Result {
        /// `ERR_RESULT_TOO_LARGE`, `ERR_RESULT_FORMAT` or `ERR_RESULT_INCOMPLETE`.
        code: &'static str,
        /// What is wrong, and what the limit is.
        problem: Box<str>,
        /// What is known about the statement.
        outcome: Outcome,
    },
    /// The server broke the protocol; the connection was closed.
    Protocol {
        /// What was expected and what came.
        problem: Box<str>,
    },
    /// A request cannot be put on the wire.
    Encode {
        /// What is wrong, and what the limit is.
        problem: Box<str>,
    },
    /// A setting is wrong.
    Config {
        /// The option's name as the caller wrote it.
        option: Box<str>,
        /// What it must be.
        problem: Box<str>,
    },
    /// A lease cannot be signed.
    Lease {
        /// What is wrong.
        problem: Box<str>,
    },
    /// A caught panic or a broken invariant: always a bug of ours.
    Internal {
        /// The panic's message.
        problem: Box<str>,
    },
}

/// A text of an error's own. Out of line, since errors are made in hundreds of places.
#[cold]
#[inline(never)]
fn kept(text: &str) -> Box<str> {
    text.into()
}

impl Error {
    /// A broken protocol.
    pub fn protocol(problem: impl AsRef<str>) -> Self {
        Self::Protocol {
            problem: kept(problem.as_ref()),
        }
    }

    /// A request that cannot be put on the wire.
    pub fn encode(problem: impl AsRef<str>) -> Self {
        Self::Encode {
            problem: kept(problem.as_ref()),
        }
    }

    /// What its statement failed with took all of its transaction along.
    #[must_use]
    pub fn lose_transaction(self) -> Self {
        Self::TransactionLost {
            cause: Box::new(self),
        }
    }

    /// A wrong setting.
    pub fn config(option: impl AsRef<str>, problem: impl AsRef<str>) -> Self {
        Self::Config {
            option: kept(option.as_ref()),
            problem: kept(problem.as_ref()),
        }
    }

    /// A bug of ours.
    pub fn internal(problem: impl AsRef<str>) -> Self {
        Self::Internal {
            problem: kept(problem.as_ref()),
        }
    }

    /// The `code` JS sees: the SQLSTATE, the system's code, or `ERR_…`.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Server(server) | Self::Refused(server) => &server.code,
            Self::Connect { code, .. } | Self::Io { code, .. } | Self::Result { code, .. } => code,
            Self::Acquire { .. } => "ERR_ACQUIRE_TIMEOUT",
            Self::Closed { .. } => "ERR_CLOSED",
            Self::Cancelled { .. } => "ERR_CANCELLED",
            Self::Timeout { .. } => "ERR_TIMEOUT",
            Self::Lost { cause, .. } | Self::Doubt { cause, .. } | Self::Partly { cause } => {
                cause.code()
            }
            Self::CommitAborted { .. } => "40000",
            Self::TransactionLost { .. } => "08006",
            Self::TransactionRolledBack => "25P02",
            Self::NotReplicated => "ERR_NOT_REPLICATED",
            Self::Fenced { .. } => "25006",
            Self::Protocol { .. } => "ERR_PROTOCOL",
            Self::Encode { .. } => "ERR_ENCODE",
            Self::Config { .. } => "ERR_CONFIG",
            Self::Lease { .. } => "ERR_LEASE",
            Self::Internal { .. } => "ERR_INTERNAL",
        }
    }

    /// What is known about the statement this error belongs to.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        match self {
            Self::Cancelled { outcome }
            | Self::Timeout { outcome, .. }
            | Self::Result { outcome, .. }
            | Self::Lost { outcome, .. } => *outcome,
            Self::Server(_)
            | Self::TransactionLost { .. }
            | Self::TransactionRolledBack
            | Self::CommitAborted { .. }
            | Self::Fenced { .. } => Outcome::Failed,
            Self::Protocol { .. }
            | Self::Internal { .. }
            | Self::Doubt { .. }
            | Self::Partly { .. }
            | Self::NotReplicated => Outcome::Unknown,
            Self::Connect { .. }
            | Self::Refused(_)
            | Self::Acquire { .. }
            | Self::Closed { .. }
            | Self::Io { .. }
            | Self::Encode { .. }
            | Self::Config { .. }
            | Self::Lease { .. } => Outcome::NotSent,
        }
    }

    /// The same end of waiting, for a statement that turned out not to have been sent.
    #[must_use]
    pub fn not_sent(self) -> Self {
        let outcome = Outcome::NotSent;
        match self {
            Self::Cancelled { .. } => Self::Cancelled { outcome },
            Self::Timeout { phase, after, .. } => Self::Timeout {
                phase,
                after,
                outcome,
            },
            other => other,
        }
    }

    /// May waiting help?
    #[must_use]
    pub fn transient(&self) -> bool {
        match self {
            Self::Server(server) | Self::Refused(server) => {
                sqlstate::is_transient(&server.code, &server.severity)
            }
            // Everything but the network: the same certificate or method would come again.
            Self::Connect { code, .. } => !is_final(code),
            Self::Acquire { .. }
            | Self::Timeout { .. }
            | Self::Lost { .. }
            | Self::Io { .. }
            | Self::Fenced { .. }
            | Self::Doubt { .. }
            | Self::CommitAborted { .. }
            | Self::TransactionLost { .. } => true,
            Self::Partly { cause } => cause.transient(),
            _ => false,
        }
    }
}

/// The code of a thread that the system refuses.
pub const NO_THREAD: &str = "ERR_NO_THREAD";

/// The code of a TLS handshake whose connection was lost.
pub const TLS_BROKEN_OFF: &str = "ERR_TLS_BROKEN_OFF";

/// Would connecting again fail the same way? Codes of certificates are Node's and have no common beginning.
#[must_use]
pub fn is_final(code: &str) -> bool {
    (code.starts_with("ERR_") && ![NO_THREAD, TLS_BROKEN_OFF].contains(&code))
        || code.starts_with("CERT_")
        || code.starts_with("CRL_")
        || code.starts_with("UNABLE_TO_")
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Acquire {
                last: Some(cause), ..
            }
            | Self::Lost { cause, .. }
            | Self::Doubt { cause, .. }
            | Self::CommitAborted { cause }
            | Self::Partly { cause }
            | Self::TransactionLost { cause } => Some(&**cause),
            _ => None,
        }
    }
}
