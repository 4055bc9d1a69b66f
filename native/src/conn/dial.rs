//! Opens one connection: resolve, connect, TLS, log in, all under one deadline.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::config::{Config, Host, SslMode};
use crate::conn::cancel::Target;
use crate::conn::exchange::{Exchange, Manner};
use crate::conn::stream::{self, Stream};
use crate::conn::tls::Connector;
use crate::conn::{Closing, Connection, State};
use crate::error::{Error, Phase};
use crate::frame::Shapes;
use crate::wire::frontend;
use crate::wire::{Password, Session, Startup, StartupSettings, Step, ssl_answer};

/// How to reach a host, with everything a cancel request needs as well.
#[derive(Clone)]
pub struct Route {
    config: Arc<Config>,
    host: Host,
    tls: Option<Connector>,
    /// `host:port` or the socket path.
    label: Box<str>,
}

/// The address that was reached.
#[derive(Clone, Debug)]
pub enum Address {
    /// TCP.
    Tcp(SocketAddr),
    /// The configured Unix socket.
    Local,
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
        let label = host.to_string().into();
        Ok(Self {
            config,
            host,
            tls,
            label,
        })
    }

    /// The settings of the target.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
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

    fn problem(&self, code: &'static str, problem: impl Into<Box<str>>) -> Error {
        Error::Connect {
            host: self.label.clone(),
            code,
            problem: problem.into(),
        }
    }

    /// Fills in the host the sans-IO start-up does not know.
    fn named(&self, error: Error) -> Error {
        match error {
            Error::Connect { code, problem, .. } => self.problem(code, problem),
            // Nothing was asked yet, so nothing can be in doubt.
            error @ Error::Protocol { .. } => self.problem("ERR_PROTOCOL", error.to_string()),
            error => error,
        }
    }
}

/// Opens and authenticates a connection, within `connect_timeout`.
///
/// Cancel-safe: dropping the future closes the socket.
///
/// # Errors
/// [`Error::Connect`] before the server accepted, [`Error::Refused`] with its refusal, [`Error::Timeout`] when the
/// deadline passed in whatever phase.
pub async fn dial(
    route: &Route,
    slot: usize,
    manner: Manner,
    shapes: Arc<Shapes>,
) -> Result<Connection, Error> {
    let attempt = establish(route, slot, manner, shapes);
    match route.config.connect_timeout {
        None => attempt.await,
        Some(limit) => tokio::time::timeout(limit, attempt)
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

async fn establish(
    route: &Route,
    slot: usize,
    manner: Manner,
    shapes: Arc<Shapes>,
) -> Result<Connection, Error> {
    let mut last = None;
    for address in resolve(route).await? {
        match log_in(route, &address).await {
            Ok((stream, session, input)) => {
                return Ok(assemble(
                    route, slot, manner, shapes, address, stream, session, input,
                ));
            }
            // The server has spoken: another address of the same name would say the same.
            Err(Error::Server(refusal)) => return Err(Error::Refused(refusal)),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| route.problem("ENOTFOUND", "the name has no address")))
}

#[allow(
    clippy::too_many_arguments,
    reason = "the parts of a connection, put together once"
)]
fn assemble(
    route: &Route,
    slot: usize,
    manner: Manner,
    shapes: Arc<Shapes>,
    address: Address,
    stream: Stream,
    session: Session,
    input: BytesMut,
) -> Connection {
    Connection {
        slot,
        host: route.label.clone(),
        pid: session.pid,
        opened: Instant::now(),
        parameters: session.parameters,
        target: Target {
            route: route.clone(),
            address,
            pid: session.pid,
            key: session.key,
        },
        owner: std::sync::OnceLock::new(),
        state: std::sync::Mutex::new(State {
            exchange: Exchange::new(manner, shapes, input),
            stream: Some(stream),
            waker: None,
            closing: Closing::Open,
            cancel: None,
            changed: false,
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
        Host::Tcp { name, port, .. } => match tokio::net::lookup_host((&**name, *port)).await {
            Ok(addresses) => Ok(addresses.map(Address::Tcp).collect()),
            Err(error) => Err(route.problem("ENOTFOUND", error.to_string())),
        },
        Host::Unix { .. } | Host::Abstract { .. } => Ok(vec![Address::Local]),
    }
}

/// Start-up on one address; `prefer` and `allow` make a second attempt as libpq does.
async fn log_in(route: &Route, address: &Address) -> Result<(Stream, Session, BytesMut), Error> {
    let first = authenticate(route, address, route.config.ssl.mode != SslMode::Allow).await;
    match (&first, route.config.ssl.mode) {
        (Err(Error::Server(_)), SslMode::Allow) => authenticate(route, address, true).await,
        (
            Err(
                Error::Connect {
                    code: "ERR_TLS", ..
                }
                | Error::Server(_),
            ),
            SslMode::Prefer,
        ) if route.tls.is_some() => {
            match authenticate(route, address, false).await {
                // Without TLS it was refused as well: the first answer says more.
                Err(_) => first,
                second => second,
            }
        }
        _ => first,
    }
}

async fn authenticate(
    route: &Route,
    address: &Address,
    encrypt: bool,
) -> Result<(Stream, Session, BytesMut), Error> {
    let mut stream = connect(route, address, encrypt).await?;
    let mut startup = Startup::new(settings(route, stream.is_encrypted()))?;
    let (mut input, mut output) = (BytesMut::with_capacity(4096), BytesMut::new());
    startup.first_message(&mut output)?;
    loop {
        if !output.is_empty() {
            stream
                .write_all(&output)
                .await
                .map_err(|error| route.failed(&error))?;
            stream.flush().await.map_err(|error| route.failed(&error))?;
            output.clear();
        }
        match startup
            .feed(&mut input, &mut output)
            .map_err(|error| route.named(error))?
        {
            Step::Done(session) => return Ok((stream, session, input)),
            Step::Derive(derivation) => {
                // Thousands of HMAC rounds: off the thread that serves every other connection (rule A03).
                let derived = tokio::task::spawn_blocking(move || derivation.run())
                    .await
                    .map_err(|error| {
                        Error::internal(format!("SCRAM derivation failed: {error}"))
                    })?;
                startup
                    .derived(derived, &mut output)
                    .map_err(|error| route.named(error))?;
            }
            Step::NeedMore if !output.is_empty() => {}
            Step::NeedMore => {
                let read = stream
                    .read_buf(&mut input)
                    .await
                    .map_err(|error| route.failed(&error))?;
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

fn settings(route: &Route, encrypted: bool) -> StartupSettings {
    let config = &route.config;
    StartupSettings {
        database: config.database.to_string(),
        parameters: config.startup_parameters(),
        password: config
            .password_for(&route.host)
            .map(|password| Password::new(password.expose().to_owned())),
        encrypted: encrypted || route.host.is_local(),
        allow_cleartext: config.allow_cleartext,
        scram_max_iterations: config.scram_max_iterations.get(),
        ..StartupSettings::new(&*config.user)
    }
}

/// A socket that is ready for the startup packet: plain, or after the TLS handshake if `encrypt` and the mode ask for it.
async fn connect(route: &Route, address: &Address, encrypt: bool) -> Result<Stream, Error> {
    let socket = open_socket(route, address).await?;
    let (Some(tls), true, Stream::Tcp(_)) = (&route.tls, encrypt, &socket) else {
        return Ok(socket);
    };
    let Stream::Tcp(mut socket) = socket else {
        return Ok(socket);
    };
    let mut request = BytesMut::new();
    frontend::ssl_request(&mut request);
    socket
        .write_all(&request)
        .await
        .map_err(|error| route.failed(&error))?;
    let mut answer = BytesMut::with_capacity(512);
    let read = socket
        .read_buf(&mut answer)
        .await
        .map_err(|error| route.failed(&error))?;
    if read == 0 {
        return Err(route.problem(
            "ECONNRESET",
            "the server closed the connection when asked for TLS",
        ));
    }
    match ssl_answer(&answer).map_err(|error| route.named(error))? {
        Some(true) => match (&route.host, tls) {
            (Host::Tcp { name, .. }, tls) => tls
                .connect(name, socket)
                .await
                .map(|stream| Stream::Tls(Box::new(stream)))
                .map_err(|error| route.problem("ERR_TLS", error.to_string())),
            _ => Err(Error::internal("TLS on a local socket")),
        },
        _ if route.config.ssl.mode == SslMode::Prefer => Ok(Stream::Tcp(socket)),
        _ => Err(route.problem(
            "ERR_TLS",
            "the server does not offer TLS, but sslmode asks for it",
        )),
    }
}

/// Opens the socket of a cancel request, the way its connection was opened.
pub async fn open(route: &Route, address: &Address) -> Result<Stream, Error> {
    connect(route, address, route.config.ssl.mode != SslMode::Allow).await
}

async fn open_socket(route: &Route, address: &Address) -> Result<Stream, Error> {
    match (address, &route.host) {
        (Address::Tcp(address), _) => {
            let stream = TcpStream::connect(address)
                .await
                .map_err(|error| route.failed(&error))?;
            keep_honest(&stream, &route.config).map_err(|error| route.failed(&error))?;
            Ok(Stream::Tcp(stream))
        }
        #[cfg(unix)]
        (Address::Local, host) => {
            let stream = match (host.socket_path(), host.abstract_name()) {
                (Some(path), _) => tokio::net::UnixStream::connect(path).await,
                // tokio takes a leading NUL as the abstract namespace.
                (None, Some(name)) => tokio::net::UnixStream::connect(format!("\0{name}")).await,
                (None, None) => return Err(Error::internal("a local address without a path")),
            };
            stream
                .map(Stream::Unix)
                .map_err(|error| route.failed(&error))
        }
        #[cfg(not(unix))]
        (Address::Local, _) => {
            Err(route.problem("EAFNOSUPPORT", "Unix sockets do not exist on this platform"))
        }
    }
}

/// Both options are needed: keepalive finds a vanished host while waiting, the user timeout while sending (CP-50).
fn keep_honest(stream: &TcpStream, config: &Config) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    if let Some(keepalive) = &config.keepalive {
        let mut settings = TcpKeepalive::new();
        if let Some(idle) = keepalive.idle {
            settings = settings.with_time(idle);
        }
        if let Some(interval) = keepalive.interval {
            settings = settings.with_interval(interval);
        }
        #[cfg(not(windows))]
        if let Some(count) = keepalive.count {
            settings = settings.with_retries(count.get());
        }
        socket.set_tcp_keepalive(&settings)?;
    }
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket.set_tcp_user_timeout(config.tcp_user_timeout)?;
    Ok(())
}
