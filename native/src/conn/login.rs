//! The login on one address: which attempts `sslmode` allows, the start-up conversation, passwords on demand.

use std::sync::atomic::Ordering;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::config::{ChannelBinding, SslMode};
use crate::conn::aside::HELPERS;
use crate::conn::certificate::Certificate;
use crate::conn::dial::{Address, Route};
use crate::conn::passwords::Question;
use crate::conn::socket::{Encryption, connect};
use crate::conn::stream::Stream;
use crate::conn::verify::is_handshake_code;
use crate::error::{Error, ServerError};
use crate::sqlstate;
use crate::wire::{Password, Session, Startup, StartupSettings, Step};

/// What a login gives: the stream, the session, and bytes that came behind it.
type LoggedIn = (Stream, Session, BytesMut);

/// Logs in; when the server refuses the password of a function, the function is asked once more (rule A05).
pub(super) async fn log_in(route: &Route, address: &Address) -> Result<LoggedIn, Error> {
    let mut asking = Asking::new(route);
    let mut first = try_modes(route, address, &mut asking).await;
    if let Err(Error::Server(refusal)) = &first
        && route.config.statement_timeout.is_some()
        && is_refused_limit(refusal)
    {
        route.refuses_limit.store(true, Ordering::Relaxed);
        first = try_modes(route, address, &mut asking).await;
    }
    match first {
        Err(Error::Server(refusal))
            if sqlstate::rejects_password(&refusal.code) && asking.was_asked() =>
        {
            asking.ask_again();
            try_modes(route, address, &mut asking).await
        }
        first => first,
    }
}

/// Does a pooler refuse `statement_timeout` in the startup packet? A server names the parameter only where its value is wrong.
///
/// `SET` after login would stay with the connection to the server, which behind a transaction pooler others use next.
fn is_refused_limit(refusal: &ServerError) -> bool {
    let is_of_protocol = refusal.code.starts_with("08") || refusal.code.starts_with("0A");
    is_of_protocol && refusal.message.contains("statement_timeout")
}

/// The password of one attempt: asked for when a server wants it, and then used for the second try of `sslmode` as well.
struct Asking<'a> {
    route: &'a Route,
    given: Option<Password>,
    refused: bool,
}

impl<'a> Asking<'a> {
    const fn new(route: &'a Route) -> Self {
        Self {
            route,
            given: None,
            refused: false,
        }
    }

    const fn was_asked(&self) -> bool {
        self.given.is_some()
    }

    fn ask_again(&mut self) {
        self.given = None;
        self.refused = true;
    }

    /// What is known without asking.
    fn known(&self) -> Option<Password> {
        let Route { config, host, .. } = self.route;
        self.given.clone().or_else(|| {
            config
                .password_for(host)
                .map(|password| Password::new(password.expose().to_owned()))
        })
    }

    async fn ask(&mut self) -> Result<Password, Error> {
        let Route {
            config,
            host,
            passwords,
            ..
        } = self.route;
        let Some(passwords) = passwords else {
            return Err(Error::internal(
                "a password was asked for and nobody knows one",
            ));
        };
        let answer = passwords.ask(Question {
            host: host.name(),
            port: host.port(),
            user: config.user.clone(),
            database: config.database.clone(),
            refused: self.refused,
        });
        let secret = answer.await.map_err(|error| self.route.named(error))?;
        let password = Password::new(secret.expose().to_owned());
        self.given = Some(password.clone());
        Ok(password)
    }
}

/// Start-up on one address; `prefer` and `allow` make a second attempt as libpq does.
async fn try_modes(
    route: &Route,
    address: &Address,
    asking: &mut Asking<'_>,
) -> Result<LoggedIn, Error> {
    use Encryption::{Must, No};
    match (&route.tls, route.config.ssl.mode) {
        (None, _) => authenticate(route, address, No, asking).await,
        (Some(_), SslMode::Allow) => match authenticate(route, address, No, asking).await {
            first @ Err(Error::Server(_)) => {
                or_first(first, authenticate(route, address, Must, asking).await)
            }
            first => first,
        },
        (Some(_), SslMode::Prefer) => prefer(route, address, asking).await,
        (Some(_), _) => authenticate(route, address, Must, asking).await,
    }
}

/// `prefer`: where TLS was tried and did not lead in, plain text is.
async fn prefer(
    route: &Route,
    address: &Address,
    asking: &mut Asking<'_>,
) -> Result<LoggedIn, Error> {
    let failed = match connect(route, address, Encryption::Offered).await {
        Ok(stream) => {
            let was_encrypted = stream.is_encrypted();
            match converse(route, stream, asking).await {
                Err(error @ Error::Server(_)) if was_encrypted => error,
                settled => return settled,
            }
        }
        Err(error) if is_handshake_code(error.code()) => error,
        Err(error) => return Err(error),
    };
    or_first(
        Err(failed),
        authenticate(route, address, Encryption::No, asking).await,
    )
}

/// Where the second attempt was refused as well, the first answer says more.
fn or_first<T>(first: Result<T, Error>, second: Result<T, Error>) -> Result<T, Error> {
    if second.is_ok() { second } else { first }
}

async fn authenticate(
    route: &Route,
    address: &Address,
    encryption: Encryption,
    asking: &mut Asking<'_>,
) -> Result<LoggedIn, Error> {
    let stream = connect(route, address, encryption).await?;
    converse(route, stream, asking).await
}

/// The conversation from the start-up packet to the first ReadyForQuery.
async fn converse(
    route: &Route,
    mut stream: Stream,
    asking: &mut Asking<'_>,
) -> Result<LoggedIn, Error> {
    let mut startup = Startup::new(settings(route, &stream, asking))?;
    let (mut input, mut output) = (BytesMut::with_capacity(4096), BytesMut::new());
    startup.first_message(&mut output)?;
    loop {
        if !output.is_empty() {
            stream
                .write_all(&output)
                .await
                .map_err(|error| route.broken(&error))?;
            stream.flush().await.map_err(|error| route.broken(&error))?;
            output.clear();
        }
        match startup
            .feed(&mut input, &mut output)
            .map_err(|error| route.named(error))?
        {
            Step::Done(session) => {
                let oldest = route.config.login.oldest_minor;
                if session.minor < oldest {
                    let problem = format!(
                        "the server speaks protocol 3.{}, but min_protocol_version asks for 3.{oldest}",
                        session.minor
                    );
                    return Err(route.problem("ERR_PROTOCOL", problem));
                }
                return Ok((stream, session, input));
            }
            Step::AskPassword => startup.password(asking.ask().await?),
            Step::Derive(derivation) => {
                // Thousands of HMAC rounds: off the thread that serves every other connection (rule A03).
                let derived = HELPERS
                    .run(move || derivation.run())
                    .await
                    .map_err(|undone| route.undone("the key of a password", undone))?;
                startup
                    .derived(derived, &mut output)
                    .map_err(|error| route.named(error))?;
            }
            Step::NeedMore if !output.is_empty() => {}
            Step::NeedMore => {
                let read = stream
                    .read_buf(&mut input)
                    .await
                    .map_err(|error| route.broken(&error))?;
                if read == 0 {
                    return Err(route.problem(
                        "ECONNRESET",
                        "the server closed the connection during start-up",
                    ));
                }
            }
        }
    }
}

fn parameters(route: &Route) -> Vec<(String, String)> {
    let mut parameters = route.config.startup_parameters();
    if route.refuses_limit.load(Ordering::Relaxed) {
        parameters.retain(|(name, _)| name != "statement_timeout");
    }
    parameters
}

fn settings(route: &Route, stream: &Stream, asking: &Asking<'_>) -> StartupSettings {
    let config = &route.config;
    let login = &config.login;
    StartupSettings {
        database: config.database.to_string(),
        parameters: parameters(route),
        password: asking.known(),
        may_ask: route.passwords.is_some() && !asking.was_asked(),
        encrypted: stream.is_encrypted() || route.host.is_local(),
        allow_cleartext: login.allow_cleartext,
        scram_max_iterations: login.scram_max_iterations.get(),
        minor: login.newest_minor,
        channel_binding: match login.channel_binding {
            ChannelBinding::Disable => None,
            ChannelBinding::Prefer | ChannelBinding::Require => stream
                .server_certificate()
                .and_then(|certificate| Certificate::new(certificate).end_point()),
        },
        require_channel_binding: login.channel_binding == ChannelBinding::Require,
        methods: route.methods,
        ..StartupSettings::new(&*config.user)
    }
}
