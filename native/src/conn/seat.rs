//! Which side reads a connection: its driver on the engine's thread, or an event loop of JS that has it on loan.
//!
//! ```text
//!            submit by the thread of a loop
//!   Engine ────────────────────────────────▶ Loop      under the connection's lock, as every step here
//!          ◀────────────────────────────────
//!            its driver is woken, for whatever reason
//! ```
//!
//! One side at a time reads, because both do it under the lock and look at the seat first. Everything but plain traffic
//! is the driver's: whoever wants a cancel, a deadline, an end or a COPY wakes the driver, and that recalls the socket.
//! A loop that is late loses it in the same way ([`EventLoop`] has it watched).

use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use crate::config::Driver;
use crate::conn::event_loop::EventLoop;
use crate::conn::request::Request;
use crate::conn::stream::Stream;
use crate::conn::turn::{Turn, turn};
use crate::conn::{Closing, Connection, State};
use crate::error::Error;

/// A deadline this near is watched by the engine from the start; later ones once it has looked after the loan.
const SOON: Duration = Duration::from_millis(50);

/// Who asks, and what that thread may do by itself.
#[derive(Clone, Copy)]
pub enum Origin<'a> {
    /// Any thread: the driver writes.
    Engine,
    /// A JS thread that awaits nothing else: it writes at once, which saves a hop.
    Alone,
    /// The thread of this event loop: it writes at the end of its turn, and reads the answer.
    Loop(&'a Arc<EventLoop>),
}

/// The side that has the socket.
pub(super) enum Seat {
    /// The driver.
    Engine,
    /// An event loop.
    Loop(Loan),
}

/// Who writes a request that was just encoded.
enum Writer {
    /// The event loop, at the end of its turn or of the connection's.
    Turn,
    /// The thread that asks, at once.
    Caller,
    /// The driver, once it is woken.
    Driver,
}

/// What is known about a loan.
pub(super) struct Loan {
    to: Arc<EventLoop>,
    /// Its number there.
    number: usize,
    /// The loop has done something on it since it was last looked at.
    is_fresh: bool,
    /// The loop will write what was encoded, at the end of its turn or of the connection's.
    is_noted: bool,
}

impl Connection {
    /// Takes a request, encodes it as far as the rules of the connection allow, and has it written.
    ///
    /// # Errors
    /// Gives the request back when the connection is over or about to be.
    pub fn submit(
        self: &Arc<Self>,
        request: Request,
        origin: Origin<'_>,
    ) -> Result<(), Box<Request>> {
        let mut state = self.lock();
        if state.stream.is_none() || !matches!(state.closing, Closing::Open) {
            return Err(Box::new(request));
        }
        if request.told {
            let address = self.address().to_string();
            let waited = request.since.elapsed();
            request.reply.placed(waited, &self.host, &address);
        }
        let patience = request.timeout.or(self.limit);
        if let Origin::Loop(to) = origin
            && self.driver != Driver::Engine
            && matches!(state.seat, Seat::Engine)
            && patience.is_none_or(|patience| patience > SOON)
        {
            self.lend(&mut state, to);
        }
        state.look_before();
        state.exchange.push(request);
        // A request that could not be encoded is answered already, and the owner has to hear of it.
        let refused = state.exchange.has_news();
        let writer = match (&mut state.seat, origin) {
            (Seat::Loop(loan), Origin::Loop(to)) if Arc::ptr_eq(&loan.to, to) => {
                loan.is_fresh = true;
                if !std::mem::replace(&mut loan.is_noted, true) {
                    to.note(self);
                }
                Writer::Turn
            }
            (Seat::Loop(loan), _) if loan.is_noted => Writer::Turn,
            (Seat::Engine, Origin::Engine) => Writer::Driver,
            _ => Writer::Caller,
        };
        if matches!(writer, Writer::Caller) {
            state.write_now();
        }
        let is_left = !matches!(writer, Writer::Turn) && !state.exchange.output.is_empty();
        // Of a loan the engine looks after later deadlines.
        let unlent = matches!(state.seat, Seat::Engine);
        let is_timed = patience.is_some_and(|patience| unlent || patience <= SOON);
        if is_left || is_timed || refused {
            let waker = state.waker.take();
            drop(state);
            if let Some(waker) = waker {
                waker.wake();
            }
        }
        Ok(())
    }

    /// Lends the socket, if the loop can take it.
    fn lend(self: &Arc<Self>, state: &mut State, to: &Arc<EventLoop>) {
        let State {
            stream: Some(stream),
            cancel: None,
            is_deaf: false,
            ..
        } = state
        else {
            return;
        };
        let transport = stream.transport_mut();
        // What is refused by the system half-way shows as soon as somebody reads or writes.
        if transport.lend().is_err() {
            state.call_driver();
            return;
        }
        match to.admit(self, transport) {
            Some(number) => {
                state.seat = Seat::Loop(Loan {
                    to: Arc::clone(to),
                    number,
                    is_fresh: true,
                    is_noted: false,
                });
            }
            None => state.call_driver(),
        }
    }

    /// The end of a turn: what was encoded in it goes out.
    pub(super) fn write_noted(&self) {
        let mut state = self.lock();
        if let Seat::Loop(loan) = &mut state.seat {
            loan.is_noted = false;
            state.write_now();
        }
        // TLS may have taken what the socket has not.
        if !state.exchange.output.is_empty() || state.wants_write() {
            state.call_driver();
        }
    }

    /// The loop has heard that there is something to read. Never blocks for longer than one turn of work.
    pub(super) fn loop_turn(self: &Arc<Self>) {
        let mut guard = Unwound(Some(self));
        let mut touched = Vec::new();
        let order = self.in_order();
        let (report, was_noted) = {
            let mut state = self.lock();
            let Seat::Loop(loan) = &mut state.seat else {
                guard.0 = None;
                return;
            };
            loan.is_fresh = true;
            let was_noted = std::mem::replace(&mut loan.is_noted, true);
            let turned = turn(&mut state, &mut Context::from_waker(Waker::noop()));
            let plain = matches!(turned, Turn::Done)
                && state.exchange.output.is_empty()
                && !state.wants_write()
                && state.cancel.is_none()
                && matches!(state.closing, Closing::Open);
            if let Turn::Over(cause) = turned {
                state.closing = Closing::Now(cause);
            }
            if !plain {
                state.call_driver();
            }
            let changed = state.changed;
            let report = state.report();
            state.exchange.move_touched(&mut touched);
            let report = (changed || report.finished > 0).then_some(report);
            (report, was_noted)
        };
        if let Some(report) = report
            && let Some(owner) = self.owner.get().and_then(std::sync::Weak::upgrade)
        {
            owner.progressed(self, report);
        }
        drop(order);
        // All that the owner has handed over meanwhile goes out at once.
        if !was_noted {
            self.write_noted();
        }
        guard.0 = None;
        for outlet in touched {
            outlet.announce();
        }
    }

    /// The engine's watch over loans: takes back a socket that its loop has not touched since the last look, and one with
    /// a deadline that comes near, because only the driver knows the time.
    /// `true` when there was something to read meanwhile: then the loop is late.
    pub(super) fn look_after(&self) -> bool {
        let mut state = self.lock();
        let Seat::Loop(loan) = &mut state.seat else {
            return false;
        };
        let fresh = std::mem::take(&mut loan.is_fresh);
        let deadline = state.exchange.next_deadline();
        let due = deadline.is_some_and(|deadline| deadline <= Instant::now() + SOON);
        if fresh && due {
            state.call_driver();
        }
        if fresh {
            return false;
        }
        let late = state.stream.as_ref().is_some_and(Stream::has_input);
        state.call_driver();
        late
    }
}

/// Ends a connection whose turn was interrupted by a panic: nobody waits for ever because of it (F01).
struct Unwound<'a>(Option<&'a Arc<Connection>>);

impl Drop for Unwound<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.0 {
            connection.discard(Error::internal("a turn of a connection panicked"));
        }
    }
}

impl State {
    /// Has the driver look, which recalls the socket.
    pub(super) fn call_driver(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// The engine has the socket from now on. To be called on its thread.
    pub(super) fn recall(&mut self) {
        let Some(stream) = &mut self.stream else {
            self.seat = Seat::Engine;
            return;
        };
        let transport = stream.transport_mut();
        if let Seat::Loop(loan) = std::mem::replace(&mut self.seat, Seat::Engine) {
            loan.to.dismiss(loan.number, transport);
        }
        // What fails here shows in the read that follows.
        let _ = transport.take_back();
    }

    /// Has TLS something for a socket that was full?
    fn wants_write(&self) -> bool {
        self.stream.as_ref().is_some_and(Stream::wants_write)
    }

    /// Writes what the socket takes without waiting. Errors are left to the driver, which sees them too.
    fn write_now(&mut self) {
        if self.read_first {
            return;
        }
        while let (false, Some(stream)) = (self.exchange.output.is_empty(), &mut self.stream) {
            let Ok(written) = stream.try_write(&self.exchange.output) else {
                return;
            };
            self.wrote(written);
        }
    }
}
