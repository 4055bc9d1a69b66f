//! Rows into frames.

use std::ops::Range;

use super::areas::Areas;
use super::cell::Filled;
use super::codec::Codec;
use super::json_tree::Tree;
use super::plan::{Plan, Reader};
use super::text::{Encoding, transcode};
use crate::error::Error;

/// Bytes of a frame's header.
const HEADER: usize = 32;
/// A `bytea` from this size on goes from its row straight into the frame. New memory for a copy of it in between would take
/// longer than the copying.
const LENT: usize = 256 * 1024;

/// A value that is still in the row it came with.
#[derive(Debug)]
struct Lent {
    /// Its place among the raw bytes.
    at: usize,
    /// Where it is in the body of the row.
    place: Range<usize>,
}

/// A frame being filled; emptied by [`FrameBuilder::finish_into`] and used again.
///
/// All rows of one frame come from plans of one shape.
#[derive(Debug, Default)]
pub struct FrameBuilder {
    areas: Areas,
    /// Per json column `[cell,cell` in UTF-8.
    json: Vec<Vec<u8>>,
    json_bytes: usize,
    tree: Tree,
    /// The bitmap, as long as its last set bit needs; empty when nothing is NULL.
    nulls: Vec<u8>,
    rows: u32,
    columns: usize,
    /// The first long `bytea` of the last row, until that is kept or the frame is finished.
    lent: Option<Lent>,
}

impl FrameBuilder {
    /// An empty frame.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends one row: the body of a `DataRow` from its field count on.
    ///
    /// What is long in it may stay there: behind this the frame is finished with the same body, or [`FrameBuilder::keep`] is
    /// called with it.
    ///
    /// On an error (always [`Error::Protocol`]) the rows collected so far are gone: the connection has to be closed anyway.
    pub fn push_row(&mut self, plan: &Plan, body: &[u8]) -> Result<(), Error> {
        let pushed = self.push_fields(plan, body);
        if pushed.is_err() {
            self.clear();
        }
        pushed
    }

    /// Copies what is still in the last row, whose body this is.
    pub fn keep(&mut self, body: &[u8]) {
        if let Some(Lent { at, place }) = self.lent.take() {
            let value = body.get(place).unwrap_or_default();
            self.areas.raw.splice(at..at, value.iter().copied());
        }
    }

    /// Rows in the frame.
    #[must_use]
    pub const fn rows(&self) -> u32 {
        self.rows
    }

    /// Bytes in the frame, without padding; 0 when it is empty.
    #[must_use]
    pub fn size(&self) -> usize {
        if self.rows == 0 {
            return 0;
        }
        HEADER + self.areas.size() + self.lent_bytes() + self.json_bytes + self.nulls.len()
    }

    /// Bytes that [`FrameBuilder::finish_into`] reserves; 0 when it is empty. Text that has to be transcoded may take more.
    #[must_use]
    pub fn room(&self) -> usize {
        if self.rows == 0 {
            return 0;
        }
        self.size() + 64 + 16 * self.json.len()
    }

    fn lent_bytes(&self) -> usize {
        self.lent.as_ref().map_or(0, |lent| lent.place.len())
    }

    fn push_fields(&mut self, plan: &Plan, body: &[u8]) -> Result<(), Error> {
        let (head, mut rest) = body
            .split_first_chunk()
            .ok_or_else(|| Error::protocol("a row without a field count"))?;
        let count = usize::from(u16::from_be_bytes(*head));
        if count != plan.readers.len() {
            return Err(Error::protocol(format!(
                "a row of {count} fields where {} were described",
                plan.readers.len()
            )));
        }
        if self.rows == 0 {
            self.columns = count;
            self.json.resize_with(plan.json_columns, Vec::new);
        }
        for (column, reader) in plan.readers.iter().enumerate() {
            let (head, tail) = rest.split_first_chunk().ok_or_else(truncated)?;
            let length = i32::from_be_bytes(*head);
            if length == -1 {
                rest = tail;
                self.push_null(*reader, column)?;
                continue;
            }
            let length = usize::try_from(length)
                .map_err(|_| Error::protocol(format!("a field of {length} bytes")))?;
            let (value, tail) = tail.split_at_checked(length).ok_or_else(truncated)?;
            rest = tail;
            if length >= LENT
                && self.lent.is_none()
                && matches!(reader, Reader::Cell(Codec::Bytes, _))
            {
                let end = body.len() - rest.len();
                self.lent = Some(Lent {
                    at: self.areas.raw.len(),
                    place: end - length..end,
                });
                self.areas.push_length(length)?;
                continue;
            }
            self.push_value(*reader, column, value)?;
        }
        if !rest.is_empty() {
            return Err(Error::protocol("bytes behind the last field of a row"));
        }
        self.rows = self
            .rows
            .checked_add(1)
            .filter(|_| u32::try_from(self.size()).is_ok_and(|size| size < u32::MAX / 2))
            .ok_or_else(|| Error::protocol("a row of more than 2 GiB"))?;
        Ok(())
    }

    #[inline]
    fn push_value(&mut self, reader: Reader, column: usize, value: &[u8]) -> Result<(), Error> {
        match reader {
            Reader::Cell(codec, _) => {
                if self.areas.push_value(codec, value)? == Filled::Null {
                    self.set_null(column)?;
                }
                Ok(())
            }
            Reader::Json(at) => self.push_json(at, value),
            Reader::Array(element) => self.areas.push_array(element, value),
            Reader::Void => Ok(()),
        }
    }

    fn push_null(&mut self, reader: Reader, column: usize) -> Result<(), Error> {
        match reader {
            Reader::Cell(_, slot) => self.areas.push_null(slot),
            Reader::Array(_) => self.areas.push_u32(0),
            // A NULL in the batch is `null`, and void is nothing else: neither needs the bitmap.
            Reader::Json(at) => return self.push_json(at, b"null"),
            Reader::Void => return Ok(()),
        }
        self.set_null(column)
    }

    fn push_json(&mut self, at: usize, json: &[u8]) -> Result<(), Error> {
        let batch = self
            .json
            .get_mut(at)
            .ok_or_else(|| Error::internal("rows of two shapes in one frame"))?;
        batch.push(if batch.is_empty() { b'[' } else { b',' });
        batch.extend_from_slice(json);
        self.json_bytes += json.len() + 1;
        Ok(())
    }

    fn set_null(&mut self, column: usize) -> Result<(), Error> {
        let bit = usize::try_from(self.rows)
            .ok()
            .and_then(|rows| rows.checked_mul(self.columns)?.checked_add(column))
            .ok_or_else(|| Error::protocol("a row of more than 2 GiB"))?;
        if self.nulls.len() <= bit / 8 {
            self.nulls.resize(bit / 8 + 1, 0);
        }
        if let Some(byte) = self.nulls.get_mut(bit / 8) {
            *byte |= 1 << (bit % 8);
        }
        Ok(())
    }

    /// Appends the frame, padded to 8 bytes, to `out`, whose length must be a multiple of 8, and starts an empty one that
    /// keeps the memory. `last`: the body of the last row, unless that was kept.
    pub fn finish_into(&mut self, out: &mut Vec<u8>, last: &[u8]) {
        let start = out.len();
        out.reserve(self.room());
        if !self.nulls.is_empty() {
            let bits = usize::try_from(self.rows).unwrap_or_default() * self.columns;
            self.nulls.resize(bits.div_ceil(8), 0);
        }
        for count in [
            self.areas.eight.len() / 8,
            self.areas.four.len() / 4,
            self.nulls.len(),
            self.areas.latin.len(),
            self.areas.wide.len(),
            self.areas.raw.len() + self.lent_bytes(),
            self.json.len(),
            0,
        ] {
            put_u32(out, count);
        }
        out.extend_from_slice(&self.areas.eight);
        out.extend_from_slice(&self.areas.four);
        let table = out.len();
        out.resize(table + 8 * self.json.len(), 0);
        out.extend_from_slice(&self.nulls);
        pad(out, 2);
        out.extend_from_slice(&self.areas.wide);
        out.extend_from_slice(&self.areas.latin);
        for (at, batch) in self.json.iter_mut().enumerate() {
            batch.push(b']');
            let is_tree = self.tree.read(batch).is_some();
            pad(out, if is_tree { 8 } else { 2 });
            let before = out.len();
            let flag: u32 = if is_tree {
                self.tree.write(batch, out);
                2
            } else {
                u32::from(transcode(batch, out) == Encoding::Utf16)
            };
            let length = u32::try_from(out.len() - before).unwrap_or_default();
            let entry = out.get_mut(table + 8 * at..).unwrap_or_default();
            for (slot, value) in entry.as_chunks_mut().0.iter_mut().zip([length, flag]) {
                *slot = value.to_le_bytes();
            }
        }
        let lent = self.lent.take();
        let (at, place) = lent.map_or((0, 0..0), |lent| (lent.at, lent.place));
        let (before, behind) = self.areas.raw.split_at_checked(at).unwrap_or_default();
        for raw in [before, last.get(place).unwrap_or_default(), behind] {
            out.extend_from_slice(raw);
        }
        let padding = (out.len() - start).next_multiple_of(8) - (out.len() - start);
        out.resize(out.len() + padding, 0);
        self.clear();
    }

    fn clear(&mut self) {
        self.areas.clear();
        for batch in &mut self.json {
            batch.clear();
            batch.shrink_to(1 << 20);
        }
        self.tree.shrink();
        self.json_bytes = 0;
        self.nulls.clear();
        self.lent = None;
        self.rows = 0;
    }
}

/// Sizes were checked when the rows came, so nothing is cut here.
fn put_u32(out: &mut Vec<u8>, value: usize) {
    out.extend_from_slice(&u32::try_from(value).unwrap_or_default().to_le_bytes());
}

fn pad(out: &mut Vec<u8>, to: usize) {
    out.resize(out.len().next_multiple_of(to), 0);
}

fn truncated() -> Error {
    Error::protocol("a field that is longer than its row")
}

#[cfg(test)]
mod tests {
    use super::super::tests::{plan, row};
    use super::*;
    use crate::frame::Preset;

    #[test]
    fn a_long_value_is_copied_once_and_only_out_of_its_own_row() {
        let plan = plan(Preset::Pg, &[17, 17, 25, 17, 17], true);
        let long = vec![7; LENT];
        let second = vec![8; LENT + 1];
        let mixed = row(&[
            Some(b"before"),
            Some(&long),
            Some(b"text"),
            Some(&second),
            None,
        ]);
        let short = row(&[Some(b"1"), None, None, Some(b"2"), Some(b"3")]);
        let mut builder = FrameBuilder::new();
        let mut finished = |is_kept: bool| {
            builder.push_row(&plan, &short).unwrap();
            builder.keep(&short);
            builder.push_row(&plan, &mixed).unwrap();
            assert!(builder.areas.raw.len() < LENT + 64);
            let size = builder.size();
            if is_kept {
                builder.keep(&mixed);
                assert_eq!(builder.size(), size);
            }
            let mut out = Vec::with_capacity(builder.room());
            let capacity = out.capacity();
            builder.finish_into(&mut out, if is_kept { &[] } else { &mixed });
            assert_eq!(out.capacity(), capacity, "moved for want of room");
            assert!(builder.lent.is_none());
            out
        };
        let frame = finished(false);
        assert_eq!(frame, finished(true));
        let raw = [b"123before", &long[..], &second].concat();
        assert!(frame.windows(raw.len()).any(|bytes| bytes == raw));
        builder.push_row(&plan, &mixed).unwrap();
        assert!(builder.push_row(&plan, &[0, 9]).is_err());
        assert_eq!((builder.size(), builder.lent.is_none()), (0, true));
    }
}
