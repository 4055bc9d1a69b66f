//! Times and TCP options of a connection: explicit options in milliseconds, else libpq's keywords in its units.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::error::Error;

use super::keyword::Values;
use super::settings::{KeepaliveSetting, Settings};
use super::value::{integer, limit, number, time};

const SECOND: Duration = Duration::from_secs(1);

/// TCP keepalive; `None` leaves a value to the operating system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// Silence before the first probe, at least 1 s.
    pub idle: Option<Duration>,
    /// Time between probes, at least 1 s.
    pub interval: Option<Duration>,
    /// Unanswered probes that end the connection.
    pub count: Option<NonZeroU32>,
}

impl Default for Keepalive {
    fn default() -> Self {
        Self {
            idle: Some(Duration::from_secs(5)),
            interval: Some(SECOND),
            count: NonZeroU32::new(3),
        }
    }
}

impl Settings {
    /// `connectTimeoutMs`, else `connect_timeout`; no longer than `connectLimitMs`.
    pub(super) fn connect_timeout(&self, values: &Values) -> Result<Option<Duration>, Error> {
        let default = time(
            values,
            "connect_timeout",
            SECOND,
            Some(Duration::from_secs(2)),
        )?;
        let own = limit("connectTimeoutMs", self.connect_timeout_ms, default)?;
        let most = limit("connectLimitMs", self.connect_limit_ms, None)?;
        Ok(own.into_iter().chain(most).min())
    }

    /// `tcpUserTimeoutMs`, else `tcp_user_timeout`.
    pub(super) fn tcp_user_timeout(&self, values: &Values) -> Result<Option<Duration>, Error> {
        let default = time(
            values,
            "tcp_user_timeout",
            Duration::from_millis(1),
            Some(Duration::from_secs(8)),
        )?;
        limit("tcpUserTimeoutMs", self.tcp_user_timeout_ms, default)
    }

    /// `keepalive`, else libpq's four keywords.
    pub(super) fn keepalive(&self, values: &Values) -> Result<Option<Keepalive>, Error> {
        let defaults = Keepalive::default();
        let setting = match &self.keepalive {
            None => return keepalive_of(values, defaults),
            Some(KeepaliveSetting::Switch(on)) => return Ok(on.then_some(defaults)),
            Some(KeepaliveSetting::Object(setting)) => setting,
        };
        let span = |option: &str, given, default| match limit(option, given, default)? {
            Some(time) if time < SECOND => Err(Error::config(
                option,
                "must be 0 or at least 1000 (milliseconds)",
            )),
            time => Ok(time),
        };
        let count = number("keepalive.count", setting.count, &(0..=127), 3)?;
        Ok(Some(Keepalive {
            idle: span("keepalive.idleMs", setting.idle_ms, defaults.idle)?,
            interval: span(
                "keepalive.intervalMs",
                setting.interval_ms,
                defaults.interval,
            )?,
            count: NonZeroU32::new(count),
        }))
    }
}

fn keepalive_of(values: &Values, defaults: Keepalive) -> Result<Option<Keepalive>, Error> {
    let is_on = integer(values, "keepalives")? != Some(0);
    let count = integer(values, "keepalives_count")?;
    let keepalive = Keepalive {
        idle: time(values, "keepalives_idle", SECOND, defaults.idle)?,
        interval: time(values, "keepalives_interval", SECOND, defaults.interval)?,
        count: count.map_or(defaults.count, |count| {
            u32::try_from(count).ok().and_then(NonZeroU32::new)
        }),
    };
    Ok(is_on.then_some(keepalive))
}
