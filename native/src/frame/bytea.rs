//! The two text forms of `bytea`.
//!
//! Source: PostgreSQL manual, "Binary Data Types": `hex` is `\x` and two digits a byte; `escape` writes a backslash twice and
//! other bytes as three octal digits after a backslash.

use crate::error::Error;

/// Appends the bytes that `text` stands for and returns how many they are.
pub(super) fn decode(text: &[u8], out: &mut Vec<u8>) -> Result<usize, Error> {
    let before = out.len();
    match text.strip_prefix(b"\\x") {
        Some(digits) => hex(digits, out),
        None => escaped(text, out),
    }
    .ok_or_else(|| Error::protocol("a bytea whose text is neither hex nor escaped"))?;
    Ok(out.len() - before)
}

fn hex(digits: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    out.reserve(pairs.len());
    for [high, low] in pairs {
        out.push(digit(*high)? << 4 | digit(*low)?);
    }
    Some(())
}

const fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

fn escaped(mut text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    while let Some(at) = memchr::memchr(b'\\', text) {
        let (plain, rest) = text.split_at_checked(at)?;
        out.extend_from_slice(plain);
        text = match rest {
            [_, b'\\', rest @ ..] => {
                out.push(b'\\');
                rest
            }
            [
                _,
                a @ b'0'..=b'3',
                b @ b'0'..=b'7',
                c @ b'0'..=b'7',
                rest @ ..,
            ] => {
                out.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest
            }
            _ => return None,
        };
    }
    out.extend_from_slice(text);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_give_the_bytes() {
        for (text, bytes) in [
            (&b"\\x"[..], &b""[..]),
            (b"\\x00fF5c", b"\x00\xFF\\"),
            (b"", b""),
            (b"abc", b"abc"),
            (b"a\\\\b\\000\\377\\134x", b"a\\b\x00\xFF\\x"),
            (b"\xC3\xA9", b"\xC3\xA9"),
        ] {
            let mut out = b"before".to_vec();
            assert_eq!(decode(text, &mut out).unwrap(), bytes.len());
            assert_eq!(out.strip_prefix(b"before"), Some(bytes));
        }
    }

    #[test]
    fn sec_w07_broken_text_is_refused() {
        for text in [&b"\\x0"[..], b"\\xzz", b"\\", b"a\\8", b"\\400", b"\\12"] {
            assert!(decode(text, &mut Vec::new()).is_err(), "{text:?}");
        }
    }
}
