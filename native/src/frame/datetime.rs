//! Dates, times and timestamps from the server's integers to milliseconds or ISO 8601 text.
//!
//! The text is what the server itself prints for `to_json` (`T` between date and time, ` BC` at the end, more digits for
//! years beyond 9999, `infinity`, `24:00:00`), with one difference: a fraction has six digits or is absent.
//! Calendar arithmetic: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms" (`days_from_civil` and back).

use crate::error::Error;

/// `timestamp 'infinity'` on the wire.
pub(super) const INFINITY: i64 = i64::MAX;
/// `timestamp '-infinity'` on the wire.
pub(super) const MINUS_INFINITY: i64 = i64::MIN;

const MICROS_PER_SECOND: i64 = 1_000_000;
pub(super) const MICROS_PER_MINUTE: i64 = 60 * MICROS_PER_SECOND;
pub(super) const MICROS_PER_HOUR: i64 = 60 * MICROS_PER_MINUTE;
pub(super) const MICROS_PER_DAY: i64 = 24 * MICROS_PER_HOUR;

/// 2000-01-01, where the server counts from, in days since 1970-01-01.
const DAYS_1970_TO_2000: i64 = 10_957;
const MS_PER_DAY: f64 = 86_400_000.0;
const MS_1970_TO_2000: f64 = 946_684_800_000.0;

/// Microseconds since 2000 as milliseconds since 1970, cut off below; the infinities stay infinite.
pub(super) fn stamp_ms(micros: i64) -> f64 {
    match micros {
        INFINITY => f64::INFINITY,
        MINUS_INFINITY => f64::NEG_INFINITY,
        _ => exact(micros.div_euclid(1000)) + MS_1970_TO_2000,
    }
}

/// Days since 2000 as milliseconds since 1970.
pub(super) fn date_ms(days: i32) -> f64 {
    match days {
        i32::MAX => f64::INFINITY,
        i32::MIN => f64::NEG_INFINITY,
        _ => f64::from(days) * MS_PER_DAY + MS_1970_TO_2000,
    }
}

/// An integer of at most 64 − 10 bits as a double. (`i64` has no lossless conversion; the two halves have.)
fn exact(value: i64) -> f64 {
    const HALF: i64 = 1 << 32;
    let high = i32::try_from(value.div_euclid(HALF)).unwrap_or_default();
    let low = u32::try_from(value.rem_euclid(HALF)).unwrap_or_default();
    f64::from(high) * 4_294_967_296.0 + f64::from(low)
}

/// A `time` on the wire, at most `24:00:00`.
pub(super) fn time_of_day(micros: i64) -> Result<i64, Error> {
    if (0..=MICROS_PER_DAY).contains(&micros) {
        Ok(micros)
    } else {
        Err(Error::protocol(
            "a time of day outside 00:00:00 to 24:00:00",
        ))
    }
}

/// A `timestamptz`, in UTC.
pub(super) fn write_instant(micros: i64, out: &mut Vec<u8>) {
    write_stamp(micros, b"+00:00", out);
}

/// A `timestamp`.
pub(super) fn write_local(micros: i64, out: &mut Vec<u8>) {
    write_stamp(micros, b"", out);
}

fn write_stamp(micros: i64, offset: &[u8], out: &mut Vec<u8>) {
    match micros {
        INFINITY => out.extend_from_slice(b"infinity"),
        MINUS_INFINITY => out.extend_from_slice(b"-infinity"),
        _ => {
            let era = write_day(micros.div_euclid(MICROS_PER_DAY), out);
            out.push(b'T');
            write_time(micros.rem_euclid(MICROS_PER_DAY), out);
            out.extend_from_slice(offset);
            out.extend_from_slice(era);
        }
    }
}

/// A `date`.
pub(super) fn write_date(days: i32, out: &mut Vec<u8>) {
    match days {
        i32::MAX => out.extend_from_slice(b"infinity"),
        i32::MIN => out.extend_from_slice(b"-infinity"),
        _ => {
            let era = write_day(days.into(), out);
            out.extend_from_slice(era);
        }
    }
}

/// `HH:MM:SS` or `HH:MM:SS.ffffff`.
pub(super) fn write_time(micros: i64, out: &mut Vec<u8>) {
    let seconds = micros / MICROS_PER_SECOND;
    let fraction = micros % MICROS_PER_SECOND;
    write_two(seconds / 3600, out);
    out.push(b':');
    write_two(seconds / 60 % 60, out);
    out.push(b':');
    write_two(seconds % 60, out);
    if fraction != 0 {
        out.push(b'.');
        write_two(fraction / 10_000, out);
        write_two(fraction / 100 % 100, out);
        write_two(fraction % 100, out);
    }
}

/// `YYYY-MM-DD` of a day since 2000; returns what goes to the end of the text.
fn write_day(days: i64, out: &mut Vec<u8>) -> &'static [u8] {
    let (year, month, day) = civil(days + DAYS_1970_TO_2000);
    // There is no year 0: 1 BC comes before 1 AD.
    let (year, era): (i64, &[u8]) = if year > 0 {
        (year, b"")
    } else {
        (1 - year, b" BC")
    };
    if year > 9999 {
        out.extend_from_slice(itoa::Buffer::new().format(year).as_bytes());
    } else {
        write_two(year / 100, out);
        write_two(year % 100, out);
    }
    out.push(b'-');
    write_two(month, out);
    out.push(b'-');
    write_two(day, out);
    era
}

/// Two digits of a number from 0 to 99.
fn write_two(value: i64, out: &mut Vec<u8>) {
    let digits = u8::try_from(value).unwrap_or_default();
    out.extend_from_slice(&[b'0' + digits / 10, b'0' + digits % 10]);
}

/// Year (astronomical: 0 is 1 BC), month and day of a day since 1970.
const fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

/// The day since 2000 of an astronomical year, a month from 1 and a day from 1.
pub(super) const fn day_number(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468 - DAYS_1970_TO_2000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_calendar_is_that_of_chrono() {
        use chrono::{Datelike, NaiveDate};
        // Every day of 400 years around the one the server counts from, and a prime number of days apart beyond.
        let near = -73_050..73_050;
        let far = (-95_000_000..95_000_000).step_by(9_973);
        for days in near.chain(far) {
            let since_1970 = days + DAYS_1970_TO_2000;
            let date = NaiveDate::from_epoch_days(i32::try_from(since_1970).unwrap()).unwrap();
            let (year, month, day) = civil(since_1970);
            assert_eq!(
                (year, month, day),
                (date.year().into(), date.month().into(), date.day().into())
            );
            assert_eq!(day_number(year, month, day), days);
        }
    }

    #[test]
    fn sec_w12_timestamps_print_as_documented() {
        // Values of `timestamp_send` of a server.
        for (micros, printed) in [
            (0, "2000-01-01T00:00:00"),
            (-1, "1999-12-31T23:59:59.999999"),
            (1_500_000, "2000-01-01T00:00:01.500000"),
            (833_976_000_000_000, "2026-06-05T12:00:00"),
            (-64_464_465_600_000_000, "0044-03-15T12:00:00 BC"),
            (-211_810_204_800_000_000, "4713-01-01T00:00:00 BC"),
            (9_223_371_331_199_999_999, "294276-12-31T23:59:59.999999"),
            (INFINITY, "infinity"),
            (MINUS_INFINITY, "-infinity"),
        ] {
            assert_eq!(text(|out| write_local(micros, out)), printed);
        }
        assert_eq!(
            text(|out| write_instant(-64_464_465_600_000_000, out)),
            "0044-03-15T12:00:00+00:00 BC"
        );
        assert_eq!(text(|out| write_instant(INFINITY, out)), "infinity");
        assert_eq!(text(|out| write_time(MICROS_PER_DAY, out)), "24:00:00");
        assert_eq!(text(|out| write_date(i32::MAX, out)), "infinity");
        assert_eq!(text(|out| write_date(-730_120, out)), "0001-12-31 BC");
        assert_eq!(text(|out| write_date(2_145_031_948, out)), "5874897-12-31");
    }

    #[test]
    fn days_and_dates_are_inverse_over_a_whole_era_and_the_servers_range() {
        let mut expected = civil(-2_500_000);
        for days in -2_500_000..200_000 {
            let (year, month, day) = civil(days);
            assert_eq!((year, month, day), expected);
            assert_eq!(day_number(year, month, day), days - DAYS_1970_TO_2000);
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let length = [
                31,
                if leap { 29 } else { 28 },
                31,
                30,
                31,
                30,
                31,
                31,
                30,
                31,
                30,
                31,
            ];
            let last = length[usize::try_from(month - 1).unwrap()];
            expected = match (month, day == last) {
                (_, false) => (year, month, day + 1),
                (12, true) => (year + 1, 1, 1),
                (_, true) => (year, month + 1, 1),
            };
        }
    }

    #[test]
    fn milliseconds_are_cut_off_towards_the_past() {
        for (micros, ms) in [
            (0, 946_684_800_000.0),
            (999, 946_684_800_000.0),
            (-1, 946_684_799_999.0),
            (INFINITY, f64::INFINITY),
            (MINUS_INFINITY, f64::NEG_INFINITY),
            (9_223_371_331_199_999_999, 9_224_318_015_999_999.0),
        ] {
            assert_eq!(stamp_ms(micros).to_bits(), f64::to_bits(ms), "{micros}");
        }
        assert_eq!(date_ms(0).to_bits(), MS_1970_TO_2000.to_bits());
        assert_eq!(date_ms(i32::MIN).to_bits(), f64::NEG_INFINITY.to_bits());
    }

    #[test]
    fn sec_w07_times_outside_a_day_are_refused() {
        assert!(time_of_day(-1).is_err());
        assert!(time_of_day(MICROS_PER_DAY + 1).is_err());
        assert_eq!(time_of_day(MICROS_PER_DAY).unwrap(), MICROS_PER_DAY);
    }
}
