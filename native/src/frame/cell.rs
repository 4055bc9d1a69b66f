//! One value of the wire into its slot.

use super::areas::Areas;
use super::codec::Codec;
use super::number::{boolean, fixed, float, integer};
use super::plan::Slot;
use super::{bytea, datetime, interval, stamp};
use crate::error::Error;

/// Was there a value?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Filled {
    /// A value.
    Value,
    /// Nothing: the slot is that of a NULL.
    Null,
}

impl Areas {
    /// Appends one value that is not NULL on the wire.
    #[inline]
    pub(super) fn push_value(&mut self, codec: Codec, bytes: &[u8]) -> Result<Filled, Error> {
        match codec {
            Codec::Text => self.push_text(bytes)?,
            Codec::Int4 => self.push_i32(i32::from_be_bytes(fixed(bytes)?)),
            Codec::Int2 => self.push_i32(i16::from_be_bytes(fixed(bytes)?).into()),
            Codec::Oid => self.push_u32(u32::from_be_bytes(fixed(bytes)?)),
            Codec::BigInt => self.push_i64(i64::from_be_bytes(fixed(bytes)?)),
            Codec::Float8 => self.push_f64(f64::from_be_bytes(fixed(bytes)?)),
            Codec::Bool => self.push_u32(u32::from(fixed::<1>(bytes)? != [0])),
            Codec::Bytes => self.push_raw(bytes)?,
            Codec::StampMs => {
                self.push_f64(datetime::stamp_ms(i64::from_be_bytes(fixed(bytes)?)));
            }
            Codec::DateMs => self.push_f64(datetime::date_ms(i32::from_be_bytes(fixed(bytes)?))),
            Codec::InstantIso => {
                let micros = i64::from_be_bytes(fixed(bytes)?);
                self.push_written(|out| datetime::write_instant(micros, out))?;
            }
            Codec::LocalIso => {
                let micros = i64::from_be_bytes(fixed(bytes)?);
                self.push_written(|out| datetime::write_local(micros, out))?;
            }
            Codec::DateIso => {
                let days = i32::from_be_bytes(fixed(bytes)?);
                self.push_written(|out| datetime::write_date(days, out))?;
            }
            Codec::TimeIso => {
                let micros = datetime::time_of_day(i64::from_be_bytes(fixed(bytes)?))?;
                self.push_written(|out| datetime::write_time(micros, out))?;
            }
            Codec::IntervalIso => {
                let interval = interval::from_binary(bytes)?;
                self.push_written(|out| interval.write_iso(out))?;
            }
            Codec::BigIntDecimal => {
                let value = i64::from_be_bytes(fixed(bytes)?);
                self.push_text(itoa::Buffer::new().format(value).as_bytes())?;
            }
            Codec::Uuid => {
                let mut buffer = uuid::Uuid::encode_buffer();
                let uuid = uuid::Uuid::from_bytes(fixed(bytes)?);
                self.push_text(uuid.hyphenated().encode_lower(&mut buffer).as_bytes())?;
            }
            Codec::Char => match fixed(bytes)? {
                [0] => self.push_text(b"")?,
                [ascii] if ascii.is_ascii() => self.push_text(&[ascii])?,
                // Part of a character, which the server prints in octal since version 15.
                [byte] => {
                    let digits = [byte >> 6, byte >> 3 & 7, byte & 7].map(|digit| b'0' + digit);
                    self.push_text(&[&b"\\"[..], &digits].concat())?;
                }
            },
            Codec::Jsonb => match bytes.split_first() {
                Some((1, json)) => self.push_text(json)?,
                _ => return Err(Error::protocol("a jsonb value of an unknown version")),
            },
            Codec::Void => {}
            _ => return self.push_from_text(codec, bytes),
        }
        Ok(Filled::Value)
    }

    /// The text forms: the first execution of a statement and the simple protocol.
    fn push_from_text(&mut self, codec: Codec, bytes: &[u8]) -> Result<Filled, Error> {
        match codec {
            Codec::IntText => self.push_i32(integer(bytes)?),
            Codec::OidText => self.push_u32(integer(bytes)?),
            Codec::BigIntText => self.push_i64(integer(bytes)?),
            Codec::FloatText => self.push_f64(float(bytes)?),
            Codec::BoolText => self.push_u32(boolean(bytes)?.into()),
            Codec::BytesText => {
                let length = bytea::decode(bytes, &mut self.raw)?;
                self.push_length(length)?;
            }
            Codec::InstantText => {
                return Ok(self.push_ms(stamp::instant(bytes).map(datetime::stamp_ms)));
            }
            Codec::LocalText => {
                return Ok(self.push_ms(stamp::local(bytes).map(datetime::stamp_ms)));
            }
            Codec::DateText => return Ok(self.push_ms(stamp::date(bytes).map(datetime::date_ms))),
            Codec::InstantIsoText => match stamp::instant(bytes) {
                Some(micros) => self.push_written(|out| datetime::write_instant(micros, out))?,
                None => self.push_text(bytes)?,
            },
            Codec::LocalIsoText => match stamp::local(bytes) {
                Some(micros) => self.push_written(|out| datetime::write_local(micros, out))?,
                None => self.push_text(bytes)?,
            },
            Codec::TimeIsoText => match stamp::time(bytes) {
                Some(micros) => self.push_written(|out| datetime::write_time(micros, out))?,
                None => self.push_text(bytes)?,
            },
            Codec::IntervalIsoText => match interval::from_text(bytes) {
                Some(interval) => self.push_written(|out| interval.write_iso(out))?,
                None => self.push_text(bytes)?,
            },
            _ => return Err(Error::internal("a binary codec met text")),
        }
        Ok(Filled::Value)
    }

    /// Milliseconds of a timestamp; text that is not ISO (another `DateStyle`) is null, as in `node-postgres`.
    fn push_ms(&mut self, ms: Option<f64>) -> Filled {
        if let Some(ms) = ms {
            self.push_f64(ms);
            Filled::Value
        } else {
            self.push_null(Slot::Eight);
            Filled::Null
        }
    }

    /// ASCII text made by `write`.
    fn push_written(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), Error> {
        let before = self.latin.len();
        write(&mut self.latin);
        self.push_length(self.latin.len() - before)
    }
}
