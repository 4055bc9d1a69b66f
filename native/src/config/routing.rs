//! Settings of routing: which nodes a pool uses, and how it finds them.

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::error::Error;

use super::keyword::Values;
use super::settings::Settings;
use super::value::{limit, number};

/// Which nodes a pool uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// A primary that takes writes.
    ReadWrite,
    /// A standby; by `fencedReads: 'allow'` any node that takes no writes.
    ReadOnly,
    /// A node out of recovery.
    Primary,
    /// A node in recovery.
    Standby,
    /// A standby where there is one, else any node.
    PreferStandby,
    /// Any node.
    #[default]
    Any,
}

impl Mode {
    /// The mode of a word of ours or of libpq's `target_session_attrs`.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "read-write" => Self::ReadWrite,
            "read-only" => Self::ReadOnly,
            "primary" => Self::Primary,
            "standby" => Self::Standby,
            "prefer-standby" => Self::PreferStandby,
            "any" => Self::Any,
            _ => return None,
        })
    }

    /// The word of it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::ReadWrite => "read-write",
            Self::ReadOnly => "read-only",
            Self::Primary => "primary",
            Self::Standby => "standby",
            Self::PreferStandby => "prefer-standby",
            Self::Any => "any",
        }
    }

    /// What the error says when no node was found (spec 1.3 of the cluster pool).
    #[must_use]
    pub const fn lack(self) -> &'static str {
        match self {
            Self::ReadWrite => "no writable primary available",
            Self::Primary => "no primary available",
            Self::ReadOnly | Self::Standby => "no standby available",
            Self::PreferStandby | Self::Any => "no reachable node",
        }
    }
}

/// How one of several usable nodes is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Balance {
    /// The first in the list.
    #[default]
    Listed,
    /// Any.
    Random,
    /// One after the other.
    RoundRobin,
    /// The one with the fewest connections in use, else any.
    LeastInUse,
}

/// How a connection's role is checked before a statement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FenceCheck {
    /// In-band where the server reports its role, else by query.
    #[default]
    Auto,
    /// In-band only: servers that do not report their role are not checked.
    InBand,
    /// `SHOW transaction_read_only` in the statement's packet.
    Query,
    /// Not at all.
    Off,
}

/// Which nodes, and how they are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routing {
    /// Which nodes. Default: any.
    pub mode: Mode,
    /// Which of several. Default: as listed; for pools of createPool that read from standbys the least used.
    pub balance: Balance,
    /// How long an attempt is alone before the next one starts. Default 250 ms; 0: all at once.
    pub race_delay: Duration,
    /// Connections opened at the same time. Default 4.
    pub max_connecting: NonZeroUsize,
    /// Default: auto.
    pub fence_check: FenceCheck,
    /// How far a standby may replay behind. Default: no limit.
    pub max_lag: Option<Duration>,
    /// Is a COMMIT looked into that a fenced server has answered? Default: no.
    pub strict_fence: bool,
    /// May a fenced primary serve reads of `read-only` pools? Default: no.
    pub fenced_reads: bool,
}

impl Settings {
    pub(super) fn routing(&self, values: &Values) -> Result<Routing, Error> {
        let word = self
            .mode
            .as_deref()
            .or_else(|| values.filled("target_session_attrs"))
            .or(self.default_mode.as_deref());
        let mode = match word {
            None => Mode::Any,
            Some(word) => Mode::parse(word).ok_or_else(|| {
                let label = if self.mode.is_some() {
                    "mode"
                } else {
                    values.label("target_session_attrs")
                };
                Error::config(
                    label,
                    "must be read-write, read-only, primary, standby, prefer-standby or any",
                )
            })?,
        };
        let balance = match (
            self.load_balance.as_deref(),
            values.filled("load_balance_hosts"),
        ) {
            (Some("random"), _) | (None, Some("random")) => Balance::Random,
            (Some("round-robin"), _) => Balance::RoundRobin,
            (Some("least-in-use"), _) => Balance::LeastInUse,
            (None, Some(_)) => Balance::Listed,
            (None, None) => self.default_balance(mode),
            (Some(_), _) => {
                return Err(Error::config(
                    "loadBalance",
                    "must be random, round-robin or least-in-use",
                ));
            }
        };
        let max_lag = limit("maxLagMs", self.max_lag_ms, None)?;
        if max_lag.is_some() && matches!(mode, Mode::ReadWrite | Mode::Primary) {
            return Err(Error::config(
                "maxLagMs",
                "needs a mode that reads from standbys",
            ));
        }
        let connecting = number("maxConnecting", self.max_connecting, &(1..=1000), 4)?;
        Ok(Routing {
            mode,
            balance,
            race_delay: limit(
                "raceDelayMs",
                self.race_delay_ms,
                Some(Duration::from_millis(250)),
            )?
            .unwrap_or_default(),
            max_connecting: NonZeroUsize::new(connecting).unwrap_or(NonZeroUsize::MIN),
            fence_check: match self.fence_check.as_deref() {
                None | Some("auto") => FenceCheck::Auto,
                Some("inband") => FenceCheck::InBand,
                Some("query") => FenceCheck::Query,
                Some("off") => FenceCheck::Off,
                Some(_) => {
                    return Err(Error::config(
                        "fenceCheck",
                        "must be auto, inband, query or off",
                    ));
                }
            },
            max_lag,
            strict_fence: self.strict_fence.unwrap_or_default(),
            fenced_reads: match self.fenced_reads.as_deref() {
                None | Some("retry") => false,
                Some("allow") => true,
                Some(_) => {
                    return Err(Error::config("fencedReads", "must be retry or allow"));
                }
            },
        })
    }

    /// Faces that know modes (they have a default of their own) spread reads.
    const fn default_balance(&self, mode: Mode) -> Balance {
        match mode {
            Mode::ReadOnly | Mode::Standby | Mode::PreferStandby | Mode::Any
                if self.default_mode.is_some() =>
            {
                Balance::LeastInUse
            }
            _ => Balance::Listed,
        }
    }
}
