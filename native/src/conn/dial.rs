//! Opens one connection: resolve, connect, TLS, log in, all under one deadline.

use std::future::Future;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};

use bytes::BytesMut;

use crate::config::{Config, Host};
use crate::conn::aside::{HELPERS, Undone};
use crate::conn::cancel::Target;
use crate::conn::exchange::{Exchange, Manner};
use crate::conn::login::log_in;
use crate::conn::passwords::Passwords;
use crate::conn::role::Reported;
use crate::conn::seat::Seat;
use crate::conn::stream::{self, Stream};
use crate::conn::tls::{self, Connector};
use crate::conn::{Closing, Connection, State};
use crate::error::{Error, NO_THREAD, Phase};
use crate::frame::Shapes;
use crate::wire::{AuthMethods, Session};

/// The number of the next connection of this process.
static SERIAL: AtomicU32 = AtomicU32::new(1);

/// How to reach a host, with everything a cancel request needs as well.
#[derive(Clone)]
pub struct Route {
    pub(super) config: Arc<Config>,
    pub(super) host: Host,
    /// `None`: never.
    pub(super) tls: Option<Connector>,
    /// Methods the server may ask for.
    pub(super) methods: AuthMethods,
    /// A function that passwords come from.
    pub(super) passwords: Option<Arc<dyn Passwords>>,
    /// The other side does not take `statement_timeout`: the limit is kept here (CP-52).
    pub(super) refuses_limit: Arc<AtomicBool>,
    /// `host:port` or the socket path.
    label: Box<str>,
}

/// The address that was reached.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// TCP.
    Tcp(SocketAddr),
    /// The configured Unix socket.
    Local,
}

impl std::fmt::Display for Address {
    /// Address and port; nothing for a socket, which the host names already.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Local => Ok(()),
        }
    }
}

impl Route {
    /// The route to one host of a target.
    ///
    /// # Errors
    /// [`Error::Config`] when the TLS settings cannot be used.
    pub fn new(config: Arc<Config>, host: Host) -> Result<Self, Error> {
        let tls = if host.is_local() {
            None
        } else {
            Connector::new(&config.ssl)?
        };
        let methods = AuthMethods::parse(config.login.require_auth.as_deref().unwrap_or(""))?;
        let label = host.to_string().into();
        Ok(Self {
            config,
            host,
            tls,
            methods,
            passwords: None,
            refuses_limit: Arc::default(),
            label,
        })
    }

    /// The same route with passwords from a function of the caller's.
    #[must_use]
    pub fn with_passwords(self, passwords: Option<Arc<dyn Passwords>>) -> Self {
        Self { passwords, ..self }
    }

    /// `host:port` or the socket path.
    #[must_use]
    pub const fn label(&self) -> &str {
        &self.label
    }

    /// What an address of the host is called among all nodes.
    #[must_use]
    pub fn name_of(&self, address: &Address) -> Box<str> {
        match address {
            Address::Tcp(address) => address.to_string().into(),
            Address::Local => self.label.clone(),
        }
    }

    /// The longest a statement may take, where its connections have to see to that themselves.
    fn own_limit(&self) -> Option<Duration> {
        let refused = self.refuses_limit.load(Ordering::Relaxed);
        self.config.statement_timeout.filter(|_| refused)
    }

    /// Is its address looked up?
    #[must_use]
    pub const fn is_named(&self) -> bool {
        matches!(&self.host, Host::Tcp { address: None, .. })
    }

    /// The settings of the target.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The same route for a connection of another name.
    #[must_use]
    pub fn under(&self, application_name: Box<str>) -> Self {
        let mut config = Config::clone(&self.config);
        config.application_name = Some(application_name);
        Self {
            config: Arc::new(config),
            ..self.clone()
        }
    }

    /// An attempt failed before the server accepted it.
    #[must_use]
    pub fn failed(&self, error: &std::io::Error) -> Error {
        Error::Connect {
            host: self.label.clone(),
            code: stream::code(error),
            problem: error.to_string().into(),
        }
    }

    /// A TLS connection failed, in the handshake or after it.
    pub(super) fn tls_failed(&self, (code, problem): tls::Failure) -> Error {
        self.problem(code, problem)
    }

    /// Reading or writing failed during the login. An alert of TLS 1.3 about our certificate comes as late as this.
    pub(super) fn broken(&self, error: &std::io::Error) -> Error {
        if error
            .get_ref()
            .is_some_and(<dyn std::error::Error + Send + Sync>::is::<rustls::Error>)
        {
            let (_, problem) = tls::failure(error, &self.label);
            return self.problem("ERR_TLS_ALERT", problem);
        }
        self.failed(error)
    }

    pub(super) fn problem(&self, code: &'static str, problem: impl Into<Box<str>>) -> Error {
        Error::Connect {
            host: self.label.clone(),
            code,
            problem: problem.into(),
        }
    }

    /// What connecting needs could not be done on a thread of its own.
    pub(super) fn undone(&self, work: &str, undone: Undone) -> Error {
        match undone {
            Undone::NoThread(error) => self.problem(
                NO_THREAD,
                format!(
                    "the system refuses the thread that {work} needs ({error}); raise its limit of processes and threads \
                     (ulimit -u, or pids.max of the container)"
                ),
            ),
            Undone::Panicked => self.named(Error::internal(format!("{work} has panicked"))),
        }
    }

    /// Fills in the host the sans-IO start-up does not know.
    pub(super) fn named(&self, error: Error) -> Error {
        match error {
            Error::Connect { code, problem, .. } => self.problem(code, problem),
            // Nothing was asked yet, so nothing can be in doubt.
            error @ Error::Protocol { .. } => self.problem("ERR_PROTOCOL", error.to_string()),
            error @ Error::Internal { .. } => self.problem("ERR_INTERNAL", error.to_string()),
            error => error,
        }
    }
}

/// The addresses of a host, looked up anew, within `connect_timeout`.
///
/// Cancel-safe: a lookup that nobody waits for any more ends by itself.
///
/// # Errors
/// [`Error::Connect`] when the name has no address, [`Error::Timeout`].
pub async fn addresses(route: &Route) -> Result<Vec<Address>, Error> {
    within(route, Duration::ZERO, resolve(route)).await
}

/// Opens and authenticates a connection to one address, within `connect_timeout`.
///
/// Cancel-safe: dropping the future closes the socket.
///
/// # Errors
/// [`Error::Connect`] before the server accepted, [`Error::Refused`] with its refusal, [`Error::Timeout`] when the
/// deadline passed in whatever phase.
pub async fn dial(
    route: &Route,
    address: Address,
    node: usize,
    manner: Manner,
    shapes: Arc<Shapes>,
) -> Result<Connection, Error> {
    let logged_in = within(route, Duration::ZERO, log_in(route, &address)).await;
    match logged_in {
        Ok((stream, session, input)) => Ok(assemble(
            route, node, manner, shapes, address, stream, session, input,
        )),
        Err(Error::Server(mut refusal)) => {
            refusal.host = Some(route.label.clone());
            Err(Error::Refused(refusal))
        }
        Err(error) => Err(route.named(error)),
    }
}

/// An attempt, or the part of it that is left where so much of `connect_timeout` is spent already.
///
/// # Errors
/// Those of the attempt, [`Error::Timeout`].
pub async fn within<T>(
    route: &Route,
    spent: Duration,
    attempt: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    match route.config.connect_timeout {
        None => attempt.await,
        Some(limit) => tokio::time::timeout(limit.saturating_sub(spent), attempt)
            .await
            .unwrap_or_else(|_| {
                Err(Error::Timeout {
                    phase: Phase::Connect,
                    after: limit,
                    outcome: crate::error::Outcome::NotSent,
                })
            }),
    }
}

#[allow(
    clippy::too_many_arguments,
    reason = "the parts of a connection, put together once"
)]
fn assemble(
    route: &Route,
    node: usize,
    manner: Manner,
    shapes: Arc<Shapes>,
    address: Address,
    stream: Stream,
    session: Session,
    input: BytesMut,
) -> Connection {
    let encrypted = stream.is_encrypted();
    let reported = Reported::at_login(&session.parameters);
    let driver = manner.driver;
    let mut exchange = Exchange::new(manner, shapes, input, reported);
    let limit = route.own_limit();
    if let Some(limit) = limit {
        exchange.limit(limit);
    }
    exchange.note_backend(session.pid, route.label());
    for (name, value) in &session.parameters {
        exchange.note_parameter(name, value);
    }
    Connection {
        slot: 0,
        node,
        driver,
        host: route.label.clone(),
        name: route.name_of(&address),
        limit,
        serial: SERIAL.fetch_add(1, Ordering::Relaxed),
        pid: session.pid,
        parameters: session.parameters,
        told: std::sync::atomic::AtomicU8::new(0),
        target: Target {
            route: route.clone(),
            address,
            encrypted,
            pid: session.pid,
            key: session.key,
        },
        owner: std::sync::OnceLock::new(),
        keeper: std::sync::OnceLock::new(),
        order: std::sync::Mutex::new(()),
        state: std::sync::Mutex::new(State {
            exchange,
            stream: Some(stream),
            seat: Seat::Engine,
            room: 0,
            waker: None,
            closing: Closing::Open,
            cancel: None,
            is_deaf: false,
            changed: false,
            active: (Instant::now(), SystemTime::now()),
            read_first: false,
        }),
    }
}

async fn resolve(route: &Route) -> Result<Vec<Address>, Error> {
    match &route.host {
        Host::Tcp {
            address: Some(ip),
            port,
            ..
        } => Ok(vec![Address::Tcp(SocketAddr::new(*ip, *port))]),
        Host::Tcp { name, port, .. } => look_up(route, name.clone(), *port).await,
        Host::Unix { .. } | Host::Abstract { .. } => Ok(vec![Address::Local]),
    }
}

/// Asks the system, which may take its time, unless the name is an address.
async fn look_up(route: &Route, name: Box<str>, port: u16) -> Result<Vec<Address>, Error> {
    if let Ok(ip) = name.parse::<IpAddr>() {
        return Ok(vec![Address::Tcp(SocketAddr::new(ip, port))]);
    }
    let found = HELPERS
        .run(move || (&*name, port).to_socket_addrs())
        .await
        .map_err(|undone| route.undone("looking up a name", undone))?;
    match found {
        Ok(addresses) => alternate(addresses)
            .ok_or_else(|| route.problem("ENOTFOUND", "the name has no address")),
        Err(error) => Err(route.problem(lookup_code(&error), error.to_string())),
    }
}

/// What Node calls a lookup that failed. std says it in words only: those of glibc, musl and the BSDs, never translated,
/// because Node leaves the language of messages alone.
fn lookup_code(error: &std::io::Error) -> &'static str {
    let text = error.to_string();
    let says = |words: [&str; 2]| words.iter().any(|words| text.contains(words));
    if says(["Temporary failure in name resolution", "Try again"]) {
        "EAI_AGAIN"
    } else if says(["Non-recoverable failure", "Non-recoverable error"]) {
        "EAI_FAIL"
    } else if says(["Memory allocation failure", "Out of memory"]) {
        "EAI_MEMORY"
    } else {
        "ENOTFOUND"
    }
}

/// Addresses alternating by family, so that a family without a way out costs one attempt (RFC 8305); `None` without any.
fn alternate(addresses: impl Iterator<Item = SocketAddr>) -> Option<Vec<Address>> {
    let mut unique: Vec<SocketAddr> = Vec::new();
    for address in addresses {
        if !unique.contains(&address) {
            unique.push(address);
        }
    }
    let first_is_v6 = unique.first()?.is_ipv6();
    let (own, other): (Vec<_>, Vec<_>) = unique
        .into_iter()
        .partition(|address| address.is_ipv6() == first_is_v6);
    let (mut own, mut other) = (own.into_iter(), other.into_iter());
    let mut mixed = Vec::new();
    loop {
        let pair = [own.next(), other.next()];
        if pair == [None, None] {
            return Some(mixed);
        }
        mixed.extend(pair.into_iter().flatten().map(Address::Tcp));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_lookup_has_the_code_of_node() {
        for (said, code) in [
            ("Name or service not known", "ENOTFOUND"),
            ("No address associated with hostname", "ENOTFOUND"),
            ("Name does not resolve", "ENOTFOUND"),
            ("Temporary failure in name resolution", "EAI_AGAIN"),
            ("Try again", "EAI_AGAIN"),
            ("Non-recoverable failure in name resolution", "EAI_FAIL"),
            ("Memory allocation failure", "EAI_MEMORY"),
        ] {
            let text = format!("failed to lookup address information: {said}");
            assert_eq!(lookup_code(&std::io::Error::other(text)), code, "{said}");
        }
    }
}
