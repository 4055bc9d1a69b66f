//! Intervals to ISO 8601, from the binary form and from the text of every `IntervalStyle`.
//!
//! The text is what the server prints with `IntervalStyle = iso_8601` (`P1Y2M-3DT4H5M6.7S`, zero is `PT0S`).
//! Source: `EncodeInterval` in the server's `datetime.c`.

use super::datetime::{MICROS_PER_HOUR, MICROS_PER_MINUTE};
use super::number::fixed;
use super::stamp::Cursor;
use crate::error::Error;

/// Months, days and microseconds, each with its own sign.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Interval {
    micros: i64,
    days: i32,
    months: i32,
}

/// `interval 'infinity'` (PostgreSQL 17 and later).
const INFINITY: Interval = Interval {
    micros: i64::MAX,
    days: i32::MAX,
    months: i32::MAX,
};
const MINUS_INFINITY: Interval = Interval {
    micros: i64::MIN,
    days: i32::MIN,
    months: i32::MIN,
};

/// Eight bytes of microseconds, four of days, four of months.
pub(super) fn from_binary(bytes: &[u8]) -> Result<Interval, Error> {
    let value: [u8; 16] = fixed(bytes)?;
    let (micros, days_and_months) = value.split_at(8);
    let (days, months) = days_and_months.split_at(4);
    Ok(Interval {
        micros: i64::from_be_bytes(fixed(micros)?),
        days: i32::from_be_bytes(fixed(days)?),
        months: i32::from_be_bytes(fixed(months)?),
    })
}

impl Interval {
    /// Appends the ISO 8601 text.
    pub(super) fn write_iso(self, out: &mut Vec<u8>) {
        match self {
            INFINITY => return out.extend_from_slice(b"infinity"),
            MINUS_INFINITY => return out.extend_from_slice(b"-infinity"),
            _ => {}
        }
        if self == Self::default() {
            return out.extend_from_slice(b"PT0S");
        }
        out.push(b'P');
        write_part((self.months / 12).into(), b'Y', out);
        write_part((self.months % 12).into(), b'M', out);
        write_part(self.days.into(), b'D', out);
        if self.micros == 0 {
            return;
        }
        out.push(b'T');
        write_part(self.micros / MICROS_PER_HOUR, b'H', out);
        write_part(self.micros / MICROS_PER_MINUTE % 60, b'M', out);
        let micros = self.micros % MICROS_PER_MINUTE;
        if micros == 0 {
            return;
        }
        if micros < 0 {
            out.push(b'-');
        }
        let mut digits = itoa::Buffer::new();
        out.extend_from_slice(digits.format(micros.abs() / 1_000_000).as_bytes());
        let fraction = micros.abs() % 1_000_000;
        if fraction != 0 {
            // A seventh digit in front keeps the zeros after the point.
            let padded = digits.format(fraction + 1_000_000).trim_end_matches('0');
            out.push(b'.');
            out.extend(padded.bytes().skip(1));
        }
        out.push(b'S');
    }
}

fn write_part(value: i64, unit: u8, out: &mut Vec<u8>) {
    if value != 0 {
        out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
        out.push(unit);
    }
}

/// From the styles `postgres`, `postgres_verbose` and `sql_standard`; other text (`iso_8601`, `infinity`) is `None`.
pub(super) fn from_text(text: &[u8]) -> Option<Interval> {
    let text = std::str::from_utf8(text).ok()?;
    let words: Vec<&str> = text.trim_start_matches("@ ").split(' ').collect();
    let (words, ago) = match words.split_last() {
        Some((&"ago", words)) => (words.to_vec(), true),
        _ => (words, false),
    };
    let named = words
        .iter()
        .any(|word| word.starts_with(|c: char| c.is_ascii_alphabetic()));
    let interval = if named {
        with_units(&words)?
    } else {
        standard(&words)?
    };
    if ago {
        interval.negated()
    } else {
        Some(interval)
    }
}

/// `1 year 2 mons -3 days 04:05:06.7` and, with all units named, the verbose style.
fn with_units(mut words: &[&str]) -> Option<Interval> {
    let mut interval = Interval::default();
    loop {
        match words {
            [] => return Some(interval),
            [clock] => {
                interval.micros = interval.micros.checked_add(time(clock)?)?;
                return Some(interval);
            }
            [count, unit, rest @ ..] => {
                interval.add(count, unit)?;
                words = rest;
            }
        }
    }
}

/// `1-2 +3 -4:05:06`, `3 4:05:06`, `1-2`, `0`. One leading minus counts for all parts, unless every part has its sign.
fn standard(words: &[&str]) -> Option<Interval> {
    let signed = words.iter().all(|word| word.starts_with(['+', '-']));
    let first_negative = words.first()?.starts_with('-');
    let all_negative = first_negative && !(signed && words.len() > 1);
    let mut interval = Interval::default();
    for word in words {
        let (sign, bare) = sign_of(word);
        let sign = if all_negative { 1 } else { sign };
        if bare.contains(':') {
            interval.micros = time(bare)?.checked_mul(sign.into())?;
        } else if let Some((years, months)) = bare.split_once('-') {
            let years = years.parse::<i32>().ok()?.checked_mul(12)?;
            let months = years.checked_add(months.parse().ok()?)?;
            interval.months = months.checked_mul(sign)?;
        } else {
            interval.days = bare.parse::<i32>().ok()?.checked_mul(sign)?;
        }
    }
    if all_negative {
        interval.negated()
    } else {
        Some(interval)
    }
}

fn sign_of(word: &str) -> (i32, &str) {
    match word.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, word.strip_prefix('+').unwrap_or(word)),
    }
}

/// `[±]HH:MM:SS[.ffffff]` with any number of hours.
fn time(word: &str) -> Option<i64> {
    let (sign, bare) = sign_of(word);
    let mut cursor = Cursor(bare.as_bytes());
    let hours = cursor.number(1, 18)?.checked_mul(MICROS_PER_HOUR)?;
    cursor.skip(b":").then_some(())?;
    let minutes = cursor.sixties()? * MICROS_PER_MINUTE;
    cursor.skip(b":").then_some(())?;
    let seconds = cursor.sixties()? * 1_000_000 + cursor.fraction()?;
    if !cursor.0.is_empty() {
        return None;
    }
    let micros = hours.checked_add(minutes)?.checked_add(seconds)?;
    Some(i64::from(sign) * micros)
}

impl Interval {
    fn add(&mut self, count: &str, unit: &str) -> Option<()> {
        let unit = unit.strip_suffix('s').unwrap_or(unit);
        match unit {
            "year" => self.months = count.parse::<i32>().ok()?.checked_mul(12)?,
            "mon" => self.months = self.months.checked_add(count.parse().ok()?)?,
            "day" => self.days = count.parse().ok()?,
            "hour" => self.micros = count.parse::<i64>().ok()?.checked_mul(MICROS_PER_HOUR)?,
            "min" => {
                let minutes = count.parse::<i64>().ok()?.checked_mul(MICROS_PER_MINUTE)?;
                self.micros = self.micros.checked_add(minutes)?;
            }
            "sec" => {
                let (sign, bare) = sign_of(count);
                let mut cursor = Cursor(bare.as_bytes());
                let seconds = cursor.number(1, 12)?.checked_mul(1_000_000)?;
                let micros = seconds.checked_add(cursor.fraction()?)?;
                cursor.0.is_empty().then_some(())?;
                self.micros = self.micros.checked_add(i64::from(sign) * micros)?;
            }
            _ => return None,
        }
        Some(())
    }

    fn negated(self) -> Option<Self> {
        Some(Self {
            micros: self.micros.checked_neg()?,
            days: self.days.checked_neg()?,
            months: self.months.checked_neg()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn iso(interval: Interval) -> String {
        let mut out = Vec::new();
        interval.write_iso(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_style_gives_the_servers_iso_text() {
        // (iso_8601, postgres, postgres_verbose, sql_standard), printed by PostgreSQL 15.
        for (expected, styles) in [
            ("PT0S", ["00:00:00", "@ 0", "0"]),
            ("P1Y2M", ["1 year 2 mons", "@ 1 year 2 mons", "1-2"]),
            (
                "P-1Y-2M",
                ["-1 years -2 mons", "@ 1 year 2 mons ago", "-1-2"],
            ),
            (
                "P3DT4H5M6S",
                [
                    "3 days 04:05:06",
                    "@ 3 days 4 hours 5 mins 6 secs",
                    "3 4:05:06",
                ],
            ),
            (
                "P-3DT-4H-5M-6.7S",
                [
                    "-3 days -04:05:06.7",
                    "@ 3 days 4 hours 5 mins 6.7 secs ago",
                    "-3 4:05:06.7",
                ],
            ),
            (
                "P1Y2M-3DT4H5M6.789S",
                [
                    "1 year 2 mons -3 days +04:05:06.789",
                    "@ 1 year 2 mons -3 days 4 hours 5 mins 6.789 secs",
                    "+1-2 -3 +4:05:06.789",
                ],
            ),
            (
                "PT-0.000001S",
                ["-00:00:00.000001", "@ 0.000001 secs ago", "-0:00:00.000001"],
            ),
            (
                "PT1000H0.5S",
                ["1000:00:00.5", "@ 1000 hours 0.5 secs", "1000:00:00.5"],
            ),
            ("P1D", ["1 day", "@ 1 day", "1 0:00:00"]),
        ] {
            for style in styles {
                let interval = from_text(style.as_bytes());
                if style == "@ 0" {
                    assert_eq!(interval, Some(Interval::default()), "{style}");
                }
                assert_eq!(interval.map(iso).as_deref(), Some(expected), "{style}");
            }
        }
    }

    #[test]
    fn sec_w12_the_extremes_print_and_infinity_is_named() {
        let most = Interval {
            micros: i64::MIN,
            days: i32::MAX,
            months: i32::MIN,
        };
        assert_eq!(
            iso(most),
            "P-178956970Y-8M2147483647DT-2562047788H-54.775808S"
        );
        assert_eq!(iso(INFINITY), "infinity");
        assert_eq!(iso(MINUS_INFINITY), "-infinity");
        assert!(from_binary(&[0; 15]).is_err());
        let bytes = [0, 0, 0, 0, 0, 15, 66, 64, 0, 0, 0, 2, 0, 0, 0, 13];
        assert_eq!(iso(from_binary(&bytes).unwrap()), "P1Y1M2DT1S");
    }

    #[test]
    fn sec_w07_other_text_is_left_alone() {
        for text in [
            "",
            "infinity",
            "P1Y2M",
            "1 lustrum",
            "1 year 2",
            "99999999999 years",
            "999999999999999999:00:00",
            "1:2:3:4",
            "ago",
        ] {
            assert_eq!(from_text(text.as_bytes()), None, "{text}");
        }
        assert_eq!(from_text(b"\xFF"), None);
    }
}
