//! What is written is what was read, and what cannot be is left alone.

use super::*;
use serde_json::{Map, Value, json};

fn tree(json: &str) -> Option<Vec<u8>> {
    let mut tree = Tree::default();
    // The same one twice: nothing of the first may be left in the second.
    tree.read(padded("[{\"before\":[1.5,\"ſ\"]}]").as_bytes())?;
    tree.read(json.as_bytes())?;
    let mut out = vec![0xAA; 16];
    tree.write(json.as_bytes(), &mut out);
    Some(out.split_off(16))
}

/// Long enough to be worth a tree.
fn padded(json: &str) -> String {
    format!("{json}{}", " ".repeat(SHORTEST))
}

struct Parts<'a> {
    doubles: Vec<f64>,
    tape: std::vec::IntoIter<u32>,
    text: &'a [u8],
    wide: bool,
    keys: Vec<Vec<String>>,
}

fn units(bytes: &[u8], wide: bool) -> String {
    if wide {
        let units: Vec<_> = bytes
            .chunks(2)
            .map(|unit| u16::from_le_bytes(unit.try_into().unwrap()))
            .collect();
        String::from_utf16(&units).unwrap()
    } else {
        bytes.iter().copied().map(char::from).collect()
    }
}

fn parts(blob: &[u8]) -> Parts<'_> {
    let word = |at: usize| {
        usize::try_from(u32::from_le_bytes(blob[at..at + 4].try_into().unwrap())).unwrap()
    };
    let [words, doubles, text, wide, keys, keys_wide] = [0, 4, 8, 12, 16, 20].map(word);
    let (doubles_end, tape_end) = (32 + 8 * doubles, 32 + 8 * doubles + 4 * words);
    let text_end = tape_end + text;
    let keys_at = text_end.next_multiple_of(2);
    assert_eq!(keys_at + keys, blob.len());
    let lists = units(&blob[keys_at..], keys_wide != 0);
    Parts {
        doubles: blob[32..doubles_end]
            .chunks(8)
            .rev()
            .map(|double| f64::from_le_bytes(double.try_into().unwrap()))
            .collect(),
        tape: blob[doubles_end..tape_end]
            .chunks(4)
            .map(|word| u32::from_le_bytes(word.try_into().unwrap()))
            .collect::<Vec<_>>()
            .into_iter(),
        text: &blob[tape_end..text_end],
        wide: wide != 0,
        keys: serde_json::from_str(&lists).unwrap(),
    }
}

fn value(parts: &mut Parts<'_>) -> Value {
    let word = parts.tape.next().unwrap();
    let payload = usize::try_from(word >> 3).unwrap();
    match word & 7 {
        0 => [Value::Null, json!(true), json!(false)][payload].clone(),
        INTEGER => json!(f64::from(word.cast_signed() >> 3)),
        DOUBLE => json!(parts.doubles.pop().unwrap()),
        STRING => {
            let (text, rest) = parts.text.split_at(payload << usize::from(parts.wide));
            parts.text = rest;
            json!(units(text, parts.wide))
        }
        ARRAY => (0..payload).map(|_| value(parts)).collect(),
        OBJECT => {
            let mut object = Map::new();
            for key in parts.keys[payload].clone() {
                object.insert(key, value(parts));
            }
            Value::Object(object)
        }
        kind => panic!("kind {kind}"),
    }
}

/// All numbers as doubles, as JavaScript has them.
fn numbers_as_doubles(value: Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64().unwrap()),
        Value::Array(items) => items.into_iter().map(numbers_as_doubles).collect(),
        Value::Object(object) => object
            .into_iter()
            .map(|(key, item)| (key, numbers_as_doubles(item)))
            .collect(),
        other => other,
    }
}

fn check(json: &str) {
    let blob = tree(&padded(json)).unwrap_or_else(|| panic!("left alone: {json}"));
    let mut parts = parts(&blob);
    let found = value(&mut parts);
    assert_eq!(parts.tape.len(), 0);
    assert_eq!((parts.doubles.len(), parts.text.len()), (0, 0));
    let expected = numbers_as_doubles(serde_json::from_str(json).unwrap());
    assert_eq!(found, expected, "{json}");
}

#[test]
fn values_come_back() {
    for json in [
        "null",
        " [ true , false,null ]\n",
        "[0,1,-1,268435455,-268435456,268435456,-268435457,2147483648,999999999,1234567890]",
        "[9007199254740993,-9223372036854775808,123456789012345678901234567890]",
        "[0.5,-0.25,1e2,1E+2,1e-7,5e-324,1.7976931348623157e308,0.1]",
        r#"["","a","é","ÿ","Ā","東京","🐘","mixed é Ā"]"#,
        r#"["\"\\\/\b\f\n\r\t","\u0041\u00e9\u20ac","\ud83d\ude00 and \uD83D\uDE00","\\u0041","\\"]"#,
        r#"[{},{"a":1},{"a":{"a":{"b":[]}}},{"b":1,"a":2},{"":0},{"__proto__":1},{"a b":1,"é":2,"東":3}]"#,
        r#"[{"k" : 1, "name" : "item 1", "price" : 0.5, "ok" : false, "none" : null}, {"k" : 2, "name" : "item 2", "price" : 1.0, "ok" : true, "none" : null}]"#,
    ] {
        check(json);
    }
}

#[test]
fn minus_zero_keeps_its_sign() {
    let blob = tree(&padded("[-0,-0.0,0]")).unwrap();
    let mut parts = parts(&blob);
    assert_eq!(parts.tape.len(), 4);
    assert!(parts.doubles.pop().unwrap().is_sign_negative());
    assert!(parts.doubles.pop().unwrap().is_sign_negative());
    assert_eq!(parts.doubles.len(), 0);
}

#[test]
fn what_is_no_json_or_unusual_is_left_alone() {
    let deep = format!("{}1{}", "[".repeat(65), "]".repeat(65));
    let lists: Vec<_> = (0..65).map(|i| format!("{{\"k{i}\":1}}")).collect();
    let lists = format!("[{}]", lists.join(","));
    let keys: Vec<_> = (0..101).map(|i| format!("\"k{i}\":1")).collect();
    let keys = format!("{{{}}}", keys.join(","));
    for json in [
        "",
        "[",
        "[1",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[1]]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "tru",
        "nul",
        "+1",
        "-",
        "01",
        "1.",
        ".5",
        "1e",
        "1e+",
        "0x1",
        "NaN",
        "\"",
        "\"\\",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u+123\"",
        "\"\\ud800\"",
        "\"\\udc00\"",
        "\"\\ud800\\u0041\"",
        "\"tab\tin it\"",
        "{\"\\u0061\":1}",
        &deep,
        &lists,
        &keys,
    ] {
        assert!(tree(&padded(json)).is_none(), "{json}");
    }
    assert!(tree("[1,2,3]").is_none(), "too short to pay");
}

#[test]
fn any_cut_or_changed_byte_is_read_right_or_left_alone() {
    let json = r#"[{"k":-12,"n":"it\"em é","p":0.5e1,"o":[true,null]},{"k":3,"n":"東\ud83d\ude00","p":7,"o":[]}]"#;
    for at in 0..json.len() {
        for byte in (0..=255).step_by(3) {
            let mut changed = padded(json).into_bytes();
            changed[at] = byte;
            let Ok(text) = String::from_utf8(changed) else {
                continue;
            };
            if let Some(blob) = tree(&text) {
                let expected = numbers_as_doubles(serde_json::from_str(&text).unwrap());
                assert_eq!(value(&mut parts(&blob)), expected, "{text}");
            }
        }
    }
}
