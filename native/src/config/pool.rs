//! Settings of a pool, with their defaults and bounds.

use std::collections::BTreeMap;
use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;

use crate::error::Error;

use super::driver::Driver;
use super::keyword::Values;
use super::routing::Routing;
use super::settings::Settings;
use super::value::{limit, number};

/// Most connections of a pool: more than any server accepts (`MAX_BACKENDS` of the server).
const MAX_POOL_SIZE: u64 = 262_143;

/// An answer younger than this stands for a check. Checking every read cost 30 % of the rate of a single caller's point
/// selects, and nothing measurable with this; a promotion takes twenty times as long, so no row can be stale by then.
const VALIDATION_INTERVAL: Duration = Duration::from_millis(5);

/// Are prepared statements kept by name on the server?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Prepared {
    /// Yes.
    #[default]
    Named,
    /// No: each execution parses again, as transaction-mode poolers need it (rule CP-65).
    Unnamed,
}

/// How many connections, for how long, and what each may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolConfig {
    /// Most connections. Default 10.
    pub max: NonZeroUsize,
    /// Idle connections that are kept open. Default 0, never more than `max`.
    pub min_idle: usize,
    /// Longest wait for a usable connection: waiting, connecting and searching together. Default 5 s.
    pub acquire_timeout: Duration,
    /// Idle time after which a connection is closed. Default 30 s; `None`: never.
    pub idle_timeout: Option<Duration>,
    /// Age after which a connection is closed, see [`PoolConfig::lifetime`]. Default 30 min; `None`: never.
    pub max_lifetime: Option<Duration>,
    /// Checkouts after which a connection is closed. Default: none.
    pub max_uses: Option<NonZeroU64>,
    /// Runs on a connection whose user may have left something in its session. Default: none.
    pub reset_query: Option<Box<str>>,
    /// A connection used less than this long ago is handed out without a check. Default 5 ms; 0: always check.
    pub validation_interval: Duration,
    /// Prepared statements kept on each connection. Default 256; 0: none.
    pub statement_cache_size: usize,
    /// Default: named.
    pub prepared: Prepared,
    /// Statements prepared on a connection that replaces a lost one. Default 8; 0: none.
    pub warm_statements: usize,
    /// Longest a statement may take, from the call on. Default: none.
    pub max_statement: Option<Duration>,
    /// Most bytes of rows that a result may have (rule F08). Default: no limit.
    pub max_result_bytes: Option<usize>,
    /// A server that answers nobody for so long is given up. Default: none.
    pub alive_timeout: Option<Duration>,
    /// How often `prefer-standby` pools on the primary look for a standby. Default 5 s.
    pub rebalance: Option<Duration>,
    /// How often names are looked up again for open connections. Default 30 s.
    pub dns_recheck: Option<Duration>,
    /// How long the outcome of a transaction is looked for whose COMMIT was not answered. Default 10 s.
    pub resolve_timeout: Duration,
    /// Statements in flight on one connection. Default 8.
    pub pipeline_depth: NonZeroUsize,
    /// Which side reads the connections.
    pub driver: Driver,
    /// Which nodes, and how they are found.
    pub routing: Routing,
}

impl PoolConfig {
    /// The life of one connection: `max_lifetime` ±10 %, so that connections opened together do not end together.
    ///
    /// `roll` is any random number.
    #[must_use]
    pub fn lifetime(&self, roll: u32) -> Option<Duration> {
        self.max_lifetime
            .map(|life| life * (900 + roll % 201) / 1000)
    }
}

impl Settings {
    /// Several statements would be one transaction, in which `DISCARD ALL` is refused.
    fn reset_query(&self) -> Result<Option<Box<str>>, Error> {
        const OPTION: &str = "resetQuery";
        let Some(query) = self.reset_query.as_deref() else {
            return Ok(None);
        };
        if query.trim().is_empty() {
            return Err(Error::config(
                OPTION,
                "must be a statement, for example DISCARD ALL",
            ));
        }
        if query.contains('\0') {
            return Err(Error::config(OPTION, "must not contain a NUL character"));
        }
        Ok(Some(query.into()))
    }

    pub(super) fn pool(
        &self,
        values: &Values,
        environment: &BTreeMap<String, String>,
    ) -> Result<PoolConfig, Error> {
        // Below 1 becomes 1, as in the original.
        let size = self
            .pool_size
            .map(|size| u64::try_from(size).unwrap_or(0).max(1));
        let max: usize = number("poolSize", size, &(1..=MAX_POOL_SIZE), 10)?;
        let max_idle = size.unwrap_or(10);
        let prepared = match self.prepared_statements.as_deref() {
            None | Some("named") => Prepared::Named,
            Some("unnamed") => Prepared::Unnamed,
            Some(_) => {
                return Err(Error::config(
                    "preparedStatements",
                    "must be \"named\" or \"unnamed\"",
                ));
            }
        };
        let acquire_timeout = limit(
            "acquireTimeoutMs",
            self.acquire_timeout_ms,
            Some(Duration::from_secs(5)),
        )?
        .ok_or_else(|| {
            Error::config(
                "acquireTimeoutMs",
                "must be at least 1: a wait without end is a hang",
            )
        })?;
        let pipeline_depth = number("pipelineDepth", self.pipeline_depth, &(1..=65_535), 8)?;
        Ok(PoolConfig {
            max: NonZeroUsize::new(max).unwrap_or(NonZeroUsize::MIN),
            min_idle: number("minIdle", self.min_idle, &(0..=max_idle), 0)?,
            acquire_timeout,
            idle_timeout: limit(
                "idleTimeoutMs",
                self.idle_timeout_ms,
                Some(Duration::from_secs(30)),
            )?,
            max_lifetime: limit(
                "maxLifetimeMs",
                self.max_lifetime_ms,
                Some(Duration::from_secs(1800)),
            )?,
            max_uses: self.max_uses.and_then(NonZeroU64::new),
            reset_query: self.reset_query()?,
            validation_interval: limit(
                "validationIntervalMs",
                self.validation_interval_ms,
                Some(VALIDATION_INTERVAL),
            )?
            .unwrap_or_default(),
            statement_cache_size: number(
                "statementCacheSize",
                self.statement_cache_size,
                &(0..=65_536),
                256,
            )?,
            warm_statements: number("warmStatements", self.warm_statements, &(0..=256), 8)?,
            prepared,
            max_result_bytes: match self.max_result_bytes {
                None => None,
                given => Some(number(
                    "maxResultBytes",
                    given,
                    &(1..=9_007_199_254_740_991),
                    usize::MAX,
                )?),
            },
            alive_timeout: limit("aliveTimeoutMs", self.alive_timeout_ms, None)?,
            rebalance: limit(
                "rebalanceMs",
                self.rebalance_ms,
                Some(Duration::from_secs(5)),
            )?,
            dns_recheck: limit(
                "dnsRecheckMs",
                self.dns_recheck_ms,
                Some(Duration::from_secs(30)),
            )?,
            resolve_timeout: limit(
                "resolveTimeoutMs",
                self.resolve_timeout_ms,
                Some(Duration::from_secs(10)),
            )?
            .unwrap_or_default(),
            max_statement: limit("maxStatementMs", self.max_statement_ms, None)?,
            pipeline_depth: NonZeroUsize::new(pipeline_depth).unwrap_or(NonZeroUsize::MIN),
            driver: self.driver(environment)?,
            routing: self.routing(values)?,
        })
    }
}
