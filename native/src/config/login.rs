//! What is demanded of the login: methods, channel binding, SCRAM's cost, the protocol's version.

use std::num::NonZeroU32;

use crate::error::Error;

use super::keyword::Values;
use super::settings::Settings;
use super::value::number;

/// `channel_binding`, with libpq's meaning (rule CP-33).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChannelBinding {
    /// Never.
    Disable,
    /// Where the server offers it on TLS.
    #[default]
    Prefer,
    /// Every login is bound to the TLS channel, or fails.
    Require,
}

/// Demands on the login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// Methods the server may ask for, in libpq's spelling of `require_auth`. Default: all that are known.
    pub require_auth: Option<Box<str>>,
    /// Binding to the TLS channel. Default: `prefer`.
    pub channel_binding: ChannelBinding,
    /// Most SCRAM iterations that are derived. Default 100 000 (rule A03); 0, no limit, is the largest number.
    pub scram_max_iterations: NonZeroU32,
    /// May a password go out in clear text without TLS? Default: no (rule A01).
    pub allow_cleartext: bool,
    /// Oldest minor version of protocol 3 that is good enough. Default 0.
    pub oldest_minor: u16,
    /// Minor version that is asked for. Default 0, as in libpq.
    pub newest_minor: u16,
}

impl Settings {
    /// Reads all of them.
    pub(super) fn login(&self, values: &Values) -> Result<Login, Error> {
        let iterations = number(
            "scramMaxIterations",
            self.scram_max_iterations,
            &(0..=u64::from(u32::MAX)),
            100_000,
        )?;
        let channel_binding = match values.get("channel_binding") {
            None | Some("prefer") => ChannelBinding::Prefer,
            Some("disable") => ChannelBinding::Disable,
            Some("require") => ChannelBinding::Require,
            Some(_) => {
                return Err(values.error("channel_binding", "must be disable, prefer or require"));
            }
        };
        let oldest_minor = minor(values, "min_protocol_version")?.unwrap_or(0);
        let newest_minor = minor(values, "max_protocol_version")?.unwrap_or(oldest_minor);
        if oldest_minor > newest_minor {
            return Err(values.error(
                "min_protocol_version",
                "must not be above max_protocol_version",
            ));
        }
        Ok(Login {
            require_auth: values.filled("require_auth").map(Into::into),
            channel_binding,
            scram_max_iterations: NonZeroU32::new(iterations).unwrap_or(NonZeroU32::MAX),
            allow_cleartext: self.allow_cleartext.unwrap_or(false),
            oldest_minor,
            newest_minor,
        })
    }
}

/// `3.0`, `3.2` or `latest`; there is no 3.1.
fn minor(values: &Values, name: &'static str) -> Result<Option<u16>, Error> {
    match values.filled(name) {
        None => Ok(None),
        Some("3.0") => Ok(Some(0)),
        Some("3.2" | "latest") => Ok(Some(2)),
        Some(_) => Err(values.error(name, "must be 3.0, 3.2 or latest")),
    }
}
