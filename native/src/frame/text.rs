//! Text into the Latin-1 or the UTF-16 blob.

use std::borrow::Cow;

use super::areas::{Areas, WIDE, slot_length};
use crate::error::Error;

/// Lead bytes below this one start characters up to U+00FF; continuation bytes are smaller anyway.
const FIRST_LEAD_BEYOND_LATIN1: u8 = 0xC4;

/// How a text is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// One byte a character.
    Latin1,
    /// Two little-endian bytes a unit.
    Utf16,
}

impl Areas {
    /// A string: its text in the blob it fits, its length in a slot.
    pub(super) fn push_text(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if bytes.is_ascii() {
            self.latin.extend_from_slice(bytes);
            return self.push_length(bytes.len());
        }
        let text = decode(bytes);
        match encoding(&text) {
            Encoding::Latin1 => {
                let before = self.latin.len();
                append_latin1(&text, &mut self.latin);
                self.push_length(self.latin.len() - before)
            }
            Encoding::Utf16 => {
                let before = self.wide.len();
                append_utf16(&text, &mut self.wide);
                let units = slot_length((self.wide.len() - before) / 2)?;
                self.push_u32(units | WIDE);
                Ok(())
            }
        }
    }
}

/// Appends UTF-8 in the narrowest form and says which one that is.
pub(super) fn transcode(bytes: &[u8], out: &mut Vec<u8>) -> Encoding {
    if bytes.is_ascii() {
        out.extend_from_slice(bytes);
        return Encoding::Latin1;
    }
    let text = decode(bytes);
    let encoding = encoding(&text);
    match encoding {
        Encoding::Latin1 => append_latin1(&text, out),
        Encoding::Utf16 => append_utf16(&text, out),
    }
    encoding
}

/// Bytes that are not UTF-8 become U+FFFD (rule W11), as in every text a Node program reads.
fn decode(bytes: &[u8]) -> Cow<'_, str> {
    match simdutf8::basic::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(bytes),
    }
}

/// Are all characters below U+0100?
pub(super) fn is_latin1(text: &str) -> bool {
    text.bytes().all(|byte| byte < FIRST_LEAD_BEYOND_LATIN1)
}

fn encoding(text: &str) -> Encoding {
    if is_latin1(text) {
        Encoding::Latin1
    } else {
        Encoding::Utf16
    }
}

/// Appends one byte a character; there must be none above U+00FF.
pub(super) fn append_latin1(text: &str, out: &mut Vec<u8>) {
    out.extend(
        text.chars()
            .filter_map(|character| u8::try_from(character).ok()),
    );
}

/// Appends two bytes a unit.
pub(super) fn append_utf16(text: &str, out: &mut Vec<u8>) {
    out.reserve(2 * text.len());
    for unit in text.encode_utf16() {
        out.extend_from_slice(&unit.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16(text: &str) -> Vec<u8> {
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    }

    #[test]
    fn every_text_goes_to_the_narrowest_blob() {
        for (text, encoding) in [
            ("", Encoding::Latin1),
            ("plain", Encoding::Latin1),
            ("crème brûlée ÿ", Encoding::Latin1),
            ("Ā", Encoding::Utf16),
            ("сколько", Encoding::Utf16),
            ("mixed é € 𝄞", Encoding::Utf16),
        ] {
            let mut areas = Areas::default();
            areas.push_text(text.as_bytes()).unwrap();
            let slot = u32::from_le_bytes(areas.four.clone().try_into().unwrap());
            let mut plain = Vec::new();
            assert_eq!(transcode(text.as_bytes(), &mut plain), encoding, "{text}");
            match encoding {
                Encoding::Latin1 => {
                    assert_eq!(
                        usize::try_from(slot).unwrap(),
                        text.chars().count(),
                        "{text}"
                    );
                    assert_eq!(areas.latin, plain, "{text}");
                    let back: String = plain.into_iter().map(char::from).collect();
                    assert_eq!(back, text);
                }
                Encoding::Utf16 => {
                    let units = usize::try_from(slot & !WIDE).unwrap();
                    assert_eq!((slot & WIDE, units), (WIDE, text.encode_utf16().count()));
                    assert_eq!(areas.wide, utf16(text));
                    assert_eq!(plain, utf16(text));
                }
            }
        }
    }

    #[test]
    fn sec_w11_broken_utf8_is_replaced_and_never_fatal() {
        for bytes in [
            &b"a\xFFb"[..],
            b"\xC3",
            b"\xED\xA0\x80",
            b"\xF8\x88\x80\x80\x80",
        ] {
            let mut areas = Areas::default();
            areas.push_text(bytes).unwrap();
            assert_eq!(areas.wide, utf16(&String::from_utf8_lossy(bytes)));
        }
    }
}
