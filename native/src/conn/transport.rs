//! A TCP or Unix socket: registered with the engine's reactor, or lent to an event loop of JS.
//!
//! One that is lent is registered with no reactor. Whoever holds the lock of its connection reads and writes it with
//! plain system calls, and hears from the loop when to try again.

use std::io::{self, Read, Write};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;

/// An open socket without TLS.
#[derive(Debug)]
pub enum Transport {
    /// TCP.
    Tcp(TcpStream),
    /// A Unix socket.
    #[cfg(unix)]
    Unix(UnixStream),
    /// On loan.
    Lent(Lent),
    /// The system refused to have it change hands; every operation fails.
    Lost,
}

/// A socket on loan, in non-blocking mode.
#[derive(Debug)]
pub enum Lent {
    /// TCP.
    Tcp(std::net::TcpStream),
    /// A Unix socket.
    #[cfg(unix)]
    Unix(std::os::unix::net::UnixStream),
}

/// Most bytes of one read from a socket on loan.
const PIECE: usize = 64 * 1024;

thread_local! {
    /// Where a read ends up first: initialized once, where the room of the caller would have to be each time.
    static LANDING: std::cell::RefCell<Box<[u8]>> = std::cell::RefCell::new(vec![0; PIECE].into());
}

impl Transport {
    /// Leaves the engine's reactor.
    ///
    /// # Errors
    /// The system's; the socket is lost then.
    pub fn lend(&mut self) -> io::Result<()> {
        *self = match std::mem::replace(self, Self::Lost) {
            Self::Tcp(stream) => Self::Lent(Lent::Tcp(stream.into_std()?)),
            #[cfg(unix)]
            Self::Unix(stream) => Self::Lent(Lent::Unix(stream.into_std()?)),
            other => other,
        };
        Ok(())
    }

    /// Joins the engine's reactor again. To be called on the engine's thread.
    ///
    /// # Errors
    /// The system's; the socket is lost then.
    pub fn take_back(&mut self) -> io::Result<()> {
        *self = match std::mem::replace(self, Self::Lost) {
            Self::Lent(Lent::Tcp(stream)) => Self::Tcp(TcpStream::from_std(stream)?),
            #[cfg(unix)]
            Self::Lent(Lent::Unix(stream)) => Self::Unix(UnixStream::from_std(stream)?),
            other => other,
        };
        Ok(())
    }

    /// Is it on loan?
    pub const fn is_lent(&self) -> bool {
        matches!(self, Self::Lent(_))
    }

    /// Is there something to be read, or the end of the stream? Looks without waiting and without taking anything.
    pub fn has_input(&self) -> bool {
        let mut byte = [MaybeUninit::uninit()];
        let peeked = match self {
            Self::Tcp(stream) => SockRef::from(stream).peek(&mut byte),
            #[cfg(unix)]
            Self::Unix(stream) => SockRef::from(stream).peek(&mut byte),
            Self::Lent(Lent::Tcp(stream)) => SockRef::from(stream).peek(&mut byte),
            #[cfg(unix)]
            Self::Lent(Lent::Unix(stream)) => SockRef::from(stream).peek(&mut byte),
            Self::Lost => return true,
        };
        !matches!(peeked, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Writes without waiting, from any thread. `WouldBlock` when the socket is full.
    pub fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_write(bytes),
            #[cfg(unix)]
            Self::Unix(stream) => stream.try_write(bytes),
            Self::Lent(lent) => lent.write(bytes),
            Self::Lost => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

#[cfg(unix)]
impl std::os::fd::AsFd for Lent {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
        }
    }
}

impl Lent {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = match self {
                Self::Tcp(stream) => stream.read(bytes),
                #[cfg(unix)]
                Self::Unix(stream) => stream.read(bytes),
            };
            match read {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => return read,
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            let written = match self {
                Self::Tcp(stream) => stream.write(bytes),
                #[cfg(unix)]
                Self::Unix(stream) => stream.write(bytes),
            };
            match written {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                written => return written,
            }
        }
    }

    fn shut_down(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.shutdown(std::net::Shutdown::Write),
            #[cfg(unix)]
            Self::Unix(stream) => stream.shutdown(std::net::Shutdown::Write),
        }
    }
}

/// Pending without a waker: the loop is level-triggered and says again that there is something to read; what cannot be
/// written goes back to the engine with the socket.
fn pending_if_blocked<T>(result: io::Result<T>) -> Poll<io::Result<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
        result => Poll::Ready(result),
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            #[cfg(unix)]
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Lent(lent) => LANDING.with_borrow_mut(|landing| {
                let room = landing.len().min(buf.remaining());
                let landing = landing.get_mut(..room).unwrap_or_default();
                let read = ready!(pending_if_blocked(lent.read(landing)))?;
                buf.put_slice(landing.get(..read).unwrap_or_default());
                Poll::Ready(Ok(()))
            }),
            Self::Lost => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            #[cfg(unix)]
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Lent(lent) => pending_if_blocked(lent.write(buf)),
            Self::Lost => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Sockets have no buffer of their own.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            #[cfg(unix)]
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Lent(lent) => Poll::Ready(lent.shut_down()),
            Self::Lost => Poll::Ready(Ok(())),
        }
    }
}
