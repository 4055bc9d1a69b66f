//! Opens the socket under a connection, and encrypts it where that is agreed on.

use bytes::BytesMut;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::config::{Config, Host};
use crate::conn::dial::{Address, Route};
use crate::conn::stream::Stream;
use crate::conn::transport::Transport;
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
        Stream::Plain(socket) if encryption != Encryption::No => socket,
        socket => return Ok(socket),
    };
    if !tls.is_direct() && !ask_for_tls(route, &mut socket).await? {
        return if encryption == Encryption::Must {
            Err(route.problem(
                "ERR_TLS_UNAVAILABLE",
                "the server does not offer TLS, but sslmode asks for it",
            ))
        } else {
            Ok(Stream::Plain(socket))
        };
    }
    let stream = tls
        .connect(name, socket)
        .await
        .map(|stream| Stream::Tls(Box::new(stream)))
        .map_err(|failure| route.tls_failed(failure))?;
    judge(route, name, &stream).await?;
    Ok(stream)
}

/// Has the caller's function look at the certificate, before anything is said on the connection.
async fn judge(route: &Route, name: &str, stream: &Stream) -> Result<(), Error> {
    let ssl = &route.config.ssl;
    if !ssl.identity_function {
        return Ok(());
    }
    let (Some(functions), Some(certificate)) = (&route.passwords, stream.server_certificate())
    else {
        return Err(Error::config(
            "ssl.checkServerIdentity",
            "needs the thread of its function, which a blocking connect has stopped; connect without blocking",
        ));
    };
    let name = ssl.server_name.as_deref().unwrap_or(name);
    let verdict = functions.judge(name, certificate).await;
    verdict.map_err(|error| route.named(error))
}

/// Does the server agree to go on with TLS?
async fn ask_for_tls(route: &Route, socket: &mut Transport) -> Result<bool, Error> {
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
            Ok(Stream::Plain(Transport::Tcp(stream)))
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
                .map(|stream| Stream::Plain(Transport::Unix(stream)))
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use crate::config::{Settings, Surroundings};

    /// A socket to nobody in particular, with the options that `settings` asks for.
    fn options_of(settings: &str) -> (bool, Option<Duration>, Option<Duration>) {
        let surroundings = Surroundings {
            environment: BTreeMap::new(),
            os_user: Some("u".into()),
            home: None,
        };
        let config = Settings::from_json(settings)
            .and_then(|settings| settings.build(&surroundings))
            .unwrap()
            .config;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let stream = TcpStream::connect(address).await.unwrap();
            keep_honest(&stream, &config).unwrap();
            assert!(stream.nodelay().unwrap());
            let socket = SockRef::from(&stream);
            let is_on = socket.keepalive().unwrap();
            if is_on && settings == "{}" {
                assert_eq!(socket.tcp_keepalive_interval().unwrap().as_secs(), 1);
                assert_eq!(socket.tcp_keepalive_retries().unwrap(), 3);
            }
            let idle = is_on.then(|| socket.tcp_keepalive_time().unwrap());
            #[cfg(target_os = "linux")]
            let user_timeout = socket.tcp_user_timeout().unwrap();
            #[cfg(not(target_os = "linux"))]
            let user_timeout = config.tcp_user_timeout;
            (is_on, idle, user_timeout)
        })
    }

    #[cfg(unix)]
    #[test]
    fn cp50_sockets_have_the_options_that_find_a_dead_peer() {
        let second = |seconds| Some(Duration::from_secs(seconds));
        for (settings, expected) in [
            ("{}", (true, second(5), second(8))),
            (
                r#"{"keepalive":{"idleMs":9000},"tcpUserTimeoutMs":3000}"#,
                (true, second(9), second(3)),
            ),
            (
                r#"{"connectionString":"keepalives_idle=7 tcp_user_timeout=2000"}"#,
                (true, second(7), second(2)),
            ),
            (
                r#"{"connectionString":"keepalives=0 tcp_user_timeout=0"}"#,
                (false, None, None),
            ),
        ] {
            assert_eq!(options_of(settings), expected, "{settings}");
        }
    }
}
