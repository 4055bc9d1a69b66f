//! The parameter section of Bind as JS writes it: checked, walked, and freed of the format only the engine knows.

use bytes::{BufMut, BytesMut};

use crate::error::Error;

/// "Either": the value holds two texts, of which the engine picks one by the server's parameter type.
const CHOICE: u16 = 2;
/// The same with a third text, for arrays of json.
const CHOICE_OF_THREE: u16 = 3;

/// What the server's type of a parameter or column wants of a value that has several texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wants {
    /// Any other type: the plain text, of an array its literal.
    Plain,
    /// json or jsonb: JSON text.
    Json,
    /// An array of these: a literal whose elements are JSON text.
    JsonArray,
}

/// A checked parameter section, and an iterator over (format code, value or `None` for NULL).
///
/// Layout, all numbers big-endian: `u16` formats, that many `u16` codes, `u16` parameters, then per parameter `i32`
/// length (−1 for NULL) and that many bytes. There are no formats (all text) or as many as parameters. Codes: 0 text,
/// 1 binary, 2 either: `u32` n, n bytes plain text, the rest JSON text; 3: `u32` n, n bytes for arrays of json, the rest as
/// with 2. Codes 2 and 3 never go on the wire.
#[derive(Clone, Debug)]
pub struct Params<'a> {
    /// Two bytes per code; empty means all text.
    formats: &'a [[u8; 2]],
    /// Where the values begin.
    values: &'a [u8],
    count: u16,
    choices: bool,
}

impl<'a> Params<'a> {
    /// Checks the whole section: counts, lengths, codes, and that nothing follows the last value.
    pub fn new(section: &'a [u8]) -> Result<Self, Error> {
        let (formats, rest) = counted(section)?;
        let (codes, rest) = rest
            .split_at_checked(usize::from(formats) * 2)
            .ok_or_else(|| broken("its formats are cut off"))?;
        let (count, values) = counted(rest)?;
        if formats != 0 && formats != count {
            return Err(broken(format_args!("{formats} formats for {count} values")));
        }
        let params = Self {
            formats: codes.as_chunks::<2>().0,
            values,
            count,
            choices: false,
        };
        params.check()
    }

    fn check(self) -> Result<Self, Error> {
        let mut rest = self.values;
        let mut choices = false;
        for position in 0..self.count {
            let (value, after) = value(rest).ok_or_else(|| {
                broken(format_args!("value {} is cut off", u32::from(position) + 1))
            })?;
            match self.format(position) {
                0 | 1 => {}
                format @ (CHOICE | CHOICE_OF_THREE) => {
                    choices = true;
                    let is_cut = |value| choose(format, value, Wants::Plain).is_none();
                    if value.is_some_and(is_cut) {
                        return Err(broken(format_args!(
                            "value {} is cut off",
                            u32::from(position) + 1
                        )));
                    }
                }
                other => return Err(broken(format_args!("unknown format code {other}"))),
            }
            rest = after;
        }
        if !rest.is_empty() {
            return Err(broken(format_args!(
                "{} bytes after the last value",
                rest.len()
            )));
        }
        Ok(Self { choices, ..self })
    }

    /// Number of parameters.
    #[must_use]
    pub const fn count(&self) -> u16 {
        self.count
    }

    /// Does any parameter have format 2 or 3?
    #[must_use]
    pub const fn has_choices(&self) -> bool {
        self.choices
    }

    fn format(&self, position: u16) -> u16 {
        self.formats
            .get(usize::from(position))
            .map_or(0, |code| u16::from_be_bytes(*code))
    }

    /// The parameters in order: format code, and the value or `None` for NULL.
    pub fn iter(&self) -> impl Iterator<Item = (u16, Option<&'a [u8]>)> {
        let mut rest = self.values;
        (0..self.count).map_while(move |position| {
            let (value, after) = value(rest)?;
            rest = after;
            Some((self.format(position), value))
        })
    }

    /// Appends the section with every format 2 and 3 settled by what the server's type of a position (0-based) `wants`.
    /// The result fits [`super::frontend::bind`].
    pub fn resolve(
        &self,
        mut wants: impl FnMut(usize) -> Wants,
        out: &mut BytesMut,
    ) -> Result<(), Error> {
        out.reserve(self.values.len().saturating_add(self.formats.len() * 2 + 4));
        out.put_u16(u16::try_from(self.formats.len()).unwrap_or(u16::MAX));
        for (format, _) in self.iter().take(self.formats.len()) {
            out.put_u16(if format < CHOICE { format } else { 0 });
        }
        out.put_u16(self.count);
        for (position, (format, value)) in self.iter().enumerate() {
            let chosen = match (format, value) {
                (CHOICE.., Some(value)) => Some(
                    choose(format, value, wants(position))
                        .ok_or_else(|| broken("a value is cut off"))?,
                ),
                (_, value) => value,
            };
            match chosen {
                None => out.put_i32(-1),
                Some(value) => {
                    let length =
                        i32::try_from(value.len()).map_err(|_| broken("a value is too long"))?;
                    out.put_i32(length);
                    out.put_slice(value);
                }
            }
        }
        Ok(())
    }
}

fn broken(what: impl std::fmt::Display) -> Error {
    Error::encode(format!("the parameter section is malformed: {what}"))
}

fn counted(bytes: &[u8]) -> Result<(u16, &[u8]), Error> {
    let (count, rest) = bytes
        .split_first_chunk()
        .ok_or_else(|| broken("a count is cut off"))?;
    Ok((u16::from_be_bytes(*count), rest))
}

/// Splits the next value off: `None` when it is cut off or its length is neither −1 nor 0 and more.
fn value(bytes: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    match i32::from_be_bytes(*length) {
        -1 => Some((None, rest)),
        length => {
            let (value, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
            Some((Some(value), rest))
        }
    }
}

/// The one of its texts that is wanted of a value with format 2 or 3; `None` when it is cut off.
pub(super) fn choose(format: u16, value: &[u8], wants: Wants) -> Option<&[u8]> {
    let (elements, value) = match format {
        CHOICE_OF_THREE => split(value).map(|(elements, rest)| (Some(elements), rest))?,
        _ => (None, value),
    };
    let (plain, json) = split(value)?;
    Some(match wants {
        Wants::Plain => plain,
        Wants::Json => json,
        Wants::JsonArray => elements.unwrap_or(plain),
    })
}

/// The bytes that a `u32` in front announces, and the rest.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}
