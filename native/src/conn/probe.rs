//! Questions to a connection that nobody drives yet: is it still there, and what is it now?

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::AsyncWrite;
use tokio_util::io::poll_read_buf;

use crate::conn::request::{LocalResult, Parameters, Reply, Request, Work};
use crate::conn::role::Role;
use crate::conn::statement::{Naming, NumberedProfile, Statement};
use crate::conn::{Connection, State, turn};
use crate::error::{Error, Outcome, Phase};
use crate::wire::frontend;

/// Room offered to a read.
const READ: usize = 4096;

impl Connection {
    /// Has the server report what has changed: one Sync, no query.
    ///
    /// Cancel-safe in that a connection whose question was dropped must be dismissed.
    ///
    /// # Errors
    /// The connection is over.
    pub async fn look(&mut self, patience: Duration) -> Result<Role, Error> {
        let state = self.exclusive();
        state.exchange.sync();
        converse(state, patience).await?;
        Ok(state.exchange.role())
    }

    /// Runs a statement of the engine and gives its rows as text.
    ///
    /// Cancel-safe in that a connection whose question was dropped must be dismissed.
    ///
    /// # Errors
    /// The server's error, or the connection is over.
    pub async fn ask(
        &mut self,
        text: &str,
        profile: &Arc<NumberedProfile>,
        patience: Duration,
    ) -> Result<LocalResult, Error> {
        let (reply, answer) = Reply::local();
        let work = Work::Execute {
            statement: Statement::intern(text)?,
            params: Parameters::none(),
            naming: Naming::Unnamed,
            begin: None,
        };
        let state = self.exclusive();
        let mut request = Request::new(work, reply, Arc::clone(profile));
        // It asks what the server is: a check in front would send it elsewhere.
        request.is_checked = true;
        state.exchange.push(request);
        converse(state, patience).await?;
        // Counted for the owner, who knows nothing of it.
        state.exchange.report();
        answer
            .await
            .unwrap_or(Err(Error::Closed { what: "connection" }))
    }

    /// Does the server report its role by itself?
    pub fn reports(&mut self) -> bool {
        self.exclusive().exchange.reports()
    }

    /// A query has shown what the server does not report.
    pub fn shown(&mut self, role: Role) {
        self.exclusive().exchange.shown(role);
    }

    /// Says goodbye, as far as the socket takes it, and closes.
    pub fn dismiss(mut self) {
        let state = self.exclusive();
        if let Some(stream) = &mut state.stream {
            let mut goodbye = bytes::BytesMut::new();
            frontend::terminate(&mut goodbye);
            // Whether the server still hears it does not matter.
            let _ = stream.try_write(&goodbye);
        }
    }

    pub(super) fn exclusive(&mut self) -> &mut State {
        self.state
            .get_mut()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Writes what is to be written and reads until everything is answered.
pub(super) async fn converse(state: &mut State, patience: Duration) -> Result<(), Error> {
    tokio::time::timeout(patience, poll_fn(|cx| round(state, cx)))
        .await
        .unwrap_or(Err(Error::Timeout {
            phase: Phase::Connect,
            after: patience,
            outcome: Outcome::NotSent,
        }))
}

fn round(state: &mut State, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
    loop {
        let Some(stream) = &mut state.stream else {
            return Poll::Ready(Err(Error::Closed { what: "connection" }));
        };
        if !state.exchange.output.is_empty() {
            match Pin::new(&mut *stream).poll_write(cx, &state.exchange.output) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(turn::hung_up())),
                Poll::Ready(Ok(written)) => {
                    state.wrote(written);
                    continue;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(turn::broken(&error))),
                Poll::Pending => {}
            }
        }
        if let Poll::Ready(Err(error)) = Pin::new(&mut *stream).poll_flush(cx) {
            return Poll::Ready(Err(turn::broken(&error)));
        }
        if state.exchange.is_settled() {
            return Poll::Ready(Ok(()));
        }
        state.exchange.input.reserve(READ);
        let read = ready!(poll_read_buf(
            Pin::new(stream),
            cx,
            &mut state.exchange.input
        ));
        match read {
            Ok(0) => {
                let words = state.exchange.last_words();
                return Poll::Ready(Err(words.unwrap_or_else(turn::hung_up)));
            }
            Ok(_) => state.exchange.feed()?,
            Err(error) => return Poll::Ready(Err(turn::broken(&error))),
        }
    }
}
