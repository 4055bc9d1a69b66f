//! The server's ISO text of dates and times back to its integers.
//!
//! Source: `EncodeDateTime` with `DateStyle` ISO: `YYYY-MM-DD HH:MM:SS[.ffffff][±HH[:MM[:SS]]][ BC]`; years have four
//! digits or more. Other styles give `None`.

use super::datetime::{
    INFINITY, MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_MINUTE, MINUS_INFINITY, day_number,
};

/// Microseconds since 2000 of a `timestamptz`.
pub(super) fn instant(text: &[u8]) -> Option<i64> {
    infinite(text).or_else(|| {
        let mut cursor = Cursor(text);
        let (micros, date) = stamp(&mut cursor)?;
        let sign = match cursor.next()? {
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        let mut offset = cursor.number(2, 2)? * MICROS_PER_HOUR;
        if cursor.skip(b":") {
            offset += cursor.sixties()? * MICROS_PER_MINUTE;
            if cursor.skip(b":") {
                offset += cursor.sixties()? * 1_000_000;
            }
        }
        finish(cursor, micros, date)?.checked_sub(sign * offset)
    })
}

/// Microseconds since 2000 of a `timestamp`.
pub(super) fn local(text: &[u8]) -> Option<i64> {
    infinite(text).or_else(|| {
        let mut cursor = Cursor(text);
        let (micros, date) = stamp(&mut cursor)?;
        finish(cursor, micros, date)
    })
}

/// Days since 2000 of a `date`.
pub(super) fn date(text: &[u8]) -> Option<i32> {
    match infinite(text) {
        Some(INFINITY) => Some(i32::MAX),
        Some(_) => Some(i32::MIN),
        None => {
            let mut cursor = Cursor(text);
            let date = printed_date(&mut cursor)?;
            i32::try_from(days(cursor, date)?).ok()
        }
    }
}

/// Microseconds since midnight of a `time`.
pub(super) fn time(text: &[u8]) -> Option<i64> {
    let mut cursor = Cursor(text);
    let micros = time_of_day(&mut cursor)?;
    cursor.0.is_empty().then_some(micros)
}

fn infinite(text: &[u8]) -> Option<i64> {
    match text {
        b"infinity" => Some(INFINITY),
        b"-infinity" => Some(MINUS_INFINITY),
        _ => None,
    }
}

/// Year, month and day; whether the year is BC is known only at the end of the text.
type Printed = (i64, i64, i64);

fn stamp(cursor: &mut Cursor<'_>) -> Option<(i64, Printed)> {
    let date = printed_date(cursor)?;
    cursor.expect(b" ")?;
    Some((time_of_day(cursor)?, date))
}

fn printed_date(cursor: &mut Cursor<'_>) -> Option<Printed> {
    let year = cursor.number(4, 7)?;
    cursor.expect(b"-")?;
    let month = cursor
        .number(2, 2)
        .filter(|month| (1..=12).contains(month))?;
    cursor.expect(b"-")?;
    let day = cursor.number(2, 2).filter(|day| (1..=31).contains(day))?;
    Some((year, month, day))
}

fn finish(cursor: Cursor<'_>, micros: i64, date: Printed) -> Option<i64> {
    days(cursor, date)?
        .checked_mul(MICROS_PER_DAY)?
        .checked_add(micros)
}

/// Days since 2000, at the end of the text.
fn days(mut cursor: Cursor<'_>, (year, month, day): Printed) -> Option<i64> {
    let year = if cursor.skip(b" BC") { 1 - year } else { year };
    cursor.0.is_empty().then(|| day_number(year, month, day))
}

fn time_of_day(cursor: &mut Cursor<'_>) -> Option<i64> {
    let hours = cursor.number(2, 2).filter(|hours| *hours <= 24)?;
    cursor.expect(b":")?;
    let minutes = cursor.sixties()?;
    cursor.expect(b":")?;
    let seconds = cursor.number(2, 2).filter(|seconds| *seconds <= 60)?;
    let micros = hours * MICROS_PER_HOUR + minutes * MICROS_PER_MINUTE + seconds * 1_000_000;
    Some(micros + cursor.fraction()?)
}

/// What is left of a text.
pub(super) struct Cursor<'a>(pub(super) &'a [u8]);

impl Cursor<'_> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// Passes `word` if it is next.
    pub(super) fn skip(&mut self, word: &[u8]) -> bool {
        let rest = self.0.strip_prefix(word);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn expect(&mut self, word: &[u8]) -> Option<()> {
        self.skip(word).then_some(())
    }

    /// A number of `least` to `most` digits.
    pub(super) fn number(&mut self, least: usize, most: usize) -> Option<i64> {
        let digits = self
            .0
            .iter()
            .take(most)
            .take_while(|byte| byte.is_ascii_digit());
        let (count, value) = digits.fold((0, 0_i64), |(count, value), byte| {
            (
                count + 1,
                value.wrapping_mul(10).wrapping_add(i64::from(byte - b'0')),
            )
        });
        self.0 = self.0.get(count..).filter(|_| count >= least)?;
        Some(value)
    }

    /// Minutes or seconds.
    pub(super) fn sixties(&mut self) -> Option<i64> {
        self.number(2, 2).filter(|value| *value < 60)
    }

    /// Microseconds after an optional point.
    pub(super) fn fraction(&mut self) -> Option<i64> {
        if !self.skip(b".") {
            return Some(0);
        }
        let before = self.0.len();
        let digits = self.number(1, 6)?;
        let missing = u32::try_from(6 - (before - self.0.len())).ok()?;
        Some(digits * 10_i64.pow(missing))
    }
}

#[cfg(test)]
mod tests {
    use super::super::datetime::{write_date, write_instant, write_local, write_time};
    use super::*;

    #[test]
    fn sec_w12_server_text_comes_back_as_the_same_moment() {
        for (server, iso) in [
            ("2026-06-05 12:00:00+00", "2026-06-05T12:00:00+00:00"),
            (
                "2026-06-05 12:00:00.5+02",
                "2026-06-05T10:00:00.500000+00:00",
            ),
            (
                "2026-06-05 12:00:00.123456-09:30",
                "2026-06-05T21:30:00.123456+00:00",
            ),
            ("1850-01-01 00:00:00+05:30:15", "1849-12-31T18:29:45+00:00"),
            ("0044-03-15 12:00:00+00 BC", "0044-03-15T12:00:00+00:00 BC"),
            ("0001-12-31 23:00:00-02 BC", "0001-01-01T01:00:00+00:00"),
            ("12026-06-05 12:00:00+00", "12026-06-05T12:00:00+00:00"),
            (
                "294276-12-31 23:59:59.999999+00",
                "294276-12-31T23:59:59.999999+00:00",
            ),
            ("infinity", "infinity"),
            ("-infinity", "-infinity"),
        ] {
            let mut out = Vec::new();
            write_instant(instant(server.as_bytes()).unwrap(), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), iso);
        }
        for (server, iso) in [
            ("2026-06-05 12:00:00", "2026-06-05T12:00:00"),
            (
                "0001-02-29 00:00:00.000001 BC",
                "0001-02-29T00:00:00.000001 BC",
            ),
            ("4713-01-01 00:00:00 BC", "4713-01-01T00:00:00 BC"),
        ] {
            let mut out = Vec::new();
            write_local(local(server.as_bytes()).unwrap(), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), iso);
        }
        for printed in [
            "2026-06-05",
            "4713-01-01 BC",
            "5874897-12-31",
            "infinity",
            "-infinity",
        ] {
            let mut out = Vec::new();
            write_date(date(printed.as_bytes()).unwrap(), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), printed);
        }
        for (server, iso) in [
            ("00:00:00", "00:00:00"),
            ("24:00:00", "24:00:00"),
            ("12:34:56.7", "12:34:56.700000"),
        ] {
            let mut out = Vec::new();
            write_time(time(server.as_bytes()).unwrap(), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), iso);
        }
    }

    #[test]
    fn other_date_styles_and_broken_text_are_not_guessed() {
        for text in [
            "",
            "06/05/2026 12:00:00 UTC",
            "Fri Jun 05 12:00:00 2026 UTC",
            "05.06.2026 12:00:00 UTC",
            "2026-06-05 12:00:00",
            "2026-06-05",
            "2026-13-05 12:00:00+00",
            "2026-06-05 25:00:00+00",
            "2026-06-05 12:00:00+00 AD",
            "2026-06-05 12:00:00.+00",
            "99999999-06-05 12:00:00+00",
            "9999999-06-05 12:00:00+00",
        ] {
            assert_eq!(instant(text.as_bytes()), None, "{text}");
        }
        for text in [
            "",
            "06-05-2026",
            "2026-06-05 12:00",
            "2026-06-05",
            "infinity ",
        ] {
            assert_eq!(local(text.as_bytes()), None, "{text}");
        }
        for text in ["", "1:00:00", "12:00:00+00", "12:60:00"] {
            assert_eq!(time(text.as_bytes()), None, "{text}");
        }
    }
}
