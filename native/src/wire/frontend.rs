//! Messages of the client, appended to a buffer.
//!
//! Every length and text is checked before the first byte of a message is written, so a refused message leaves the
//! buffer as it was and its neighbours intact.
//!
//! Source: PostgreSQL protocol, "Message Formats".

use bytes::{BufMut, BytesMut};
use postgres_protocol::message::frontend;

use super::params::Params;
use crate::error::Error;

/// Longest length the server accepts in Parse, Bind, Query and CopyData.
///
/// Source: `PQ_LARGE_MESSAGE_LIMIT` in `src/include/libpq/libpq.h` (`MaxAllocSize` − 1). A longer message would not be
/// answered but end the connection, and leave the outcome of everything behind it unknown.
pub const LARGE_MESSAGE: usize = 0x3fff_fffe;

/// Longest length the server accepts in every other message.
///
/// Source: `PQ_SMALL_MESSAGE_LIMIT` in the same file.
pub const SMALL_MESSAGE: usize = 10_000;

/// Room for what follows a Bind in its packet: Describe, Execute, a probe, Sync.
const ROOM_BEHIND: usize = 1024;

/// `CancelRequest`'s code in place of a protocol version.
const CANCEL_REQUEST: i32 = 80_877_102;

/// The length field of a message with these parts, if it stays within `limit`.
pub(super) fn length(name: &str, parts: &[usize], limit: usize) -> Result<i32, Error> {
    parts
        .iter()
        .try_fold(4_usize, |sum, part| sum.checked_add(*part))
        .filter(|sum| *sum <= limit)
        .and_then(|sum| i32::try_from(sum).ok())
        .ok_or_else(|| {
            Error::encode(format!(
                "the {name} message would be longer than the {limit} bytes the server accepts"
            ))
        })
}

/// Opens a message whose parts were measured.
fn begin(out: &mut BytesMut, tag: u8, length: i32) {
    // reserving is a matter of speed only, hence the fallback
    out.reserve(usize::try_from(length).unwrap_or(0).saturating_add(1));
    out.put_u8(tag);
    out.put_i32(length);
}

/// A text that ends with NUL on the wire must not contain one.
fn check_text(field: &str, text: &str) -> Result<usize, Error> {
    if memchr::memchr(0, text.as_bytes()).is_some() {
        return Err(Error::encode(format!(
            "{field} must not contain a NUL character"
        )));
    }
    Ok(text.len().saturating_add(1))
}

fn put_text(out: &mut BytesMut, text: &str) {
    out.put_slice(text.as_bytes());
    out.put_u8(0);
}

/// `Parse`: prepares `sql` as the statement `name` (empty: the unnamed one); OID 0 lets the server infer a type.
pub fn parse(out: &mut BytesMut, name: &str, sql: &str, param_oids: &[u32]) -> Result<(), Error> {
    let texts = [
        check_text("the statement's name", name)?,
        check_text("the SQL text", sql)?,
    ];
    let count = u16::try_from(param_oids.len()).map_err(|_| {
        Error::encode(format!(
            "a statement has at most 65535 parameters, got {}",
            param_oids.len()
        ))
    })?;
    let [name_length, sql_length] = texts;
    let length = length(
        "Parse",
        &[name_length, sql_length, 2, usize::from(count) * 4],
        LARGE_MESSAGE,
    )?;
    begin(out, b'P', length);
    put_text(out, name);
    put_text(out, sql);
    out.put_u16(count);
    for oid in param_oids {
        out.put_u32(*oid);
    }
    Ok(())
}

/// `Bind`: makes `portal` from `statement` and `params`, the section described at [`Params`].
///
/// `result_formats` is `u16` count, then one `u16` code each: 0 text, 1 binary. A count of 0 means all text, of 1 the
/// same for all columns. A section that is not well-formed is refused, for it would desynchronise the wire; so is the
/// format code 2, which [`Params::resolve`] takes away first.
pub fn bind(
    out: &mut BytesMut,
    portal: &str,
    statement: &str,
    params: &[u8],
    result_formats: &[u8],
) -> Result<(), Error> {
    let portal_length = check_text("the portal's name", portal)?;
    let statement_length = check_text("the statement's name", statement)?;
    if Params::new(params)?.has_choices() {
        return Err(Error::encode("a parameter's format is still to be chosen"));
    }
    check_result_formats(result_formats)?;
    let parts = [
        portal_length,
        statement_length,
        params.len(),
        result_formats.len(),
    ];
    let length = length("Bind", &parts, LARGE_MESSAGE)?;
    // With room for what follows in the packet: a huge message is not to be moved for the sake of a few bytes.
    out.reserve(params.len() + ROOM_BEHIND);
    begin(out, b'B', length);
    put_text(out, portal);
    put_text(out, statement);
    out.put_slice(params);
    out.put_slice(result_formats);
    Ok(())
}

fn check_result_formats(formats: &[u8]) -> Result<(), Error> {
    let (pairs, odd) = formats.as_chunks::<2>();
    let Some((count, codes)) = pairs.split_first().filter(|_| odd.is_empty()) else {
        return Err(Error::encode("the result formats are cut off"));
    };
    if usize::from(u16::from_be_bytes(*count)) != codes.len() {
        return Err(Error::encode("the number of result formats is wrong"));
    }
    if codes.iter().any(|code| u16::from_be_bytes(*code) > 1) {
        return Err(Error::encode(
            "a result format must be 0 (text) or 1 (binary)",
        ));
    }
    Ok(())
}

/// `Describe` and `Close`: a kind, then a name.
fn named(out: &mut BytesMut, tag: u8, message: &str, kind: u8, name: &str) -> Result<(), Error> {
    let field = if kind == b'S' {
        "the statement's name"
    } else {
        "the portal's name"
    };
    let length = length(message, &[1, check_text(field, name)?], SMALL_MESSAGE)?;
    begin(out, tag, length);
    out.put_u8(kind);
    put_text(out, name);
    Ok(())
}

/// `Describe` of a statement; answered by [`super::Expect::StatementDescription`].
pub fn describe_statement(out: &mut BytesMut, name: &str) -> Result<(), Error> {
    named(out, b'D', "Describe", b'S', name)
}

/// `Describe` of a portal; answered by [`super::Expect::PortalDescription`].
pub fn describe_portal(out: &mut BytesMut, name: &str) -> Result<(), Error> {
    named(out, b'D', "Describe", b'P', name)
}

/// `Close` of a statement; closing one that does not exist is no error.
pub fn close_statement(out: &mut BytesMut, name: &str) -> Result<(), Error> {
    named(out, b'C', "Close", b'S', name)
}

/// `Close` of a portal; closing one that does not exist is no error.
pub fn close_portal(out: &mut BytesMut, name: &str) -> Result<(), Error> {
    named(out, b'C', "Close", b'P', name)
}

/// `Execute`: at most `max_rows` rows, 0 for all.
pub fn execute(out: &mut BytesMut, portal: &str, max_rows: i32) -> Result<(), Error> {
    if max_rows < 0 {
        return Err(Error::encode(format!(
            "the row limit must not be negative, got {max_rows}"
        )));
    }
    let length = length(
        "Execute",
        &[check_text("the portal's name", portal)?, 4],
        SMALL_MESSAGE,
    )?;
    begin(out, b'E', length);
    put_text(out, portal);
    out.put_i32(max_rows);
    Ok(())
}

/// `Query`: one or several statements without parameters.
pub fn simple_query(out: &mut BytesMut, sql: &str) -> Result<(), Error> {
    let length = length("Query", &[check_text("the SQL text", sql)?], LARGE_MESSAGE)?;
    begin(out, b'Q', length);
    put_text(out, sql);
    Ok(())
}

/// `Sync`: ends a request; answered by [`super::Expect::Ready`].
pub fn sync(out: &mut BytesMut) {
    frontend::sync(out);
}

/// `Flush`: asks for the answers so far without ending the request.
pub fn flush(out: &mut BytesMut) {
    frontend::flush(out);
}

/// `Terminate`: the last message of a session.
pub fn terminate(out: &mut BytesMut) {
    frontend::terminate(out);
}

/// `CopyData`: a piece of a COPY stream; pieces need not end at row boundaries.
pub fn copy_data(out: &mut BytesMut, data: &[u8]) -> Result<(), Error> {
    let length = length("CopyData", &[data.len()], LARGE_MESSAGE)?;
    begin(out, b'd', length);
    out.put_slice(data);
    Ok(())
}

/// `CopyDone`: the COPY stream is complete. [`super::Core::end_copy_in`] writes it together with the Sync it needs.
pub fn copy_done(out: &mut BytesMut) {
    frontend::copy_done(out);
}

/// `CopyFail`: the COPY stream is given up for `reason`, which the server quotes in its error.
pub fn copy_fail(out: &mut BytesMut, reason: &str) -> Result<(), Error> {
    let length = length(
        "CopyFail",
        &[check_text("the reason", reason)?],
        SMALL_MESSAGE,
    )?;
    begin(out, b'f', length);
    put_text(out, reason);
    Ok(())
}

/// `CancelRequest`, the only message of its own connection. `key` is the session's, 4 to 256 bytes.
pub fn cancel_request(out: &mut BytesMut, pid: i32, key: &[u8]) -> Result<(), Error> {
    if !(4..=256).contains(&key.len()) {
        return Err(Error::encode(format!(
            "a cancel key has 4 to 256 bytes, this session's has {}",
            key.len()
        )));
    }
    let length = length("CancelRequest", &[4, 4, key.len()], SMALL_MESSAGE)?;
    out.put_i32(length);
    out.put_i32(CANCEL_REQUEST);
    out.put_i32(pid);
    out.put_slice(key);
    Ok(())
}

/// `SSLRequest`, sent before anything else; [`super::ssl_answer`] reads the answer.
pub fn ssl_request(out: &mut BytesMut) {
    frontend::ssl_request(out);
}
