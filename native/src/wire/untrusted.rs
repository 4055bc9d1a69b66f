//! What is heard before anybody has proven who is talking: the answer to `SSLRequest`, and a server too sick to speak
//! the protocol. Its text is shown, marked as untrusted, and never interpreted (rule T04).

use super::backend::{self, Bounds, HEADER, SHORT_MESSAGE};
use super::body;
use crate::error::Error;

/// Longest text quoted, in characters.
const QUOTED: usize = 200;

/// Reads the answer to `SSLRequest`: `None` when nothing has arrived, `true` to start TLS, `false` when the server has
/// none. `input` is everything that was read since; a byte behind the answer aborts the attempt, because it was sent
/// in plain text by somebody who wants it to be taken for encrypted (rule T01, CVE-2021-23214).
///
/// Such a byte, and an answer that is none, are [`Error::Protocol`]. An error in place of an answer is `ERR_TLS`, after
/// which `sslmode=prefer` may fall back like libpq (CP-30).
pub fn ssl_answer(input: &[u8]) -> Result<Option<bool>, Error> {
    match input {
        [] => Ok(None),
        b"S" => Ok(Some(true)),
        b"N" => Ok(Some(false)),
        [b'S' | b'N', rest @ ..] => Err(Error::protocol(format!(
            "{} bytes of plain text follow the answer to the TLS request; somebody may be tampering with the connection",
            rest.len()
        ))),
        [b'E', ..] => Err(Error::Connect {
            host: "".into(),
            code: "ERR_TLS",
            problem: format!(
                "the server answered the TLS request with an error, not trusted and not interpreted: {}",
                quote(input)
            )
            .into(),
        }),
        [other, ..] => Err(Error::protocol(format!(
            "the answer to the TLS request is '{}' and neither 'S' nor 'N': this is no PostgreSQL server",
            other.escape_ascii()
        ))),
    }
}

/// Is this 'E' followed by bare text instead of a length?
///
/// A postmaster that cannot start a backend answers like that, in the format of protocol 2.
/// Source: `report_fork_failure_to_client` in `src/backend/postmaster/postmaster.c`.
pub(super) fn is_old_error(input: &[u8]) -> bool {
    match input {
        [b'E', a, b, c, d, ..] => usize::try_from(i32::from_be_bytes([*a, *b, *c, *d]))
            .map_or(true, |length| !(8..=SHORT_MESSAGE).contains(&length)),
        _ => false,
    }
}

/// The error for such an answer. Waiting may help: the usual reason is a machine short of memory or processes.
pub(super) fn startup_error(input: &[u8]) -> Error {
    Error::Connect {
        host: "".into(),
        code: "ECONNREFUSED",
        problem: format!(
            "the server could not start a session and said (not trusted): {}",
            quote(input)
        )
        .into(),
    }
}

/// The message of an error in either format, quoted, cut and without control characters.
fn quote(input: &[u8]) -> String {
    let mut rest = input;
    let decoded = backend::split(&mut rest, |_| {
        Some(Bounds {
            min: HEADER,
            max: SHORT_MESSAGE,
        })
    })
    .ok()
    .flatten()
    .and_then(|message| body::server_error(message).ok());
    let text = decoded.map_or_else(
        || {
            let text = input.get(1..).unwrap_or_default();
            let end = memchr::memchr(0, text).unwrap_or(text.len());
            String::from_utf8_lossy(text.get(..end).unwrap_or_default()).into_owned()
        },
        |error| error.message.into(),
    );
    let shown: String = text.trim().chars().take(QUOTED).collect();
    format!("\"{}\"", shown.escape_debug())
}
