//! Checks of single values: characters, lengths, bounds, and numbers as libpq reads them (rule D03).

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::error::Error;

use super::keyword::Values;

/// Longest time that can be asked for: the largest `statement_timeout` and timer of Node, 24.8 days.
const MAX_MS: u64 = 2_147_483_647;

/// Refuses control characters (NUL among them) and values longer than `limit` bytes. Never shows the value.
pub(super) fn check_text(option: &str, value: &str, limit: usize) -> Result<(), Error> {
    if value.chars().any(char::is_control) {
        return Err(Error::config(option, "must not contain control characters"));
    }
    check_length(option, value, limit)
}

/// Refuses values longer than `limit` bytes.
pub(super) fn check_length(option: &str, value: &str, limit: usize) -> Result<(), Error> {
    if value.len() > limit {
        return Err(Error::config(
            option,
            format!("must not be longer than {limit} bytes"),
        ));
    }
    Ok(())
}

/// A time in milliseconds; 0 means no limit.
pub(super) fn limit(
    option: &str,
    given: Option<u64>,
    default: Option<Duration>,
) -> Result<Option<Duration>, Error> {
    match given {
        None => Ok(default),
        Some(0) => Ok(None),
        Some(ms) if ms <= MAX_MS => Ok(Some(Duration::from_millis(ms))),
        Some(ms) => Err(Error::config(
            option,
            format!("must be at most {MAX_MS} (milliseconds), got {ms}"),
        )),
    }
}

/// A number within bounds.
pub(super) fn number<T: TryFrom<u64>>(
    option: &str,
    given: Option<u64>,
    bounds: &RangeInclusive<u64>,
    default: T,
) -> Result<T, Error> {
    let Some(given) = given else {
        return Ok(default);
    };
    T::try_from(given)
        .ok()
        .filter(|_| bounds.contains(&given))
        .ok_or_else(|| {
            Error::config(
                option,
                format!(
                    "must be from {} to {}, got {given}",
                    bounds.start(),
                    bounds.end()
                ),
            )
        })
}

/// A keyword with a number.
pub(super) fn integer(values: &Values, name: &'static str) -> Result<Option<i32>, Error> {
    match values.get(name).map(parse_integer) {
        None => Ok(None),
        Some(Some(number)) => Ok(Some(number)),
        Some(None) => Err(values.error(name, "must be a whole number")),
    }
}

/// A keyword with a number of `unit`s of time; 0 and less mean no limit, or the operating system's.
pub(super) fn time(
    values: &Values,
    name: &'static str,
    unit: Duration,
    default: Option<Duration>,
) -> Result<Option<Duration>, Error> {
    Ok(match integer(values, name)? {
        None => default,
        Some(number) => u32::try_from(number)
            .ok()
            .filter(|number| *number > 0)
            .map(|number| unit * number),
    })
}

/// A 32-bit decimal number with an optional sign and surrounding blanks.
///
/// Source: `parse_int_param` in `src/interfaces/libpq/fe-connect.c`.
pub(super) fn parse_integer(text: &str) -> Option<i32> {
    text.trim_matches(|c| matches!(c, ' ' | '\t'..='\r'))
        .parse()
        .ok()
}
