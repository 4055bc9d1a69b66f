//! JSON texts as a tape of values, which JavaScript turns into values without `JSON.parse`.
//!
//! ```text
//! header   8 × u32: tape words · doubles · text bytes · 1 if the text is UTF-16 · bytes of the key lists · 1 if they are
//!          UTF-16 · 0 · 0
//! doubles  f64
//! tape     u32 words, payload << 3 | kind, in the order of the text:
//!          0 null (payload 0), true (1), false (2) · 1 an integer of 29 bits · 2 the next double · 3 a string of so many units
//!          of the text · 4 an array of so many values, which follow · 5 an object with the keys of this list, whose values follow
//! text     all strings, one after another
//! keys     (2-aligned) JSON: the lists of keys
//! ```
//!
//! Objects with the same keys in the same order share a list, for which JavaScript has a constructor ready: per megabyte of
//! small objects that takes 1.7 ms instead of the 5.7 of `JSON.parse` (measured, Node 20), and the rest is done here, beside
//! the JS thread. Whatever does not pay or is unusual (many different lists of keys, deep nesting, lone surrogates, broken
//! UTF-8) is left to `JSON.parse`, and so is every doubt about the grammar.

use super::text::{append_latin1, append_utf16, is_latin1, transcode};
use crate::frame::text::Encoding;

/// Below this the lists of keys cost more than they save.
const SHORTEST: usize = 1024;
/// Above this a tape could grow beyond what a frame may hold.
const LONGEST: usize = 64 << 20;
/// Nested deeper, `JSON.parse` reads it without recursion.
const DEEPEST: usize = 64;
/// More different objects than this are data in the place of names.
const MOST_LISTS: usize = 64;
const MOST_KEYS: usize = 100;

const NULL: u32 = 0;
const TRUE: u32 = 1 << 3;
const FALSE: u32 = 2 << 3;
const INTEGER: u32 = 1;
const DOUBLE: u32 = 2;
const STRING: u32 = 3;
const ARRAY: u32 = 4;
const OBJECT: u32 = 5;

/// Payloads have 29 bits.
const PAYLOADS: usize = 1 << 29;
/// Integers on the tape, in either direction.
const INTEGERS: i32 = 1 << 28;

/// The keys of an object, as ranges of the JSON text.
#[derive(Debug)]
struct Keys {
    ranges: Vec<(usize, usize)>,
    bytes: usize,
}

/// Values read from one JSON text; used again for the next.
#[derive(Debug, Default)]
pub(super) struct Tree {
    tape: Vec<u32>,
    doubles: Vec<f64>,
    text: Vec<u8>,
    wide: bool,
    lists: Vec<Keys>,
    /// The list last used at each depth: mostly the one of the next object there.
    recent: Vec<usize>,
    /// Keys of the objects being read, innermost last.
    open: Vec<(usize, usize)>,
    unescaped: String,
}

impl Tree {
    /// Reads a JSON text. `None`: leave it to `JSON.parse`.
    pub(super) fn read(&mut self, json: &[u8]) -> Option<()> {
        if !(SHORTEST..=LONGEST).contains(&json.len()) {
            return None;
        }
        let json = simdutf8::basic::from_utf8(json).ok()?;
        self.clear();
        let mut reader = Reader {
            json,
            bytes: json.as_bytes(),
            at: 0,
            tree: self,
        };
        reader.value(0)?;
        reader.space();
        (reader.at == json.len()).then_some(())
    }

    fn clear(&mut self) {
        self.tape.clear();
        self.doubles.clear();
        self.text.clear();
        self.wide = false;
        self.lists.clear();
        self.recent.clear();
        self.recent.resize(DEEPEST + 1, 0);
        self.open.clear();
    }

    /// Gives back the memory of an unusually large text.
    pub(super) fn shrink(&mut self) {
        self.tape.shrink_to(1 << 18);
        self.doubles.shrink_to(1 << 17);
        self.text.shrink_to(1 << 20);
    }

    /// Appends what was read from `json` to `out`, which is 8-aligned.
    pub(super) fn write(&self, json: &[u8], out: &mut Vec<u8>) {
        let header = out.len();
        out.resize(header + 32, 0);
        for double in &self.doubles {
            out.extend_from_slice(&double.to_le_bytes());
        }
        for word in &self.tape {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(&self.text);
        out.resize(out.len().next_multiple_of(2), 0);
        let (before, mut keys) = (out.len(), Vec::with_capacity(256));
        for (i, list) in self.lists.iter().enumerate() {
            keys.push(if i == 0 { b'[' } else { b',' });
            keys.push(b'[');
            for (j, (start, end)) in list.ranges.iter().enumerate() {
                if j > 0 {
                    keys.push(b',');
                }
                keys.extend_from_slice(json.get(*start..*end).unwrap_or_default());
            }
            keys.push(b']');
        }
        keys.extend_from_slice(if self.lists.is_empty() { b"[]" } else { b"]" });
        let encoding = transcode(&keys, out);
        let words = [
            self.tape.len(),
            self.doubles.len(),
            self.text.len(),
            usize::from(self.wide),
            out.len() - before,
            usize::from(encoding == Encoding::Utf16),
        ];
        let slots = out.get_mut(header..).unwrap_or_default();
        for (slot, word) in slots.as_chunks_mut().0.iter_mut().zip(words) {
            *slot = u32::try_from(word).unwrap_or_default().to_le_bytes();
        }
    }

    /// Appends to the text and says how many units that is.
    fn push_text(&mut self, text: &str) -> usize {
        if !self.wide && !is_latin1(text) {
            self.text = self.text.iter().flat_map(|byte| [*byte, 0]).collect();
            self.wide = true;
        }
        let before = self.text.len();
        if self.wide {
            append_utf16(text, &mut self.text);
            (self.text.len() - before) / 2
        } else {
            if text.is_ascii() {
                self.text.extend_from_slice(text.as_bytes());
            } else {
                append_latin1(text, &mut self.text);
            }
            self.text.len() - before
        }
    }
}

struct Reader<'a> {
    json: &'a str,
    bytes: &'a [u8],
    at: usize,
    tree: &'a mut Tree,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    fn accept(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn word(&mut self, kind: u32, payload: usize) -> Option<()> {
        self.tree.tape.push(word(kind, payload)?);
        Some(())
    }

    fn value(&mut self, depth: usize) -> Option<()> {
        self.space();
        match self.peek()? {
            b'"' => self.string(),
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b't' => self.literal("true", TRUE),
            b'f' => self.literal("false", FALSE),
            b'n' => self.literal("null", NULL),
            _ => self.number(),
        }
    }

    fn literal(&mut self, text: &str, word: u32) -> Option<()> {
        let rest = self.bytes.get(self.at..)?;
        rest.starts_with(text.as_bytes()).then_some(())?;
        self.at += text.len();
        self.tree.tape.push(word);
        Some(())
    }

    fn array(&mut self, depth: usize) -> Option<()> {
        let (place, mut count) = (self.begin(depth)?, 0);
        self.space();
        if !self.accept(b']') {
            loop {
                self.value(depth + 1)?;
                count += 1;
                self.space();
                if self.accept(b']') {
                    break;
                }
                self.accept(b',').then_some(())?;
            }
        }
        *self.tree.tape.get_mut(place)? = word(ARRAY, count)?;
        Some(())
    }

    fn object(&mut self, depth: usize) -> Option<()> {
        let (place, first, mut expected) = (self.begin(depth)?, self.tree.open.len(), 0);
        self.space();
        if !self.accept(b'}') {
            loop {
                expected += usize::from(self.key(depth, first)?);
                self.space();
                self.accept(b':').then_some(())?;
                self.value(depth + 1)?;
                self.space();
                if self.accept(b'}') {
                    break;
                }
                self.accept(b',').then_some(())?;
            }
        }
        let list = self.list(depth, first, expected)?;
        self.tree.open.truncate(first);
        *self.tree.tape.get_mut(place)? = word(OBJECT, list)?;
        Some(())
    }

    /// Steps over a key: mostly the expected one, which stood here in the last object at this depth. Was it?
    fn key(&mut self, depth: usize, first: usize) -> Option<bool> {
        self.space();
        let start = self.at;
        let recent = self.tree.lists.get(*self.tree.recent.get(depth)?);
        let expected = recent
            .and_then(|list| list.ranges.get(self.tree.open.len() - first))
            .and_then(|(from, to)| self.bytes.get(*from..*to));
        let rest = self.bytes.get(start..)?;
        let found = expected.filter(|expected| rest.starts_with(expected));
        if let Some(found) = found {
            // Up to the closing quote, so it is the whole key.
            self.at += found.len();
        } else {
            let (_, has_escapes) = self.quoted()?;
            (!has_escapes).then_some(())?;
        }
        self.tree.open.push((start, self.at));
        Some(found.is_some())
    }

    /// Steps into an array or object; its word is written when it is known.
    fn begin(&mut self, depth: usize) -> Option<usize> {
        (depth < DEEPEST).then_some(())?;
        self.at += 1;
        self.tree.tape.push(NULL);
        Some(self.tree.tape.len() - 1)
    }

    /// The number of the list that holds the open keys from `first` on, of which so many are those expected.
    fn list(&mut self, depth: usize, first: usize, expected: usize) -> Option<usize> {
        let keys = self.tree.open.get(first..)?;
        let bytes: usize = keys.iter().map(|(start, end)| end - start).sum();
        let is_same = |list: &Keys| {
            list.bytes == bytes
                && list.ranges.len() == keys.len()
                && list.ranges.iter().zip(keys).all(|(known, key)| {
                    self.bytes.get(known.0..known.1) == self.bytes.get(key.0..key.1)
                })
        };
        let recent = *self.tree.recent.get(depth)?;
        let is_recent =
            |list: &Keys| expected == keys.len() && list.ranges.len() == expected || is_same(list);
        if self.tree.lists.get(recent).is_some_and(is_recent) {
            return Some(recent);
        }
        let number = match self.tree.lists.iter().position(is_same) {
            Some(known) => known,
            None if self.tree.lists.len() == MOST_LISTS || keys.len() > MOST_KEYS => return None,
            None => {
                let ranges = keys.to_vec();
                self.tree.lists.push(Keys { ranges, bytes });
                self.tree.lists.len() - 1
            }
        };
        *self.tree.recent.get_mut(depth)? = number;
        Some(number)
    }

    /// Steps over a string; returns what is between its quotes and whether it has escapes.
    fn quoted(&mut self) -> Option<(&'a str, bool)> {
        self.accept(b'"').then_some(())?;
        let (start, mut has_escapes) = (self.at, false);
        loop {
            let rest = self.bytes.get(self.at..)?;
            let is_special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
            self.at += rest.iter().position(is_special)?;
            match self.peek()? {
                b'"' => break,
                b'\\' => {
                    has_escapes = true;
                    self.at += 2;
                }
                _ => return None,
            }
        }
        let text = self.json.get(start..self.at)?;
        self.at += 1;
        Some((text, has_escapes))
    }

    fn string(&mut self) -> Option<()> {
        let (text, has_escapes) = self.quoted()?;
        let units = if has_escapes {
            let mut plain = std::mem::take(&mut self.tree.unescaped);
            plain.clear();
            let done = unescape(text, &mut plain);
            let units = self.tree.push_text(&plain);
            self.tree.unescaped = plain;
            done?;
            units
        } else {
            self.tree.push_text(text)
        };
        self.word(STRING, units)
    }

    fn number(&mut self) -> Option<()> {
        let start = self.at;
        let negative = self.accept(b'-');
        let leading_zero = self.peek() == Some(b'0');
        let digits = self.digits()?;
        (digits == 1 || !leading_zero).then_some(())?;
        let mut is_integer = true;
        if self.accept(b'.') {
            is_integer = false;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            is_integer = false;
            self.at += 1;
            let _ = self.accept(b'+') || self.accept(b'-');
            self.digits()?;
        }
        let text = self.json.get(start..self.at)?;
        if is_integer
            && digits < 10
            && let Ok(value) = text.parse::<i32>()
            && (-INTEGERS..INTEGERS).contains(&value)
            && !(negative && value == 0)
        {
            self.tree.tape.push((value << 3).cast_unsigned() | INTEGER);
        } else {
            self.tree.doubles.push(text.parse().ok()?);
            self.tree.tape.push(DOUBLE);
        }
        Some(())
    }

    /// Steps over digits; `None` when there is not even one.
    fn digits(&mut self) -> Option<usize> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        (self.at > start).then_some(self.at - start)
    }
}

fn word(kind: u32, payload: usize) -> Option<u32> {
    let payload = u32::try_from(payload).ok().filter(|_| payload < PAYLOADS)?;
    Some(payload << 3 | kind)
}

/// `None` for an unknown escape and for half a surrogate pair, which no Rust string can hold.
fn unescape(mut text: &str, out: &mut String) -> Option<()> {
    while let Some((plain, escaped)) = text.split_once('\\') {
        out.push_str(plain);
        let mut rest = escaped.chars();
        out.push(match rest.next()? {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'b' => '\u{8}',
            'f' => '\u{c}',
            same @ ('"' | '\\' | '/') => same,
            'u' => {
                let unit = hex(rest.as_str())?;
                rest = rest.as_str().get(4..)?.chars();
                if let Some(character) = char::from_u32(u32::from(unit)) {
                    character
                } else {
                    let low = hex(rest.as_str().strip_prefix("\\u")?)?;
                    rest = rest.as_str().get(6..)?.chars();
                    char::decode_utf16([unit, low]).next()?.ok()?
                }
            }
            _ => return None,
        });
        text = rest.as_str();
    }
    out.push_str(text);
    Some(())
}

fn hex(text: &str) -> Option<u16> {
    let digits = text.get(..4)?;
    digits
        .bytes()
        .all(|byte| byte.is_ascii_hexdigit())
        .then_some(())?;
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
#[path = "json_tree_tests.rs"]
mod tests;
