//! Settings of leases and of the reaper, with their defaults and bounds.

use std::time::Duration;

use serde::Deserialize;

use crate::error::Error;

use super::secret::Secret;

/// Longest time a setting may name: 2³¹ − 1 milliseconds, as everywhere else.
const MAX_MS: u64 = 2_147_483_647;

/// `lease`: how connections are claimed. Names are those of ServerlessClient.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct LeaseSettings {
    secret: Secret,
    service_name: Option<String>,
    instance_id: Option<String>,
    lease_ttl_ms: Option<u64>,
    heartbeat_soft_remaining_ms: Option<u64>,
    heartbeat_hard_wait_remaining_ms: Option<u64>,
    heartbeat_timeout_ms: Option<u64>,
    heartbeat_error_mode: Option<String>,
    pooler: Option<String>,
    /// Name of the connection where a pooler forbids leases.
    plain_name: Option<String>,
    /// Renew also what nobody uses.
    always: Option<bool>,
    reaper: Option<bool>,
    reaper_run_probability: Option<f64>,
    reaper_cooldown_ms: Option<u64>,
    reaper_error_mode: Option<String>,
    reaper_timeout_ms: Option<u64>,
    min_connection_idle_time_sec: Option<f64>,
    min_idle_in_transaction_sec: Option<f64>,
    reap_idle_in_transaction: Option<bool>,
    max_idle_connections_to_kill: Option<u64>,
    lease_grace_ms: Option<u64>,
}

/// What is done when a lease could not be renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenewalFailure {
    /// The connection is given up; what waited goes on over a new one.
    Reconnect,
    /// Nothing.
    Swallow,
    /// What waited fails.
    Throw,
}

/// Is there a pooler that shares server connections between clients?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooler {
    /// Found out on each connection.
    Auto,
    /// Yes: nothing is leased.
    On,
    /// No.
    Off,
}

/// How leases are made and kept.
#[derive(Clone, Debug)]
pub struct LeaseConfig {
    /// The key of the signatures.
    pub secret: Secret,
    /// Default `sls_pg`.
    pub service: Box<str>,
    /// Default: random, per pool or client.
    pub instance: Option<Box<str>>,
    /// How long a lease lasts. Default 90 s.
    pub ttl: Duration,
    /// With so much left a lease is renewed. Default 30 s, at most a third of `ttl`.
    pub soft: Duration,
    /// With less left a request waits for the renewal. Default 5 s, at most an eighteenth of `ttl`.
    pub hard: Duration,
    /// Longest wait for a renewal's answer. Default 2 s.
    pub timeout: Duration,
    /// Default: reconnect.
    pub on_failure: RenewalFailure,
    /// Default: auto.
    pub pooler: Pooler,
    /// Name where nothing is leased. Default: the service.
    pub plain_name: Box<str>,
    /// Renew also what nobody uses. Default: no.
    pub always: bool,
    /// `None`: no reaper.
    pub reaper: Option<ReaperConfig>,
}

/// How expired connections are ended.
#[derive(Clone, Debug)]
pub struct ReaperConfig {
    /// Chance that a new connection begins with a pass. Default 1.
    pub probability: f64,
    /// Time between passes of a process on one target. Default 30 s.
    pub cooldown: Duration,
    /// Do requests that waited for a failing pass fail? Default: no.
    pub throws: bool,
    /// Longest time of one statement of a pass. Default 2 s.
    pub timeout: Duration,
    /// Idle for at least so long. Default 180 s.
    pub min_idle: Duration,
    /// Idle inside a transaction for at least so long; `None`: never ended. Default: as `min_idle`.
    pub min_idle_in_transaction: Option<Duration>,
    /// Most connections ended by one pass. Default 10; 0: none.
    pub max_kills: usize,
    /// Expired for more than this. Default 0.
    pub grace: Duration,
}

impl LeaseSettings {
    pub(super) fn build(self) -> Result<LeaseConfig, Error> {
        let ttl = ms("leaseTtlMs", self.lease_ttl_ms, 90_000)?;
        if ttl.is_zero() {
            return Err(Error::config("leaseTtlMs", "must be at least 1"));
        }
        let soft = Duration::from_secs(30).min(ttl / 3);
        let hard = Duration::from_secs(5).min(ttl / 18);
        let service: Box<str> = self.service_name.as_deref().unwrap_or("sls_pg").into();
        let min_idle = seconds(
            "minConnectionIdleTimeSec",
            self.min_connection_idle_time_sec,
        )?
        .unwrap_or(Duration::from_secs(180));
        let in_transaction = seconds("minIdleInTransactionSec", self.min_idle_in_transaction_sec)?
            .unwrap_or(min_idle);
        let reaper = ReaperConfig {
            probability: self.reaper_run_probability.unwrap_or(1.0),
            cooldown: ms("reaperCooldownMs", self.reaper_cooldown_ms, 30_000)?,
            throws: word(
                "reaperErrorMode",
                self.reaper_error_mode.as_deref(),
                &[("swallow", false), ("throw", true)],
            )?,
            timeout: ms("reaperTimeoutMs", self.reaper_timeout_ms, 2_000)?
                .max(Duration::from_millis(1)),
            min_idle,
            min_idle_in_transaction: self
                .reap_idle_in_transaction
                .unwrap_or(true)
                .then_some(in_transaction),
            max_kills: self
                .max_idle_connections_to_kill
                .map_or(10, |most| usize::try_from(most).unwrap_or(usize::MAX)),
            grace: ms("leaseGraceMs", self.lease_grace_ms, 0)?,
        };
        Ok(LeaseConfig {
            plain_name: self.plain_name.map_or_else(|| service.clone(), Into::into),
            secret: self.secret,
            service,
            instance: self.instance_id.map(Into::into),
            ttl,
            soft: optional_ms("heartbeatSoftRemainingMs", self.heartbeat_soft_remaining_ms)?
                .unwrap_or(soft),
            hard: optional_ms(
                "heartbeatHardWaitRemainingMs",
                self.heartbeat_hard_wait_remaining_ms,
            )?
            .unwrap_or(hard),
            timeout: ms("heartbeatTimeoutMs", self.heartbeat_timeout_ms, 2_000)?,
            on_failure: word(
                "heartbeatErrorMode",
                self.heartbeat_error_mode.as_deref(),
                &[
                    ("reconnect", RenewalFailure::Reconnect),
                    ("swallow", RenewalFailure::Swallow),
                    ("throw", RenewalFailure::Throw),
                ],
            )?,
            pooler: word(
                "pooler",
                self.pooler.as_deref(),
                &[
                    ("auto", Pooler::Auto),
                    ("on", Pooler::On),
                    ("off", Pooler::Off),
                ],
            )?,
            always: self.always.unwrap_or(false),
            reaper: self.reaper.unwrap_or(true).then_some(reaper),
        })
    }
}

/// One of a few words; the first one is the default.
fn word<T: Copy>(option: &str, given: Option<&str>, words: &[(&str, T)]) -> Result<T, Error> {
    let found = match given {
        None => words.first(),
        Some(given) => words.iter().find(|(word, _)| *word == given),
    };
    found
        .map(|(_, value)| *value)
        .ok_or_else(|| Error::config(option, "has an unknown value"))
}

fn ms(option: &str, given: Option<u64>, default: u64) -> Result<Duration, Error> {
    let given = given.unwrap_or(default);
    if given > MAX_MS {
        return Err(Error::config(
            option,
            "must be at most 2147483647 (milliseconds)",
        ));
    }
    Ok(Duration::from_millis(given))
}

fn optional_ms(option: &str, given: Option<u64>) -> Result<Option<Duration>, Error> {
    given.map(|given| ms(option, Some(given), 0)).transpose()
}

fn seconds(option: &str, given: Option<f64>) -> Result<Option<Duration>, Error> {
    given
        .map(|given| {
            Duration::try_from_secs_f64(given)
                .ok()
                .filter(|time| time.as_secs() <= MAX_MS)
                .ok_or_else(|| Error::config(option, "must be a number of seconds, not negative"))
        })
        .transpose()
}
