//! What a session is started with, checked before anything is sent (rule D03).

use bytes::{BufMut, BytesMut};

use super::auth::Password;
use super::methods::AuthMethods;
use crate::error::Error;

/// Longest start-up message, in bytes.
///
/// Source: `MAX_STARTUP_PACKET_LENGTH` in `src/include/libpq/pqcomm.h`.
const MAX_STARTUP: usize = 10_000;

/// Protocol 3.0 in the start-up message and in the server's answer to it.
pub(super) const PROTOCOL_3: i32 = 196_608;

/// What a session is started with.
#[derive(Clone, Debug)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a policy of its own, named where it is set"
)]
pub struct StartupSettings {
    /// The role to log in as; must not be empty.
    pub user: String,
    /// The database; empty lets the server take the one named like the role.
    pub database: String,
    /// Further parameters in order, for example `client_encoding`, `application_name`, `options`, `replication`.
    pub parameters: Vec<(String, String)>,
    /// The password; dropped as soon as the server is satisfied.
    pub password: Option<Password>,
    /// Without a password, [`super::Step::AskPassword`] asks for one as soon as the server does.
    pub may_ask: bool,
    /// The connection runs over TLS (or a local socket that the caller trusts as much).
    pub encrypted: bool,
    /// A password may be sent in clear text although `encrypted` is false.
    pub allow_cleartext: bool,
    /// Most SCRAM iterations; 0 means no limit. Default 100 000.
    pub scram_max_iterations: u32,
    /// Minor protocol version to ask for: 0 or 2.
    pub minor: u16,
    /// Hash of the server's certificate for `tls-server-end-point`; `None` without TLS or without a usable hash.
    pub channel_binding: Option<Vec<u8>>,
    /// Fail unless the login is bound to the TLS channel.
    pub require_channel_binding: bool,
    /// Methods the server may ask for. Default: all that are supported.
    pub methods: AuthMethods,
}

impl StartupSettings {
    /// Settings for `user` with the defaults above, without password and TLS, for protocol 3.0.
    #[must_use]
    pub fn new(user: impl Into<String>) -> Self {
        Self {
            user: user.into(),
            database: String::new(),
            parameters: Vec::new(),
            password: None,
            may_ask: false,
            encrypted: false,
            allow_cleartext: false,
            scram_max_iterations: 100_000,
            minor: 0,
            channel_binding: None,
            require_channel_binding: false,
            methods: AuthMethods::default(),
        }
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        if self.user.is_empty() {
            return Err(Error::config("user", "must not be empty"));
        }
        if !matches!(self.minor, 0 | 2) {
            return Err(Error::config(
                "protocol version",
                format!("must be 3.0 or 3.2, got 3.{}", self.minor),
            ));
        }
        let own = [
            ("user", self.user.as_str()),
            ("database", self.database.as_str()),
        ];
        let given = self
            .parameters
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in own.into_iter().chain(given.clone()) {
            if name.contains(char::is_control) {
                return Err(Error::config(
                    name.escape_debug().to_string(),
                    "is not a name: it has control characters",
                ));
            }
            if value.contains(char::is_control) {
                return Err(Error::config(
                    name,
                    "must not contain NUL or other control characters",
                ));
            }
        }
        for (name, _) in given {
            if matches!(name, "" | "user" | "database") {
                return Err(Error::config(
                    name,
                    "cannot be given as a start-up parameter",
                ));
            }
        }
        if self
            .password
            .as_ref()
            .is_some_and(|password| password.expose().contains(&0))
        {
            return Err(Error::config(
                "password",
                "must not contain a NUL character",
            ));
        }
        Ok(())
    }

    /// `i32` length, `i32` version, (name, value)* with NUL each, NUL.
    pub(super) fn message(&self) -> Result<BytesMut, Error> {
        let mut body = BytesMut::new();
        body.put_i32(PROTOCOL_3 + i32::from(self.minor));
        let database = ("database", self.database.as_str());
        let own = [("user", self.user.as_str()), database];
        let given = self
            .parameters
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in own
            .into_iter()
            .chain(given)
            .filter(|pair| *pair != ("database", ""))
        {
            body.put_slice(name.as_bytes());
            body.put_u8(0);
            body.put_slice(value.as_bytes());
            body.put_u8(0);
        }
        body.put_u8(0);
        let length = body.len().saturating_add(4);
        let announced = i32::try_from(length).ok().filter(|_| length <= MAX_STARTUP).ok_or_else(|| {
            Error::config("options", format!("make a start-up message of {length} bytes, the server accepts {MAX_STARTUP}"))
        })?;
        let mut message = BytesMut::with_capacity(length);
        message.put_i32(announced);
        message.put_slice(&body);
        Ok(message)
    }
}
