//! What errors say: one sentence with the fact, its numbers and, where there is one, the way out.

use std::fmt;
use std::time::Duration;

use super::{Counts, Error, Lack, Outcome, Phase};

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(server) | Self::Refused(server) => f.write_str(&server.message),
            Self::Partly { cause } => cause.fmt(f),
            Self::Connect { host, problem, .. } => write!(f, "cannot connect to {host}: {problem}"),
            Self::Acquire {
                waited,
                search: Some(lack),
                ..
            } => unsuitable(f, *waited, lack),
            Self::Acquire {
                waited,
                counts,
                last,
                search: None,
            } => occupied(f, *waited, counts, last.as_deref()),
            Self::Closed { what } => write!(f, "the {what} is closed"),
            Self::Cancelled { .. } => f.write_str("cancelled by the caller"),
            Self::Timeout { phase, after, .. } => match phase {
                Phase::Connect => write!(f, "no usable connection within {}ms", after.as_millis()),
                Phase::Acquire => {
                    write!(f, "no connection available within {}ms", after.as_millis())
                }
                Phase::Statement => write!(f, "cancelled after timeout of {}ms", after.as_millis()),
            },
            Self::Lost {
                outcome,
                host,
                cause,
            } => match outcome {
                Outcome::Unknown => write!(
                    f,
                    "connection to {host} lost before the answer came, the statement may \
                     have taken effect: {cause}"
                ),
                Outcome::Failed => write!(
                    f,
                    "connection to {host} lost inside a transaction that cannot commit any \
                     more: {cause}"
                ),
                Outcome::NotSent => {
                    write!(
                        f,
                        "connection to {host} lost before the statement was sent: {cause}"
                    )
                }
            },
            Self::Io { problem, .. }
            | Self::Result { problem, .. }
            | Self::Encode { problem }
            | Self::Lease { problem } => f.write_str(problem),
            Self::TransactionLost { cause } => write!(
                f,
                "the transaction's connection was lost, nothing of it was committed: {cause}"
            ),
            Self::NotReplicated => f.write_str(
                "committed on this server, but no synchronous standby has confirmed it: a \
                 failover may lose it",
            ),
            Self::Doubt { cause, trace } => match &trace.status {
                None => write!(f, "{cause}"),
                Some(status) => write!(
                    f,
                    "{cause}; what became of transaction {}: {status}",
                    trace.xid
                ),
            },
            Self::CommitAborted { cause } => {
                write!(
                    f,
                    "the transaction did not commit, as the server says now: {cause}"
                )
            }
            Self::Fenced { what } => {
                let end = match *what {
                    "statement" => "had no effect",
                    _ => "was rolled back",
                };
                write!(
                    f,
                    "the {what}'s node takes no writes any more \
                     (default_transaction_read_only is on): it {end}"
                )
            }
            Self::TransactionRolledBack => f.write_str(
                "COMMIT was answered with ROLLBACK: an earlier statement of the \
                 transaction failed and nothing was committed",
            ),
            Self::Protocol { problem } => write!(f, "the server broke the protocol: {problem}"),
            Self::Config { option, problem } => write!(f, "option \"{option}\" {problem}"),
            Self::Internal { problem } => write!(
                f,
                "internal error: {problem}; this is a bug in pg-berth, please report it"
            ),
        }
    }
}

/// No node suits: what each of them has answered.
fn unsuitable(f: &mut fmt::Formatter<'_>, waited: Duration, lack: &Lack) -> fmt::Result {
    write!(f, "{} after {}ms", lack.what, waited.as_millis())?;
    for (place, node) in lack.nodes.iter().enumerate() {
        write!(f, "{}{node}", if place == 0 { ": " } else { "; " })?;
    }
    Ok(())
}

/// No connection became free: who has them, or why there are none.
fn occupied(
    f: &mut fmt::Formatter<'_>,
    waited: Duration,
    counts: &Counts,
    last: Option<&Error>,
) -> fmt::Result {
    let Counts {
        max,
        size,
        available,
        opening,
        waiting,
    } = counts;
    write!(
        f,
        "no connection available within {}ms ({size} open, {available} idle, {opening} opening, \
         {waiting} waiting, at most {max})",
        waited.as_millis()
    )?;
    match last {
        Some(last) => write!(f, "; last failure: {last}"),
        None => f.write_str(
            "; raise poolSize or acquireTimeoutMs, or look for connections that are held too long",
        ),
    }
}
