//! A single connection with one owner, outside any pool: opened once, gone when it is gone.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::conn::doubt::Left;
use crate::conn::driver::Driver;
use crate::conn::exchange::Report;
use crate::conn::request::{Outlet, Request};
use crate::conn::{Connection, Origin, Owner};
use crate::error::{Error, Outcome};

/// A single connection.
pub struct Client {
    connection: Arc<Connection>,
    /// Why it is over.
    gone: Mutex<Option<Error>>,
    over: watch::Sender<bool>,
}

impl Client {
    /// Takes over a connection and starts its driver.
    pub fn new(connection: Connection, runtime: &Handle) -> Arc<Self> {
        let client = Arc::new_cyclic(|own: &Weak<Self>| {
            let owner: Weak<dyn Owner> = own.clone();
            connection.belongs_to(owner);
            Self {
                connection: Arc::new(connection),
                gone: Mutex::new(None),
                over: watch::Sender::new(false),
            }
        });
        runtime.spawn(Driver::new(Arc::clone(&client.connection)));
        client
    }

    /// The connection itself.
    pub fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    /// Sends a request behind the earlier ones. It is answered in any case.
    pub fn submit(&self, request: Request, origin: Origin<'_>) {
        if let Err(request) = self.connection.serve(request, origin) {
            let error = self.unsent();
            request.fail(&error);
        }
    }

    fn unsent(&self) -> Error {
        let gone = self
            .gone
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        match gone {
            Some(Error::Closed { .. }) | None => Error::Closed { what: "client" },
            Some(cause) => Error::Lost {
                outcome: Outcome::NotSent,
                host: self.connection.host.clone(),
                cause: Box::new(cause),
            },
        }
    }

    /// Gives up a request. `false` when it is not here.
    pub fn cancel(&self, environment: &Arc<dyn Outlet>, id: u32) -> bool {
        self.connection.cancel(environment, id)
    }

    /// Says goodbye after the requests in flight, or cuts the connection when that takes longer than `patience`.
    ///
    /// Cancel-safe: dropping the future does not take the end back. Safe to call any number of times.
    pub async fn end(&self, patience: Duration) {
        let mut over = self.over.subscribe();
        self.connection.close();
        let late = tokio::time::timeout(patience, over.wait_for(|over| *over))
            .await
            .is_err();
        if late {
            self.connection.cut(Error::Closed { what: "client" });
            // The driver's next turn ends it; the sender lives as long as this borrow.
            drop(over.wait_for(|over| *over).await);
        }
    }
}

impl Drop for Client {
    /// Nobody can end it any more: what runs is cancelled on the server, and the connection closed behind that.
    fn drop(&mut self) {
        self.connection.interrupt("client");
    }
}

impl Owner for Client {
    fn progressed(&self, connection: &Arc<Connection>, report: Report) {
        if report.pending == 0 && !report.in_transaction && !report.cancelling {
            self.attend(connection);
        }
    }

    fn closed(&self, _connection: &Arc<Connection>, cause: &Error, left: Left) {
        *self.gone.lock().unwrap_or_else(PoisonError::into_inner) = Some(cause.clone());
        let error = self.unsent();
        for request in left.unsent {
            request.fail(&error);
        }
        // Whoever opens the next connection can find out more.
        for doubt in left.doubts {
            doubt.leave_open(None);
        }
        self.over.send_replace(true);
    }
}
