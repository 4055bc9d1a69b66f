//! Typed settings of a target and its pool: the only place where defaults are written.
//!
//! [`Settings`] come from JS, [`Surroundings`] from the process; [`Settings::build`] joins them, checks every value
//! once and gives a [`Config`] and a [`PoolConfig`] that are right by construction. Precedence of one setting:
//! explicit option, connection string, service file, environment, default (rule CP-41).

mod build;
mod driver;
mod env;
mod guard;
mod host;
mod keyword;
mod lease;
mod login;
mod pass;
mod pem;
mod pool;
mod routing;
mod secret;
mod service;
mod settings;
mod socket;
mod tls;
mod tls_keywords;
mod tls_object;
mod url;
mod value;

use std::fmt;
use std::time::Duration;

pub use build::{Built, Surroundings};
pub use driver::Driver;
pub use host::Host;
pub use lease::{LeaseConfig, Pooler, ReaperConfig, RenewalFailure};
pub use login::{ChannelBinding, Login};
pub use pass::PassFile;
pub use pool::{PoolConfig, Prepared};
pub use routing::{Balance, FenceCheck, Mode, Routing};
pub use secret::Secret;
pub use settings::Settings;
pub use socket::Keepalive;
pub use tls::{ClientCertificate, Identity, Roots, SslMode, Tls, TlsVersion, Verify};
pub use url::parse_connection_string;

/// How to reach one target, log in and keep the socket honest.
#[derive(Clone)]
pub struct Config {
    /// Addresses, at least one.
    pub hosts: Vec<Host>,
    /// Role to log in as. Default: the name of the operating system's user.
    pub user: Box<str>,
    /// Default: the same as `user`.
    pub database: Box<str>,
    /// The configured password; see [`Config::password_for`].
    pub password: Option<Secret>,
    /// Passwords by host, used when there is no other.
    pub passfile: PassFile,
    /// `application_name`. Default: none.
    pub application_name: Option<Box<str>>,
    /// Command-line options for the server process. Default: none.
    pub options: Option<Box<str>>,
    /// Further parameters of the session by name. Default: none.
    pub parameters: Vec<(String, String)>,
    /// TLS. Default: `prefer`.
    pub ssl: Tls,
    /// Deadline of one attempt, from dialling to the end of the login. Default 2 s; `None`: no deadline.
    pub connect_timeout: Option<Duration>,
    /// The server's own limit for each statement. Default: none, which leaves the server's setting.
    pub statement_timeout: Option<Duration>,
    /// TCP keepalive. Default 5 s, 1 s, 3; `None`: off.
    pub keepalive: Option<Keepalive>,
    /// `TCP_USER_TIMEOUT`. Default 8 s; `None`: the operating system's.
    pub tcp_user_timeout: Option<Duration>,
    /// Largest message taken from the server, in bytes. Default 1 GiB, the server's own limit (rule W05).
    pub max_message: usize,
    /// What is demanded of the login.
    pub login: Login,
}

impl Config {
    /// Parameters of the startup packet besides `user` and `database`, in the order they are sent.
    ///
    /// `DateStyle` is ISO, the one style that dates are read from, unless the environment or an option asks for another;
    /// `TimeZone` is among them only if they ask for it.
    #[must_use]
    pub fn startup_parameters(&self) -> Vec<(String, String)> {
        let mut parameters = vec![("client_encoding".to_owned(), "UTF8".to_owned())];
        let mut push = |name: &str, value: String| parameters.push((name.to_owned(), value));
        if let Some(name) = &self.application_name {
            push("application_name", name.to_string());
        }
        if let Some(options) = &self.options {
            push("options", options.to_string());
        }
        if let Some(timeout) = self.statement_timeout {
            push("statement_timeout", timeout.as_millis().to_string());
        }
        parameters.extend(self.parameters.iter().cloned());
        let sets_style = |name: &str| name.eq_ignore_ascii_case("DateStyle");
        let by_options = self.options.as_deref().is_some_and(guard::sets_date_style);
        if !by_options && !parameters.iter().any(|(name, _)| sets_style(name)) {
            parameters.push(("DateStyle".to_owned(), "ISO".to_owned()));
        }
        parameters
    }

    /// The password for one host: the configured one, else the password file's.
    #[must_use]
    pub fn password_for(&self, host: &Host) -> Option<Secret> {
        self.password
            .clone()
            .or_else(|| self.passfile.find(host, &self.database, &self.user))
    }
}

impl fmt::Debug for Config {
    /// Leaves out passwords, and values of `options` and `parameters`, which applications use for tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self
            .parameters
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        f.debug_struct("Config")
            .field("hosts", &self.hosts)
            .field("user", &self.user)
            .field("database", &self.database)
            .field("application_name", &self.application_name)
            .field("parameters", &names)
            .field("ssl", &self.ssl.mode)
            .field("connect_timeout", &self.connect_timeout)
            .field("statement_timeout", &self.statement_timeout)
            .field("keepalive", &self.keepalive)
            .field("tcp_user_timeout", &self.tcp_user_timeout)
            .field("max_message", &self.max_message)
            .field("login", &self.login)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
