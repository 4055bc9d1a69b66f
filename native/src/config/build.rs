//! From options, connection string and environment to a checked `Config` and `PoolConfig`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::error::Error;

use super::host::Host;
use super::keyword::{Source, Values};
use super::lease::{LeaseConfig, LeaseSettings};
use super::pass::PassFile;
use super::secret::Secret;
use super::settings::Settings;
use super::value::{check_length, check_text, limit, number};
use super::{Config, PoolConfig, env, guard, service, tls, tls_keywords, tls_object, url};

/// Largest startup packet the server reads (`MAX_STARTUP_PACKET_LENGTH`, rule D03).
const MAX_STARTUP_BYTES: usize = 10_000;

/// Longest password, in bytes: the server's limit for an authentication message (`PG_MAX_AUTH_TOKEN_LENGTH`).
const MAX_PASSWORD_BYTES: usize = 65_535;

/// What the process knows besides the options; the caller collects it, so that tests can hold it.
#[derive(Clone, Default)]
pub struct Surroundings {
    /// Environment variables (those that begin with `PG` are enough).
    pub environment: BTreeMap<String, String>,
    /// Name of the operating system's user, the default of `user`.
    pub os_user: Option<String>,
    /// Home directory, where `.pgpass` and `.postgresql/root.crt` are.
    pub home: Option<PathBuf>,
}

impl fmt::Debug for Surroundings {
    /// Names of variables only: one of them may be the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Surroundings")
            .field("environment", &self.environment.keys())
            .field("os_user", &self.os_user)
            .field("home", &self.home)
            .finish()
    }
}

/// What was built.
#[derive(Clone, Debug)]
pub struct Built {
    /// The target.
    pub config: Config,
    /// The pool.
    pub pool: PoolConfig,
    /// Leases; `None`: connections are not leased.
    pub lease: Option<LeaseConfig>,
    /// Things the user should hear about (a password file that was ignored); never with a secret in them.
    pub warnings: Vec<String>,
}

impl Settings {
    /// Checks everything and fills in the defaults.
    ///
    /// Reads the root certificates and the password file, so this blocks for a moment; it is called once for a pool.
    pub fn build(self, surroundings: &Surroundings) -> Result<Built, Error> {
        let values = self.gather(surroundings)?;
        values.check()?;
        let mut warnings = Vec::new();
        let config = self.config(&values, surroundings, &mut warnings)?;
        config.check_startup_size()?;
        Ok(Built {
            config,
            pool: self.pool(&values, &surroundings.environment)?,
            lease: self.lease.map(LeaseSettings::build).transpose()?,
            warnings,
        })
    }

    /// Keyword values of all sources, the strongest first.
    pub(super) fn gather(&self, surroundings: &Surroundings) -> Result<Values, Error> {
        let mut values = Values::default();
        let port = self.port.map(|port| port.to_string());
        let sni = self.sslsni.map(|on| if on { "1" } else { "0" });
        let secret =
            |given: &'_ Option<Secret>| given.as_ref().map(|secret| secret.expose().to_owned());
        for (name, value) in [
            ("password", secret(&self.password)),
            ("sslkey", secret(&self.sslkey)),
            ("sslpassword", secret(&self.sslpassword)),
        ] {
            if let Some(value) = value {
                values.offer(name, Secret::new(value), Source::Option);
            }
        }
        for (name, value) in [
            ("application_name", self.application_name.as_deref()),
            ("channel_binding", self.channel_binding.as_deref()),
            ("dbname", self.database.as_deref()),
            (
                "fallback_application_name",
                self.fallback_application_name.as_deref(),
            ),
            ("host", self.host.as_deref()),
            ("hostaddr", self.hostaddr.as_deref()),
            ("max_protocol_version", self.max_protocol_version.as_deref()),
            ("min_protocol_version", self.min_protocol_version.as_deref()),
            ("options", self.options.as_deref()),
            ("passfile", self.passfile.as_deref()),
            ("port", port.as_deref()),
            ("require_auth", self.require_auth.as_deref()),
            ("service", self.service.as_deref()),
            ("servicefile", self.servicefile.as_deref()),
            (
                "ssl_max_protocol_version",
                self.ssl_max_protocol_version.as_deref(),
            ),
            (
                "ssl_min_protocol_version",
                self.ssl_min_protocol_version.as_deref(),
            ),
            ("sslcert", self.sslcert.as_deref()),
            ("sslcertmode", self.sslcertmode.as_deref()),
            ("sslcrl", self.sslcrl.as_deref()),
            ("sslcrldir", self.sslcrldir.as_deref()),
            ("sslmode", self.sslmode.as_deref()),
            ("sslnegotiation", self.sslnegotiation.as_deref()),
            ("sslrootcert", self.sslrootcert.as_deref()),
            ("sslsni", sni),
            ("user", self.user.as_deref()),
        ] {
            if let Some(value) = value {
                values.offer(name, Secret::new(value.to_owned()), Source::Option);
            }
        }
        if let Some(text) = &self.connection_string {
            // Backwards: of a keyword that comes twice the last one counts.
            for (name, value) in url::parse_connection_string(text.expose())?
                .into_iter()
                .rev()
            {
                values.offer(name, value, Source::Text);
            }
        }
        service::offer(&mut values, surroundings)?;
        env::offer(&mut values, &surroundings.environment);
        Ok(values)
    }

    fn config(
        &self,
        values: &Values,
        surroundings: &Surroundings,
        warnings: &mut Vec<String>,
    ) -> Result<Config, Error> {
        let given = values.get("user").map(str::to_owned);
        let Some(user) = given.or_else(|| surroundings.os_user.clone()) else {
            // As in a container that runs under a number.
            let problem =
                "is missing, and the account of this process has no name; give it, or set PGUSER";
            return Err(values.error("user", problem));
        };
        if user.is_empty() {
            return Err(values.error("user", "must not be empty"));
        }
        let database = values.filled("dbname").unwrap_or(&user);
        check_text(values.label("user"), &user, 255)?;
        check_text(values.label("dbname"), database, 255)?;
        let password = values
            .filled("password")
            .map(|password| Secret::new(password.to_owned()));
        if let Some(password) = &password {
            check_password(values, password)?;
        }
        let password_function = self.password_function.unwrap_or(false);
        // The function is an explicit option; it wins over a password from anywhere else.
        let password = password.filter(|_| !password_function);
        let passfile = match password {
            None if !password_function => passfile(values, surroundings, warnings),
            _ => PassFile::default(),
        };
        let application_name = values
            .filled("application_name")
            .or_else(|| values.filled("fallback_application_name"));
        if let Some(name) = application_name {
            check_text(values.label("application_name"), name, 255)?;
        }
        let options = values.filled("options");
        if let Some(options) = options {
            guard::check_options(values.label("options"), options)?;
        }
        Ok(Config {
            hosts: self.hosts(values)?,
            database: database.into(),
            user: user.into(),
            password,
            passfile,
            application_name: application_name.map(Into::into),
            options: options.map(Into::into),
            parameters: self.parameters(surroundings)?,
            ssl: self.tls(values, surroundings)?,
            connect_timeout: self.connect_timeout(values)?,
            statement_timeout: limit("statementTimeoutMs", self.statement_timeout_ms, None)?,
            keepalive: self.keepalive(values)?,
            tcp_user_timeout: self.tcp_user_timeout(values)?,
            max_message: number(
                "maxMessageBytes",
                self.max_message_bytes,
                &(65_536..=1 << 30),
                1 << 30,
            )?,
            login: self.login(values)?,
        })
    }

    fn hosts(&self, values: &Values) -> Result<Vec<Host>, Error> {
        match &self.hosts {
            None => Host::from_lists(values),
            Some(_) if self.host.is_some() => {
                Err(Error::config("hosts", "cannot be combined with host"))
            }
            Some(entries) => Host::from_entries(entries, values),
        }
    }

    fn parameters(&self, surroundings: &Surroundings) -> Result<Vec<(String, String)>, Error> {
        let mut parameters = Vec::new();
        for (name, value) in self.parameters.iter().flatten() {
            guard::check_parameter("parameters", name, value)?;
            parameters.push((name.clone(), value.clone()));
        }
        for (variable, name) in env::SESSION_VARIABLES {
            let value = surroundings
                .environment
                .get(variable)
                .filter(|value| !value.is_empty());
            let is_set = parameters
                .iter()
                .any(|(set, _)| set.eq_ignore_ascii_case(name));
            if let Some(value) = value.filter(|_| !is_set) {
                check_text(variable, value, 255)?;
                parameters.push((name.to_owned(), value.clone()));
            }
        }
        Ok(parameters)
    }

    fn tls(&self, values: &Values, surroundings: &Surroundings) -> Result<tls::Tls, Error> {
        match &self.ssl {
            Some(setting) => match self.ssl_option() {
                Some(option) => Err(Error::config(
                    "ssl",
                    format!("cannot be combined with {option}"),
                )),
                None => tls_object::from_setting(setting.clone()),
            },
            None => tls_keywords::from_values(values, surroundings.home.as_deref()),
        }
    }
}

impl Settings {
    /// The first option of libpq's that says the same as a part of `ssl`.
    fn ssl_option(&self) -> Option<&'static str> {
        [
            ("sslmode", self.sslmode.is_some()),
            ("sslrootcert", self.sslrootcert.is_some()),
            ("sslcert", self.sslcert.is_some()),
            ("sslkey", self.sslkey.is_some()),
            ("sslpassword", self.sslpassword.is_some()),
            ("sslcrl", self.sslcrl.is_some()),
            ("sslcrldir", self.sslcrldir.is_some()),
            ("sslcertmode", self.sslcertmode.is_some()),
            ("sslsni", self.sslsni.is_some()),
            ("sslnegotiation", self.sslnegotiation.is_some()),
            (
                "ssl_min_protocol_version",
                self.ssl_min_protocol_version.is_some(),
            ),
            (
                "ssl_max_protocol_version",
                self.ssl_max_protocol_version.is_some(),
            ),
        ]
        .into_iter()
        .find_map(|(name, is_given)| is_given.then_some(name))
    }
}

impl Config {
    /// Refuses what the server would refuse: a startup packet above its limit.
    fn check_startup_size(&self) -> Result<(), Error> {
        // Length and protocol number, the closing zero, and two terminators for each pair.
        let pairs = self.startup_parameters();
        let bytes: usize = 9
            + pairs
                .iter()
                .map(|(name, value)| name.len() + value.len() + 2)
                .sum::<usize>()
            + "user".len()
            + self.user.len()
            + 2
            + "database".len()
            + self.database.len()
            + 2;
        if bytes > MAX_STARTUP_BYTES {
            let problem = format!(
                "must leave the startup packet within {MAX_STARTUP_BYTES} bytes, it has {bytes}"
            );
            return Err(Error::config("parameters", problem));
        }
        Ok(())
    }
}

fn check_password(values: &Values, password: &Secret) -> Result<(), Error> {
    if password.expose().contains('\0') {
        return Err(values.error("password", "must not contain a NUL character"));
    }
    check_length(
        values.label("password"),
        password.expose(),
        MAX_PASSWORD_BYTES,
    )
}

/// The file named by `passfile`, or `.pgpass` at home.
fn passfile(values: &Values, surroundings: &Surroundings, warnings: &mut Vec<String>) -> PassFile {
    let file = match (values.filled("passfile"), &surroundings.home) {
        (Some(path), _) => PassFile::read(Path::new(path), false),
        (None, Some(home)) => PassFile::read(&home.join(".pgpass"), true),
        (None, None) => Ok(PassFile::default()),
    };
    file.unwrap_or_else(|warning| {
        warnings.push(warning);
        PassFile::default()
    })
}
