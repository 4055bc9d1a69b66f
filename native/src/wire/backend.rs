//! Messages of the server: where one ends, and checked reading inside it.
//!
//! Layout of every message: `u8` tag, `i32` length in bytes (itself included, the tag not), body. Lengths and counts
//! are hostile: every read is checked, nothing is allocated from an announced number, and a body must end where its
//! announced length says.
//!
//! Source: PostgreSQL protocol, "Message Formats".

use crate::error::Error;

/// Bytes of a header: tag and length.
pub const HEADER: usize = 5;

/// Longest message that is not data, text or a description, in bytes.
///
/// Source: libpq, `fe-protocol3.c`, which takes anything longer for a lost synchronisation.
pub const SHORT_MESSAGE: usize = 30_000;

/// Longest text of an error or notice that is kept, in bytes: all of them, escaped, fit a JS string.
pub const LONGEST_TEXT: usize = 4 << 20;

/// Longest notification, in bytes. The server's own limit for the payload is 8 000. Source: `NOTIFY_PAYLOAD_MAX_LENGTH`
/// in `src/backend/commands/async.c`.
const LONGEST_NOTIFICATION: usize = 1 << 20;

/// One whole message, borrowed from the input.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// The tag.
    pub tag: u8,
    /// What follows the length.
    pub body: &'a [u8],
}

/// The lengths a message may announce, in bytes, both included.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Shortest.
    pub min: usize,
    /// Longest.
    pub max: usize,
}

/// Takes the next whole message off `input`; `None` when its end has not arrived.
///
/// `bounds` says which announced lengths a tag may have (`None`: the tag is unknown). It is asked as soon as the five
/// bytes of the header are there, so an absurd length fails at once instead of being waited for.
#[inline]
pub fn split<'a>(
    input: &mut &'a [u8],
    bounds: impl FnOnce(u8) -> Option<Bounds>,
) -> Result<Option<Message<'a>>, Error> {
    let Some((&[tag, a, b, c, d], rest)) = input.split_first_chunk::<HEADER>() else {
        return Ok(None);
    };
    let announced = i32::from_be_bytes([a, b, c, d]);
    let bounds = bounds(tag);
    let length = match (bounds, usize::try_from(announced)) {
        (Some(Bounds { min, max }), Ok(length)) if min <= length && length <= max => length,
        _ => return Err(wrong_header(tag, announced, bounds)),
    };
    let Some((body, rest)) = rest.split_at_checked(length.saturating_sub(4)) else {
        return Ok(None);
    };
    *input = rest;
    Ok(Some(Message { tag, body }))
}

/// Takes the DataRow messages at the start of `input` off, as many as are whole and in bounds.
///
/// Only speed: [`split`] would give the same one by one, at six times the cost (19 and 3 ns a row of 40 bytes). Large
/// results are runs of rows and nothing else.
#[inline]
pub(super) fn rows<'a>(
    input: &mut &'a [u8],
    longest: usize,
    mut row: impl FnMut(&'a [u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    while let Some((&[b'D', a, b, c, d], rest)) = input.split_first_chunk::<HEADER>() {
        let body = usize::try_from(i32::from_be_bytes([a, b, c, d]))
            .ok()
            .filter(|length| *length <= longest)
            .and_then(|length| rest.split_at_checked(length.checked_sub(4)?));
        let Some((body, rest)) = body else { break };
        *input = rest;
        row(body)?;
    }
    Ok(())
}

/// The length of the DataRow body whose beginning is `input`. Its header was found to be in bounds by [`split`].
pub(super) fn row_begins(input: &[u8]) -> Option<usize> {
    let (&[b'D', a, b, c, d], _) = input.split_first_chunk::<HEADER>()? else {
        return None;
    };
    usize::try_from(i32::from_be_bytes([a, b, c, d]))
        .ok()?
        .checked_sub(4)
}

#[cold]
fn wrong_header(tag: u8, announced: i32, bounds: Option<Bounds>) -> Error {
    Error::protocol(match bounds {
        None => format!("no message has the tag {}", Tag(tag)),
        Some(Bounds { min, max }) => format!(
            "{} announced a length of {announced} bytes, allowed are {min} to {max}",
            Tag(tag)
        ),
    })
}

/// The lengths a message of a running session may announce; `None` for a tag that does not exist there.
///
/// `longest` bounds the kinds that carry data, text or descriptions; the others are short by nature.
#[inline]
#[must_use]
pub fn bounds(tag: u8, longest: usize) -> Option<Bounds> {
    let (min, max) = match tag {
        b'D' | b'd' | b'T' | b'E' | b'N' => (4, longest),
        b'A' => (4, longest.min(LONGEST_NOTIFICATION)),
        // ParameterDescription: u16 count, then at most 65 535 OIDs
        b't' => (6, longest.min(4 + 2 + 4 * 65_535)),
        b'1' | b'2' | b'3' | b'c' | b'I' | b'n' | b's' => (4, 4),
        b'Z' => (5, 5),
        b'C' | b'G' | b'H' | b'W' | b'S' | b'K' | b'R' | b'V' | b'v' => {
            (4, longest.min(SHORT_MESSAGE))
        }
        _ => return None,
    };
    Some(Bounds { min, max })
}

/// A tag as it is named in messages: `DataRow ('D')`.
#[derive(Clone, Copy)]
pub(super) struct Tag(pub(super) u8);

impl std::fmt::Display for Tag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = match self.0 {
            b'1' => "ParseComplete",
            b'2' => "BindComplete",
            b'3' => "CloseComplete",
            b'A' => "NotificationResponse",
            b'C' => "CommandComplete",
            b'c' => "CopyDone",
            b'D' => "DataRow",
            b'd' => "CopyData",
            b'E' => "ErrorResponse",
            b'G' => "CopyInResponse",
            b'H' => "CopyOutResponse",
            b'I' => "EmptyQueryResponse",
            b'K' => "BackendKeyData",
            b'N' => "NoticeResponse",
            b'n' => "NoData",
            b'R' => "Authentication",
            b'S' => "ParameterStatus",
            b's' => "PortalSuspended",
            b'T' => "RowDescription",
            b't' => "ParameterDescription",
            b'V' => "FunctionCallResponse",
            b'v' => "NegotiateProtocolVersion",
            b'W' => "CopyBothResponse",
            b'Z' => "ReadyForQuery",
            other => return write!(f, "'{}'", other.escape_ascii()),
        };
        write!(f, "{name} ('{}')", self.0.escape_ascii())
    }
}

/// A checked reader over one body. Errors name the message.
pub(super) struct Reader<'a> {
    tag: u8,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) const fn new(message: Message<'a>) -> Self {
        Self {
            tag: message.tag,
            rest: message.body,
        }
    }

    fn chunk<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (chunk, rest) = self.rest.split_first_chunk().ok_or_else(|| {
            Error::protocol(format!("{} ends in the middle of a number", Tag(self.tag)))
        })?;
        self.rest = rest;
        Ok(*chunk)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Error> {
        self.chunk().map(u8::from_be_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Error> {
        self.chunk().map(u16::from_be_bytes)
    }

    pub(super) fn i16(&mut self) -> Result<i16, Error> {
        self.chunk().map(i16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Error> {
        self.chunk().map(u32::from_be_bytes)
    }

    pub(super) fn i32(&mut self) -> Result<i32, Error> {
        self.chunk().map(i32::from_be_bytes)
    }

    /// Bytes up to the next NUL, which is consumed too.
    pub(super) fn cstr(&mut self) -> Result<&'a [u8], Error> {
        let end = memchr::memchr(0, self.rest).ok_or_else(|| {
            Error::protocol(format!("{} has a text without terminator", Tag(self.tag)))
        })?;
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest.split_first().map_or(rest, |(_, rest)| rest);
        Ok(text)
    }

    /// Text up to the next NUL; bytes that are not UTF-8 become U+FFFD.
    pub(super) fn text(&mut self) -> Result<Box<str>, Error> {
        self.cstr().map(|text| String::from_utf8_lossy(text).into())
    }

    /// The same; of one that is too long the beginning.
    pub(super) fn brief(&mut self) -> Result<Box<str>, Error> {
        let text = self.cstr()?;
        Ok(match text.split_at_checked(LONGEST_TEXT) {
            Some((begin, [_, ..])) => format!("{}…", String::from_utf8_lossy(begin)).into(),
            _ => String::from_utf8_lossy(text).into(),
        })
    }

    /// Everything that is left.
    pub(super) fn remaining(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// Number of bytes that are left.
    pub(super) const fn left(&self) -> usize {
        self.rest.len()
    }

    /// The body must end here.
    pub(super) fn end(self) -> Result<(), Error> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(Error::protocol(format!(
                "{} has {} bytes after its last field",
                Tag(self.tag),
                self.rest.len()
            )))
        }
    }

    /// A wrong value in this message.
    pub(super) fn wrong(&self, what: impl std::fmt::Display) -> Error {
        Error::protocol(format!("{} {what}", Tag(self.tag)))
    }
}
