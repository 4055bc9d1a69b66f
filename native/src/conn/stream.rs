//! The socket of one connection: TCP, Unix, or TLS over TCP.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::client::TlsStream;

use crate::conn::transport::Transport;

/// Most bytes of one TLS record. No more is encrypted at a time: of a call that fails tokio-rustls does not tell what had
/// gone out before, and of one record the other side can read nothing until it has all of it.
const RECORD: usize = 16 * 1024;

/// An open socket.
#[derive(Debug)]
pub enum Stream {
    /// In plain text.
    Plain(Transport),
    /// TLS over TCP.
    Tls(Box<TlsStream<Transport>>),
}

impl Stream {
    /// Writes without waiting, from any thread. `WouldBlock` when the socket is full or must be driven by its task.
    pub fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(transport) => transport.try_write(bytes),
            Self::Tls(stream) if stream.get_ref().0.is_lent() => {
                let mut cx = Context::from_waker(Waker::noop());
                match Pin::new(&mut **stream).poll_write(&mut cx, record(bytes)) {
                    // What rustls has taken is on its way: the flush that sends the rest is whoever's turn it is next.
                    Poll::Ready(written) => {
                        let _ = Pin::new(&mut **stream).poll_flush(&mut cx);
                        written
                    }
                    Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
                }
            }
            Self::Tls(_) => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// The socket under it.
    pub fn transport(&self) -> &Transport {
        match self {
            Self::Plain(transport) => transport,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }

    /// The socket under it.
    pub fn transport_mut(&mut self) -> &mut Transport {
        match self {
            Self::Plain(transport) => transport,
            Self::Tls(stream) => stream.get_mut().0,
        }
    }

    /// The certificate the server has shown, in DER.
    pub fn server_certificate(&self) -> Option<&[u8]> {
        match self {
            Self::Tls(stream) => stream
                .get_ref()
                .1
                .peer_certificates()?
                .first()
                .map(AsRef::as_ref),
            Self::Plain(_) => None,
        }
    }

    /// Is there something to be read, or the end of the stream? Looks without waiting and without taking anything.
    pub fn has_input(&self) -> bool {
        self.transport().has_input()
    }

    /// Is the traffic encrypted?
    pub const fn is_encrypted(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Is there something that was taken to be written and is not written yet?
    pub fn wants_write(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(stream) => stream.get_ref().1.wants_write(),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_write(cx, record(buf)),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_shutdown(cx),
        }
    }
}

/// What of the bytes one record holds.
fn record(bytes: &[u8]) -> &[u8] {
    bytes.get(..RECORD).unwrap_or(bytes)
}

/// The system's code of an I/O error, as Node spells it.
#[must_use]
pub fn code(error: &io::Error) -> &'static str {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::ConnectionRefused => "ECONNREFUSED",
        Kind::ConnectionReset | Kind::UnexpectedEof => "ECONNRESET",
        Kind::ConnectionAborted => "ECONNABORTED",
        Kind::NotConnected => "ENOTCONN",
        Kind::AddrNotAvailable => "EADDRNOTAVAIL",
        Kind::BrokenPipe => "EPIPE",
        Kind::TimedOut => "ETIMEDOUT",
        Kind::HostUnreachable => "EHOSTUNREACH",
        Kind::NetworkUnreachable => "ENETUNREACH",
        Kind::NotFound => "ENOENT",
        Kind::PermissionDenied => "EACCES",
        Kind::OutOfMemory => "ENOMEM",
        // The queue of a Unix socket is full.
        Kind::WouldBlock => "EAGAIN",
        // Numbers that every Unix has in common.
        _ => match error.raw_os_error() {
            Some(23) => "ENFILE",
            Some(24) => "EMFILE",
            _ => "EIO",
        },
    }
}
