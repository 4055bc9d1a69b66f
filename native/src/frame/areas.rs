//! The growing areas of a frame.

use super::plan::Slot;
use crate::error::Error;

/// Bit 30 of a string's length: the text is in the UTF-16 blob and the length counts 16-bit units.
pub(super) const WIDE: u32 = 1 << 30;

/// Capacity an emptied area may keep, so that one huge cell is not paid for ever.
const KEPT_CAPACITY: usize = 1 << 20;

/// Slots and blobs, in the byte order of the frame.
#[derive(Debug, Default)]
pub(super) struct Areas {
    pub(super) eight: Vec<u8>,
    pub(super) four: Vec<u8>,
    pub(super) latin: Vec<u8>,
    pub(super) wide: Vec<u8>,
    pub(super) raw: Vec<u8>,
    /// Room for array elements whose quoting is undone.
    pub(super) scratch: Vec<u8>,
}

impl Areas {
    /// A signed 4-byte slot.
    pub(super) fn push_i32(&mut self, value: i32) {
        self.four.extend_from_slice(&value.to_le_bytes());
    }

    /// An unsigned 4-byte slot.
    pub(super) fn push_u32(&mut self, value: u32) {
        self.four.extend_from_slice(&value.to_le_bytes());
    }

    /// An 8-byte slot with a number.
    pub(super) fn push_f64(&mut self, value: f64) {
        self.eight.extend_from_slice(&value.to_le_bytes());
    }

    /// An 8-byte slot with an integer.
    pub(super) fn push_i64(&mut self, value: i64) {
        self.eight.extend_from_slice(&value.to_le_bytes());
    }

    /// The empty slot of a NULL.
    pub(super) fn push_null(&mut self, slot: Slot) {
        match slot {
            Slot::Four => self.push_u32(0),
            Slot::Eight => self.push_i64(0),
        }
    }

    /// The slot of a string or of bytes whose `length` was just appended to a blob.
    pub(super) fn push_length(&mut self, length: usize) -> Result<(), Error> {
        self.push_u32(slot_length(length)?);
        Ok(())
    }

    /// Bytes of a `bytea`.
    pub(super) fn push_raw(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.raw.extend_from_slice(bytes);
        self.push_length(bytes.len())
    }

    pub(super) fn size(&self) -> usize {
        self.eight.len() + self.four.len() + self.latin.len() + self.wide.len() + self.raw.len()
    }

    pub(super) fn clear(&mut self) {
        for area in [
            &mut self.eight,
            &mut self.four,
            &mut self.latin,
            &mut self.wide,
            &mut self.raw,
            &mut self.scratch,
        ] {
            area.clear();
            area.shrink_to(KEPT_CAPACITY);
        }
    }
}

/// A length that leaves bit 30 free; a server's own values are shorter than 1 GiB.
pub(super) fn slot_length(length: usize) -> Result<u32, Error> {
    u32::try_from(length)
        .ok()
        .filter(|length| *length < WIDE)
        .ok_or_else(|| Error::protocol(format!("a value of {length} bytes, the limit is 1 GiB")))
}
