//! Opens the socket under a connection, and encrypts it where that is agreed on.

use bytes::BytesMut;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::config::{Config, Host};
use crate::conn::dial::{Address, Route};
use crate::conn::stream::Stream;
use crate::error::Error;
use crate::wire::{frontend, ssl_answer};

/// What a connection must be before anything is said on it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Encryption {
    /// Plain.
    No,
    /// Encrypted if the server offers it.
    Offered,
    /// Encrypted.
    Must,
}

/// A socket that is ready for the startup packet: plain, or after the TLS handshake.
pub(super) async fn connect(
    route: &Route,
    address: &Address,
    encryption: Encryption,
) -> Result<Stream, Error> {
    let socket = open_socket(route, address).await?;
    let (Some(tls), Host::Tcp { name, .. }) = (&route.tls, &route.host) else {
        return Ok(socket);
    };
    let mut socket = match socket {
        Stream::Tcp(socket) if encryption != Encryption::No => socket,
        socket => return Ok(socket),
    };
    if !tls.is_direct() && !ask_for_tls(route, &mut socket).await? {
        return if encryption == Encryption::Must {
            Err(route.problem(
                "ERR_TLS",
                "the server does not offer TLS, but sslmode asks for it",
            ))
        } else {
            Ok(Stream::Tcp(socket))
        };
    }
    tls.connect(name, socket)
        .await
        .map(|stream| Stream::Tls(Box::new(stream)))
        .map_err(|failure| route.tls_failed(failure))
}

/// Does the server agree to go on with TLS?
async fn ask_for_tls(route: &Route, socket: &mut TcpStream) -> Result<bool, Error> {
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
    let answer = ssl_answer(&answer).map_err(|error| route.named(error))?;
    Ok(answer == Some(true))
}

/// Opens the socket of a cancel request, as its connection was: encrypted, or not.
pub(super) async fn open(
    route: &Route,
    address: &Address,
    encrypted: bool,
) -> Result<Stream, Error> {
    let encryption = if encrypted {
        Encryption::Must
    } else {
        Encryption::No
    };
    connect(route, address, encryption).await
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
