//! The task that owns a socket: writes what was encoded, reads what comes, watches the deadlines.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::io::AsyncWrite;
use tokio::time::Sleep;
use tokio_util::io::poll_read_buf;

use crate::conn::doubt::Left;
use crate::conn::request::{Event, Outlet};
use crate::conn::stream::{self, Stream};
use crate::conn::{Closing, Connection, State, cancel};
use crate::error::Error;
use crate::wire::frontend;

/// Bytes read in one turn before other connections get theirs.
const TURN: usize = 256 * 1024;
/// Room offered to a read: small while answers are small, large once a read has filled it.
const SMALL_READ: usize = 16 * 1024;
const LARGE_READ: usize = 128 * 1024;

/// Runs until its connection is over.
pub struct Driver {
    connection: Arc<Connection>,
    timer: Pin<Box<Sleep>>,
    room: usize,
    over: bool,
    /// Have got answers and not heard of it. They hear of it behind the other connections that are ready now, so that one
    /// wake of a JS thread is for all their answers.
    touched: Vec<Arc<dyn Outlet>>,
}

impl Driver {
    /// The driver of a connection that has an owner.
    pub fn new(connection: Arc<Connection>) -> Self {
        Self {
            connection,
            timer: Box::pin(tokio::time::sleep(std::time::Duration::MAX)),
            room: SMALL_READ,
            over: false,
            touched: Vec::new(),
        }
    }

    /// One turn under the lock. `Ready` with the reason when the connection is over.
    fn turn(&mut self, state: &mut State, cx: &mut Context<'_>) -> Poll<Error> {
        let mut budget = TURN;
        loop {
            if !state.read_first
                && let Err(error) = flush(state, cx)
            {
                return Poll::Ready(error);
            }
            match &state.closing {
                Closing::Now(reason) => return Poll::Ready(reason.clone()),
                Closing::Politely if state.exchange.pending() == 0 => {
                    return goodbye(state, cx);
                }
                Closing::Politely | Closing::Open => {}
            }
            if state.exchange.account().is_full(cx.waker()) || state.exchange.copy_is_full() {
                return Poll::Pending;
            }
            let Some(stream) = &mut state.stream else {
                return Poll::Ready(Error::Closed { what: "connection" });
            };
            state.exchange.input.reserve(self.room);
            let read = poll_read_buf(Pin::new(stream), cx, &mut state.exchange.input);
            let Poll::Ready(read) = read else {
                // Of what was there nothing was for us (a TLS session ticket): then writing goes on. What is still there is
                // about to be announced by the reactor.
                if std::mem::take(&mut state.read_first) {
                    state.read_first = state.stream.as_ref().is_some_and(Stream::has_input);
                    if !state.read_first {
                        continue;
                    }
                }
                return Poll::Pending;
            };
            state.read_first = false;
            state.active = (Instant::now(), std::time::SystemTime::now());
            match read {
                Ok(0) => return Poll::Ready(hung_up()),
                Ok(read) => {
                    self.room = if read >= self.room {
                        LARGE_READ
                    } else {
                        SMALL_READ
                    };
                    if let Err(error) = state.exchange.feed() {
                        return Poll::Ready(error);
                    }
                    let running = state.exchange.refuse();
                    state.interrupt(running);
                    budget = budget.saturating_sub(read);
                    if budget == 0 {
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                }
                Err(error) => return Poll::Ready(broken(&error)),
            }
        }
    }

    /// Arms the timer for the next deadline and applies those that have passed.
    fn watch(&mut self, state: &mut State, cx: &mut Context<'_>) {
        loop {
            let give_up = state.cancel.as_ref().map(|cancel| cancel.give_up);
            let Some(next) = state
                .exchange
                .next_deadline()
                .into_iter()
                .chain(give_up)
                .min()
            else {
                return;
            };
            let next = tokio::time::Instant::from_std(next);
            if self.timer.deadline() != next {
                self.timer.as_mut().reset(next);
            }
            if self.timer.as_mut().poll(cx).is_pending() {
                return;
            }
            let now = Instant::now();
            if give_up.is_some_and(|give_up| give_up <= now) {
                state.closing = Closing::Now(Error::Io {
                    code: "ETIMEDOUT",
                    problem: "the server did not answer a cancel request".into(),
                });
                state.cancel = None;
                return;
            }
            let running = state.exchange.expire(now);
            state.interrupt(running);
            state.changed = true;
        }
    }

    fn announce(&mut self) {
        for outlet in self.touched.drain(..) {
            outlet.announce();
        }
    }

    /// Settles everything and tells the owner.
    fn finish(&mut self, cause: Error) {
        self.over = true;
        let (cause, left) = self.close(cause);
        let owner = self.connection.owner.get();
        if let Some(owner) = owner.and_then(std::sync::Weak::upgrade) {
            owner.closed(&self.connection, &cause, left);
            return;
        }
        for doubt in left.doubts {
            doubt.leave_open(None);
        }
        for request in left.unsent {
            request.fail(&Error::Closed { what: "pool" });
        }
    }

    /// Settles what is in flight; returns why it is over and what others have to do.
    fn close(&self, cause: Error) -> (Error, Left) {
        let (cause, left, subscriber) = {
            let mut state = self.connection.lock();
            state.stream = None;
            // Whoever ends a connection himself knows why; of others the server's own words say more than the socket.
            let cause = match cause {
                Error::Closed { .. } => cause,
                cause => state.exchange.last_words().unwrap_or(cause),
            };
            let left = state.exchange.abandon(&self.connection.host, &cause);
            (cause, left, state.exchange.subscriber().cloned())
        };
        if let Some(subscriber) = subscriber {
            let polite = matches!(cause, Error::Closed { .. });
            subscriber.tell(&Event::Ended((!polite).then_some(&cause)));
        }
        (cause, left)
    }
}

impl Drop for Driver {
    /// Comes before the end only after a panic, which the runtime has caught: nobody waits for ever because of it (F01).
    fn drop(&mut self) {
        self.announce();
        if !self.over {
            self.finish(Error::internal("the driver of a connection panicked"));
        }
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let connection = Arc::clone(&self.connection);
        self.announce();
        loop {
            let (turn, report, start_cancel) = {
                let mut state = connection.lock();
                if !state
                    .waker
                    .as_ref()
                    .is_some_and(|waker| waker.will_wake(cx.waker()))
                {
                    state.waker = Some(cx.waker().clone());
                }
                self.watch(&mut state, cx);
                let turn = self.turn(&mut state, cx);
                self.watch(&mut state, cx);
                let started = state
                    .cancel
                    .as_mut()
                    .is_some_and(|cancel| std::mem::take(&mut cancel.wanted));
                let changed = state.changed;
                let report = state.report();
                state.exchange.move_touched(&mut self.touched);
                (
                    turn,
                    (changed || report.finished > 0).then_some(report),
                    started,
                )
            };
            if start_cancel {
                let connection = Arc::clone(&connection);
                tokio::spawn(async move {
                    // One that was not delivered for certain may still arrive: then the connection is given up in time.
                    if cancel::send(&connection.target).await.is_ok() {
                        connection.cancel_delivered();
                    }
                });
            }
            let owner = connection.owner.get().and_then(std::sync::Weak::upgrade);
            let reported = report.is_some();
            if let (Some(report), Some(owner)) = (report, &owner) {
                owner.progressed(&connection, report);
            }
            match turn {
                Poll::Ready(cause) => {
                    self.announce();
                    self.finish(cause);
                    return Poll::Ready(());
                }
                Poll::Pending => {
                    // The owner may have handed over more meanwhile: write it in this turn.
                    let state = connection.lock();
                    let more = !state.exchange.output.is_empty() && reported
                        || matches!(state.closing, Closing::Now(_))
                        || matches!(state.closing, Closing::Politely)
                            && state.exchange.pending() == 0;
                    if !more {
                        if !self.touched.is_empty() {
                            cx.waker().wake_by_ref();
                        }
                        return Poll::Pending;
                    }
                }
            }
        }
    }
}

/// Says Terminate and closes; whether the server still hears it does not matter.
fn goodbye(state: &mut State, cx: &mut Context<'_>) -> Poll<Error> {
    frontend::terminate(&mut state.exchange.output);
    drop(flush(state, cx));
    if let Some(stream) = &mut state.stream {
        let _ = Pin::new(stream).poll_shutdown(cx);
    }
    Poll::Ready(Error::Closed { what: "connection" })
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

fn broken(error: &io::Error) -> Error {
    Error::Io {
        code: stream::code(error),
        problem: error.to_string().into(),
    }
}
