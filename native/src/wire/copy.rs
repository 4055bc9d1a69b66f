//! COPY: the formats the server announces, and how our side of a COPY ends.
//!
//! A COPY that takes our data always can be ended, also when there is no data source: [`Core::end_copy_in`] with a
//! reason makes the server report an error and the session usable again.

use bytes::BytesMut;

use super::backend::{Message, Reader};
use super::pipeline::CopyIn;
use super::{Core, frontend};
use crate::error::Error;

/// What `CopyInResponse` and `CopyOutResponse` announce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyFormat {
    /// Binary COPY format, else text or CSV.
    pub binary: bool,
    /// Format code of each column: 0 text, 1 binary.
    pub columns: Vec<u16>,
}

impl CopyFormat {
    /// Decodes `u8` overall format, `u16` count, then one `u16` code each.
    pub(super) fn decode(message: Message<'_>) -> Result<Self, Error> {
        let mut reader = Reader::new(message);
        let overall = reader.u8()?;
        let count = usize::from(reader.u16()?);
        // the body has arrived and is short (`backend::SHORT_MESSAGE`), the count is still not believed
        let mut columns = Vec::with_capacity(count.min(message.body.len() / 2));
        for _ in 0..count {
            columns.push(reader.u16()?);
        }
        if overall > 1 || columns.iter().any(|code| *code > 1) {
            return Err(reader.wrong("has an unknown format code"));
        }
        reader.end()?;
        Ok(Self {
            binary: overall == 1,
            columns,
        })
    }
}

impl Core {
    /// Does the server wait for COPY data? `copy_data` may be written until [`Core::end_copy_in`].
    #[must_use]
    pub fn takes_copy_data(&self) -> bool {
        self.pipeline.copy_in() != CopyIn::None
    }

    /// Ends our side of a COPY: complete (`Ok`), or given up for a reason (`Err`), which is also how a COPY without a
    /// data source is refused. Writes CopyDone or CopyFail and, unless it is a simple query, the Sync the server needs
    /// (it ignores one that was sent with the COPY), and expects the answer.
    ///
    /// Returns `false` and writes nothing when the server takes no data (any more), for instance because it reported
    /// an error meanwhile; safe to call twice. A reason with NUL or of more than 9 900 bytes is an error and writes
    /// nothing.
    pub fn end_copy_in(
        &mut self,
        out: &mut BytesMut,
        end: Result<(), &str>,
    ) -> Result<bool, Error> {
        let kind = self.pipeline.copy_in();
        if kind == CopyIn::None {
            return Ok(false);
        }
        match end {
            Ok(()) => frontend::copy_done(out),
            Err(reason) => frontend::copy_fail(out, reason)?,
        }
        if kind == CopyIn::Extended {
            frontend::sync(out);
        }
        self.pipeline.end_copy_in();
        Ok(true)
    }
}
