//! Records on their way to JS: one header each, little-endian, 8-aligned, and a body padded to 8.
//!
//! ```text
//! 0 u32 request (slot for events) · 4 u32 flags · 8 u32 length of the body · 12 u32 shape, 0 = none (generation for events)
//! 16 u32 rows in the frame, or unpadded bytes of a text body · 20 u32 command word, 0 = none · 24 f64 affected rows, NaN = none
//! ```

/// The body is a row frame.
pub(super) const FRAME: u32 = 1;
/// One result is complete.
pub(super) const COMPLETE: u32 = 2;
/// The request is over.
pub(super) const FINAL: u32 = 4;
/// The body is an error as JSON.
pub(super) const ERROR: u32 = 8;
/// The portal has more rows.
pub(super) const SUSPENDED: u32 = 16;
/// The body is too large for the inbox and is fetched by a call of its own.
pub(super) const SPILL: u32 = 32;
/// An event of a session, as JSON.
pub(super) const EVENT: u32 = 64;
/// The body is a command tag whose word has no number.
pub(super) const TAG: u32 = 128;

/// News of a COPY. The command word says which: 1 it has begun, with two times the columns plus one for binary in place of
/// the rows; 2 a body of so many bytes; 3 so many bytes of ours were written.
pub(super) const COPY: u32 = 256;

/// The request has its connection: microseconds in place of the affected rows, the body is the host, a tab and the address.
pub(super) const PLACED: u32 = 512;
/// The statement may travel among others: it leaves the session as it was, and was quick.
pub(super) const QUICK: u32 = 1024;

/// Bytes of a record's header.
pub(super) const HEADER: usize = 32;

/// What a header says beside the length of its body.
#[derive(Default)]
pub(super) struct Head {
    pub(super) id: u32,
    pub(super) flags: u32,
    pub(super) shape: u32,
    pub(super) rows: u32,
    pub(super) word: u32,
    pub(super) affected: Option<u64>,
}

/// Appends a record whose body `write` appends and pads.
pub(super) fn append(buffer: &mut Vec<u8>, head: &Head, write: impl FnOnce(&mut Vec<u8>)) {
    let header = buffer.len();
    buffer.resize(header + HEADER, 0);
    write(buffer);
    let body = u32::try_from(buffer.len() - header - HEADER).unwrap_or(u32::MAX);
    // Affected rows are below 2⁶³; a JS number is what they become anyway.
    let affected = head.affected.map_or(f64::NAN, |rows| {
        let (high, low) = (rows >> 32, rows & 0xffff_ffff);
        f64::from(u32::try_from(high).unwrap_or(u32::MAX)) * 4_294_967_296.0
            + f64::from(u32::try_from(low).unwrap_or(u32::MAX))
    });
    let mut bytes = [0; HEADER];
    for (place, value) in bytes
        .chunks_exact_mut(4)
        .zip([head.id, head.flags, body, head.shape, head.rows, head.word])
    {
        place.copy_from_slice(&value.to_le_bytes());
    }
    copy(
        bytes.get_mut(24..).unwrap_or_default(),
        &affected.to_le_bytes(),
    );
    copy(buffer.get_mut(header..).unwrap_or_default(), &bytes);
}

/// Marks a record whose body does not follow it.
pub(super) fn mark_spilled(record: &mut [u8]) {
    if let Some(flags) = record.get_mut(4) {
        *flags |= u8::try_from(SPILL).unwrap_or_default();
    }
}

/// Whole records of `records` that fit into `room` bytes.
pub(super) fn whole(records: &[u8], room: usize) -> usize {
    if records.len() <= room {
        return records.len();
    }
    let mut fits = 0;
    while let Some(length) = records.get(fits + 8..).and_then(|rest| rest.first_chunk()) {
        let end = fits
            + HEADER
            + usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX - HEADER - fits);
        if end > room {
            break;
        }
        fits = end;
    }
    fits
}

/// Copies to the front of `target`; what is too long is not copied at all.
pub(super) fn copy(target: &mut [u8], source: &[u8]) {
    if let Some(target) = target.get_mut(..source.len()) {
        target.copy_from_slice(source);
    }
}
