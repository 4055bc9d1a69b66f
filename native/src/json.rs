//! JSON texts, written from left to right: what the engine tells JavaScript apart from rows.
//!
//! Members are tables of names and values, not `json!`, which makes many times the code of each of them.

use std::fmt::Write as _;

/// What has a JSON text.
pub trait Json {
    /// Writes the text behind what is there.
    fn write(&self, out: &mut String);

    /// Is the text `null`?
    fn is_null(&self) -> bool {
        false
    }
}

/// A finished JSON text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text(String);

impl Text {
    /// The text itself.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

/// An object, written member by member.
#[derive(Debug, Default)]
pub struct Members(String);

impl Members {
    /// The next member.
    pub fn put(&mut self, name: &str, value: &dyn Json) {
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        name.write(&mut self.0);
        self.0.push(':');
        value.write(&mut self.0);
    }

    /// The next member, unless it is `null`.
    pub fn put_known(&mut self, name: &str, value: &dyn Json) {
        if !value.is_null() {
            self.put(name, value);
        }
    }

    /// All members are written.
    #[must_use]
    pub fn done(mut self) -> Text {
        self.0.push_str(if self.0.is_empty() { "{}" } else { "}" });
        Text(self.0)
    }
}

/// An object with these members.
#[must_use]
pub fn members(members: &[(&str, &dyn Json)]) -> Text {
    let mut all = Members::default();
    for (name, value) in members {
        all.put(name, *value);
    }
    all.done()
}

/// An array of these values.
#[must_use]
pub fn array(values: &[&dyn Json]) -> Text {
    let mut text = String::new();
    values.write(&mut text);
    Text(text)
}

impl Json for Text {
    fn write(&self, out: &mut String) {
        out.push_str(&self.0);
    }
}

impl Json for str {
    fn write(&self, out: &mut String) {
        match serde_json::to_string(self) {
            Ok(text) => out.push_str(&text),
            // Only writers fail, and this one is memory.
            Err(_) => out.push_str("null"),
        }
    }
}

impl Json for String {
    fn write(&self, out: &mut String) {
        self.as_str().write(out);
    }
}

impl Json for bool {
    fn write(&self, out: &mut String) {
        out.push_str(if *self { "true" } else { "false" });
    }
}

macro_rules! integers {
    ($($integer:ty)*) => {$(
        impl Json for $integer {
            fn write(&self, out: &mut String) {
                out.push_str(itoa::Buffer::new().format(*self));
            }
        }
    )*};
}

integers!(u8 u16 u32 u64 usize i16 i32);

impl Json for f64 {
    /// JSON has no other numbers than finite ones.
    fn write(&self, out: &mut String) {
        let _ = if self.is_finite() {
            write!(out, "{self}")
        } else {
            out.write_str("null")
        };
    }
}

impl<T: Json + ?Sized> Json for &T {
    fn write(&self, out: &mut String) {
        (**self).write(out);
    }

    fn is_null(&self) -> bool {
        (**self).is_null()
    }
}

impl<T: Json + ?Sized> Json for Box<T> {
    fn write(&self, out: &mut String) {
        (**self).write(out);
    }

    fn is_null(&self) -> bool {
        (**self).is_null()
    }
}

impl<T: Json> Json for Option<T> {
    fn write(&self, out: &mut String) {
        match self {
            Some(value) => value.write(out),
            None => out.push_str("null"),
        }
    }

    fn is_null(&self) -> bool {
        self.as_ref().is_none_or(Json::is_null)
    }
}

impl<T: Json> Json for [T] {
    fn write(&self, out: &mut String) {
        out.push('[');
        for (i, value) in self.iter().enumerate() {
            if i > 0 {
                out.push(',');
            }
            value.write(out);
        }
        out.push(']');
    }
}

impl<T: Json> Json for Vec<T> {
    fn write(&self, out: &mut String) {
        self.as_slice().write(out);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(text: Text) -> Value {
        serde_json::from_str(&text.into_string()).unwrap()
    }

    #[test]
    fn a_text_says_what_was_written() {
        let hostile: String = (0..0x300).filter_map(char::from_u32).collect();
        let text = members(&[
            ("text", &hostile),
            (
                &hostile,
                &array(&[&true, &0_u16, &u64::MAX, &i16::MIN, &0.25]),
            ),
            ("none", &None::<&str>),
            ("one", &Some(Box::<str>::from("\u{2028}🙂"))),
            ("list", &vec![members(&[]), Members::default().done()]),
        ]);
        let expected = json!({
            "text": hostile, (hostile.as_str()): [true, 0, u64::MAX, i16::MIN, 0.25], "none": null,
            "one": "\u{2028}🙂", "list": [{}, {}],
        });
        assert_eq!(read(text), expected);
    }

    #[test]
    fn numbers_are_exact_and_finite() {
        for number in [-0.0, 0.1, 1e-7, 1e300, f64::MIN_POSITIVE, f64::MAX] {
            let text = array(&[&number]).into_string();
            let within = text.trim_matches(['[', ']']).parse::<f64>().unwrap();
            assert_eq!(within.to_bits(), number.to_bits());
        }
        let odd = array(&[&f64::NAN, &f64::INFINITY]);
        assert_eq!(odd.into_string(), "[null,null]");
    }

    #[test]
    fn what_is_not_known_can_be_left_out() {
        let mut all = Members::default();
        all.put_known("a", &None::<&str>);
        all.put_known("b", &Some(""));
        all.put_known("c", &Some(None::<u32>));
        assert_eq!(all.done().into_string(), r#"{"b":""}"#);
    }
}
