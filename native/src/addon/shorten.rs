//! A JSON text whose long strings are cut: what is told where there is no memory for all of it.
//!
//! It takes what it gives and no more memory: parsing what there was no room for would ask for as much again.

/// Most bytes of a string that is told.
const MOST: usize = 4096;
/// What stands behind a string that was cut.
const MARK: &str = "… (cut: no memory for the rest)";

/// The text with its strings cut, without the padding of its record.
pub(super) fn shorten(json: &[u8]) -> String {
    let mut short = Vec::with_capacity(MOST.min(json.len()));
    let (mut rest, mut within) = (json, None);
    while let Some((&byte, _)) = rest.split_first() {
        let (unit, behind) = rest.split_at(length(rest).min(rest.len()));
        rest = behind;
        match (&mut within, byte) {
            (None, 0) => {}
            (None, b'"') => {
                within = Some((0, false));
                short.push(byte);
            }
            (None, _) => short.extend_from_slice(unit),
            (Some((_, is_cut)), b'"') => {
                if *is_cut {
                    short.extend_from_slice(MARK.as_bytes());
                }
                within = None;
                short.push(byte);
            }
            (Some((used, is_cut)), _) => {
                *is_cut |= *used + unit.len() > MOST;
                if !*is_cut {
                    *used += unit.len();
                    short.extend_from_slice(unit);
                }
            }
        }
    }
    String::from_utf8_lossy(&short).into_owned()
}

/// Bytes of the character or escape at the front: none is cut in two.
fn length(text: &[u8]) -> usize {
    match text {
        [b'\\', b'u', ..] => 6,
        [b'\\', ..] => 2,
        [first, ..] => match first {
            0xf0.. => 4,
            0xe0.. => 3,
            0xc0.. => 2,
            _ => 1,
        },
        [] => 0,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn shortened(value: &Value) -> Value {
        let mut padded = value.to_string().into_bytes();
        padded.resize(padded.len().next_multiple_of(8) + 8, 0);
        serde_json::from_str(&shorten(&padded)).unwrap()
    }

    #[test]
    fn short_strings_stay_as_they_are() {
        let value = json!({ "a": "\"\\\n\u{1}é🙂", "b": [1, null, -2.5, true], "": { "c": "" } });
        assert_eq!(shortened(&value), value);
        let longest = json!({ "text": "x".repeat(MOST) });
        assert_eq!(shortened(&longest), longest);
    }

    #[test]
    fn a_long_string_is_cut_between_characters_and_says_so() {
        for unit in ["x", "é", "€", "🙂", "\u{1}", "\"", "\\"] {
            let value = json!({ "before": 1, "text": unit.repeat(300_000), "behind": "kept" });
            let short = shortened(&value);
            assert_eq!(
                (&short["before"], &short["behind"]),
                (&json!(1), &json!("kept"))
            );
            let text = short["text"].as_str().unwrap();
            let kept = text.strip_suffix(MARK).unwrap();
            assert!(
                kept.len() > MOST / 8 && kept.len() <= MOST,
                "{unit:?}: {}",
                kept.len()
            );
            assert_eq!(kept, unit.repeat(kept.chars().count()), "{unit:?}");
        }
    }

    #[test]
    fn what_is_no_json_ends_as_well() {
        for odd in [&b"\\"[..], b"\"\\u0", b"\"\xf0", b"\xff\xff\"", b""] {
            shorten(odd);
        }
    }
}
