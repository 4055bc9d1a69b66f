//! The task that owns a connection on the engine's thread: has the socket unless an event loop of JS has it on loan,
//! watches the deadlines, and settles the end.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::time::Sleep;

use crate::conn::doubt::Left;
use crate::conn::request::{Event, Outlet};
use crate::conn::turn::{Turn, turn};
use crate::conn::{Closing, Connection, State, cancel};
use crate::error::Error;

/// Runs until its connection is over.
pub struct Driver {
    connection: Arc<Connection>,
    timer: Pin<Box<Sleep>>,
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
            over: false,
            touched: Vec::new(),
        }
    }

    /// Arms the timer for the next deadline and applies those that have passed.
    fn watch(&mut self, state: &mut State, cx: &mut Context<'_>) {
        loop {
            let give_up = state.cancel.as_ref().map(|cancel| cancel.give_up);
            let again = state.cancel.as_ref().and_then(|cancel| cancel.again);
            let Some(next) = state
                .exchange
                .next_deadline()
                .into_iter()
                .chain(give_up)
                .chain(again)
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
                let cancel = state.cancel.take();
                state.is_deaf = cancel.is_some_and(|cancel| !cancel.delivered);
                return;
            }
            if let Some(cancel) = (state.cancel.as_mut())
                .filter(|cancel| cancel.again.is_some_and(|again| again <= now))
            {
                cancel.again = None;
                cancel.delivered = false;
                cancel.wanted = true;
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
        // Behind the last report.
        let _order = self.connection.in_order();
        let owner = self.connection.owner.get();
        let owner = owner.and_then(std::sync::Weak::upgrade);
        // Before anybody hears of the end: he may ask for the next one at once.
        if let Some(owner) = owner.as_ref().filter(|_| self.connection.is_deaf()) {
            owner.avoid(&self.connection);
        }
        let (cause, left) = self.close(cause);
        if let Some(owner) = owner {
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
            let order = connection.in_order();
            let (turn, report, start_cancel) = {
                let mut state = connection.lock();
                if !state
                    .waker
                    .as_ref()
                    .is_some_and(|waker| waker.will_wake(cx.waker()))
                {
                    state.waker = Some(cx.waker().clone());
                }
                state.recall();
                self.watch(&mut state, cx);
                let turn = turn(&mut state, cx);
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
            drop(order);
            match turn {
                Turn::Over(cause) => {
                    self.announce();
                    self.finish(cause);
                    return Poll::Ready(());
                }
                Turn::Done | Turn::Again | Turn::Full => {
                    // The owner may have handed over more meanwhile: write it in this turn.
                    let state = connection.lock();
                    let more = !state.exchange.output.is_empty() && reported
                        || matches!(state.closing, Closing::Now(_))
                        || matches!(state.closing, Closing::Politely(_))
                            && state.exchange.pending() == 0;
                    if !more {
                        if !self.touched.is_empty() || matches!(turn, Turn::Again) {
                            cx.waker().wake_by_ref();
                        }
                        return Poll::Pending;
                    }
                }
            }
        }
    }
}
