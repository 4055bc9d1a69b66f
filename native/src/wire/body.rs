//! Bodies of the server's messages that hold more than one field.
//!
//! Source: PostgreSQL protocol, "Message Formats".

use super::backend::{Message, Reader};
use crate::error::{Error, ServerError};
use crate::field::Field;

/// Decodes `ErrorResponse` and `NoticeResponse`: (`u8` field type, text)*, 0. Unknown field types are skipped, as the
/// protocol demands. A text of the server's may be as long as a gigabyte, which no JS string can hold: it is cut.
pub(super) fn server_error(message: Message<'_>) -> Result<ServerError, Error> {
    let mut reader = Reader::new(message);
    let mut error = ServerError {
        length: u32::try_from(message.body.len().saturating_add(4)).unwrap_or(u32::MAX),
        ..ServerError::default()
    };
    let mut untranslated = None;
    loop {
        let field = reader.u8()?;
        if field == 0 {
            break;
        }
        let text = reader.brief()?;
        match field {
            b'S' => error.severity = text,
            b'V' => untranslated = Some(text),
            b'C' => error.code = text,
            b'M' => error.message = text,
            b'D' => error.detail = Some(text),
            b'H' => error.hint = Some(text),
            b'P' => error.position = Some(text),
            b'p' => error.internal_position = Some(text),
            b'q' => error.internal_query = Some(text),
            b'W' => error.context = Some(text),
            b's' => error.schema = Some(text),
            b't' => error.table = Some(text),
            b'c' => error.column = Some(text),
            b'd' => error.data_type = Some(text),
            b'n' => error.constraint = Some(text),
            b'F' => error.file = Some(text),
            b'L' => error.line = Some(text),
            b'R' => error.routine = Some(text),
            _ => {}
        }
    }
    reader.end()?;
    if let Some(untranslated) = untranslated {
        error.severity = untranslated;
    }
    Ok(error)
}

/// What `RowDescription` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowDescription {
    /// The columns, in order.
    pub fields: Vec<Field>,
    /// Which columns come in binary format; empty when every column is text.
    ///
    /// The description of a statement always says text, its formats are chosen by Bind. Those of a portal and of a
    /// simple query are true (`FETCH` from a binary cursor is binary in a simple query too).
    pub binary: Vec<bool>,
}

/// Fewest bytes of one column in `RowDescription`: an empty name's terminator and six numbers.
const FIELD_MIN: usize = 1 + 4 + 2 + 4 + 2 + 4 + 2;

/// Decodes `RowDescription`.
pub(super) fn row_description(message: Message<'_>) -> Result<RowDescription, Error> {
    let mut reader = Reader::new(message);
    let count = usize::from(reader.u16()?);
    // the count is only believed as far as the bytes that have arrived can bear it
    let mut fields = Vec::with_capacity(count.min(reader.left() / FIELD_MIN));
    let mut binary = Vec::new();
    for position in 0..count {
        let name = reader.text()?;
        fields.push(Field {
            name,
            table_oid: reader.u32()?,
            column: reader.i16()?,
            type_oid: reader.u32()?,
            type_size: reader.i16()?,
            type_modifier: reader.i32()?,
        });
        match reader.u16()? {
            0 if binary.is_empty() => {}
            0 => binary.push(false),
            1 => {
                binary.resize(position, false);
                binary.push(true);
            }
            other => return Err(reader.wrong(format_args!("has the unknown format code {other}"))),
        }
    }
    reader.end()?;
    Ok(RowDescription { fields, binary })
}

/// Decodes `ParameterDescription`: `u16` count, then one OID each.
pub(super) fn parameter_description(message: Message<'_>) -> Result<Vec<u32>, Error> {
    let mut reader = Reader::new(message);
    let count = usize::from(reader.u16()?);
    let mut oids = Vec::with_capacity(count.min(reader.left() / 4));
    for _ in 0..count {
        oids.push(reader.u32()?);
    }
    reader.end()?;
    Ok(oids)
}

/// A walker over the body of `DataRow`: `u16` count, then per column `i32` length (−1 for NULL) and that many bytes.
///
/// For the engine's own statements; rows for JS are read by `frame`.
#[derive(Clone, Debug)]
pub struct Row<'a> {
    columns: u16,
    left: u16,
    rest: &'a [u8],
}

impl<'a> Row<'a> {
    /// Starts on a body as [`super::Sink::row`] hands it out.
    pub fn new(body: &'a [u8]) -> Result<Self, Error> {
        let (count, rest) = body
            .split_first_chunk()
            .ok_or_else(|| Error::protocol("DataRow ('D') ends in the middle of a number"))?;
        let columns = u16::from_be_bytes(*count);
        Ok(Self {
            columns,
            left: columns,
            rest,
        })
    }

    /// Number of columns the row says it has.
    #[must_use]
    pub const fn columns(&self) -> u16 {
        self.columns
    }

    /// The next column: `None` after the last, `Some(None)` for NULL.
    pub fn next_column(&mut self) -> Result<Option<Option<&'a [u8]>>, Error> {
        if self.left == 0 {
            return if self.rest.is_empty() {
                Ok(None)
            } else {
                Err(Error::protocol(format!(
                    "DataRow ('D') has {} bytes after its last field",
                    self.rest.len()
                )))
            };
        }
        let (length, rest) = self
            .rest
            .split_first_chunk()
            .ok_or_else(|| Error::protocol("DataRow ('D') ends in the middle of a number"))?;
        let length = i32::from_be_bytes(*length);
        self.left -= 1;
        if length == -1 {
            self.rest = rest;
            return Ok(Some(None));
        }
        let (value, rest) = usize::try_from(length)
            .ok()
            .and_then(|length| rest.split_at_checked(length))
            .ok_or_else(|| {
                Error::protocol(format!(
                    "DataRow ('D') has a field of {length} bytes with {} bytes left",
                    rest.len()
                ))
            })?;
        self.rest = rest;
        Ok(Some(Some(value)))
    }
}
