//! One turn of a connection under its lock: writes what was encoded, reads what has come, whichever side has the socket.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Instant, SystemTime};

use tokio::io::AsyncWrite;
use tokio_util::io::poll_read_buf;

use crate::conn::stream::{self, Stream};
use crate::conn::{Closing, State};
use crate::error::Error;
use crate::wire::frontend;

/// Bytes read in one turn before other connections get theirs.
const TURN: usize = 256 * 1024;
/// Room offered to a read: small while answers are small, large once a read has filled it.
const SMALL_READ: usize = 16 * 1024;
const LARGE_READ: usize = 128 * 1024;

/// How a turn has ended.
pub(super) enum Turn {
    /// Nothing more to do until the socket or a caller says so.
    Done,
    /// There is more to read, in a turn of its own.
    Again,
    /// JS holds so many rows that nothing more is read for now.
    Full,
    /// The connection is over.
    Over(Error),
}

/// Writes and reads as far as the socket allows, within the bounds of one turn.
pub(super) fn turn(state: &mut State, cx: &mut Context<'_>) -> Turn {
    let mut budget = TURN;
    loop {
        if !state.read_first
            && let Err(error) = flush(state, cx)
        {
            return Turn::Over(error);
        }
        match &state.closing {
            Closing::Now(reason) => return Turn::Over(reason.clone()),
            Closing::Politely(what) if state.exchange.pending() == 0 => {
                return goodbye(what, state, cx);
            }
            Closing::Politely(_) | Closing::Open => {}
        }
        if budget == 0 {
            return Turn::Again;
        }
        if state.exchange.account().is_full(cx.waker()) || state.exchange.copy_is_full() {
            return Turn::Full;
        }
        let Some(stream) = &mut state.stream else {
            return Turn::Over(Error::Closed { what: "connection" });
        };
        // A loop says again what is still unread; only TLS may hold bytes back that no socket knows of.
        let once = matches!(stream, Stream::Plain(transport) if transport.is_lent());
        let room = state.room.max(SMALL_READ);
        state.exchange.input.reserve(room);
        let read = poll_read_buf(Pin::new(stream), cx, &mut state.exchange.input);
        let Poll::Ready(read) = read else {
            // Of what was there nothing was for us (a TLS session ticket): then writing goes on. What is still there is
            // about to be announced.
            if std::mem::take(&mut state.read_first) {
                state.read_first = state.stream.as_ref().is_some_and(Stream::has_input);
                if !state.read_first {
                    continue;
                }
            }
            return Turn::Done;
        };
        state.read_first = false;
        state.active = (Instant::now(), SystemTime::now());
        match read {
            Ok(0) => return Turn::Over(hung_up()),
            Ok(read) => {
                state.room = if read >= room { LARGE_READ } else { SMALL_READ };
                if let Err(error) = state.exchange.feed() {
                    return Turn::Over(error);
                }
                let running = state.exchange.refuse();
                state.interrupt(running);
                budget = budget.saturating_sub(read);
                if once && read < SMALL_READ && state.exchange.output.is_empty() {
                    return Turn::Done;
                }
            }
            Err(error) => return Turn::Over(broken(&error)),
        }
    }
}

/// Says Terminate and closes; whether the server still hears it does not matter.
fn goodbye(what: &'static str, state: &mut State, cx: &mut Context<'_>) -> Turn {
    frontend::terminate(&mut state.exchange.output);
    drop(flush(state, cx));
    if let Some(stream) = &mut state.stream {
        let _ = Pin::new(stream).poll_shutdown(cx);
    }
    Turn::Over(Error::Closed { what })
}

fn flush(state: &mut State, cx: &mut Context<'_>) -> Result<(), Error> {
    while !state.exchange.output.is_empty() {
        let Some(stream) = &mut state.stream else {
            return Ok(());
        };
        match Pin::new(stream).poll_write(cx, &state.exchange.output) {
            Poll::Ready(Ok(0)) => return Err(hung_up()),
            Poll::Ready(Ok(written)) => state.wrote(written),
            // The server may have said why before it hung up: reading goes first.
            Poll::Ready(Err(error)) if ends(&error) => {
                drain(state, cx);
                return Err(broken(&error));
            }
            Poll::Ready(Err(error)) => return Err(broken(&error)),
            Poll::Pending => return Ok(()),
        }
    }
    if let Some(Stream::Tls(_)) = &state.stream
        && let Some(stream) = &mut state.stream
        && let Poll::Ready(Err(error)) = Pin::new(stream).poll_flush(cx)
    {
        return Err(broken(&error));
    }
    Ok(())
}

fn ends(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
    )
}

/// Reads what still arrives from a socket that cannot be written to any more.
fn drain(state: &mut State, cx: &mut Context<'_>) {
    let mut budget = TURN;
    while let Some(stream) = &mut state.stream {
        state.exchange.input.reserve(SMALL_READ);
        match poll_read_buf(Pin::new(stream), cx, &mut state.exchange.input) {
            Poll::Ready(Ok(read)) if read > 0 && budget > 0 => {
                budget = budget.saturating_sub(read);
                if state.exchange.feed().is_err() {
                    return;
                }
            }
            _ => return,
        }
    }
}

pub(super) fn hung_up() -> Error {
    Error::Io {
        code: "ECONNRESET",
        problem: "Connection terminated unexpectedly".into(),
    }
}

pub(super) fn broken(error: &io::Error) -> Error {
    match error.kind() {
        // TLS misses the goodbye of a server that has died.
        io::ErrorKind::UnexpectedEof => return hung_up(),
        io::ErrorKind::InvalidData => {
            return Error::Io {
                code: "ERR_TLS",
                problem: format!("TLS failed: {error}").into(),
            };
        }
        _ => {}
    }
    Error::Io {
        code: stream::code(error),
        problem: error.to_string().into(),
    }
}
