//! A session whose first statement met a node that must not serve it begins anew on another connection.

use std::sync::Arc;

use crate::conn::Connection;
use crate::conn::request::Request;
use crate::error::Error;
use crate::pool::Pool;
use crate::pool::queue::Use;

impl Pool {
    /// The session that has this connection, and all it has asked, waits for another one. Until then it has none: it would keep
    /// the very place it waits for.
    pub(super) fn move_session(&self, connection: &Arc<Connection>, first: Request) {
        let closed = Error::Closed { what: "connection" };
        let session = (self.books().entry(connection.slot)).and_then(|entry| match &entry.usage {
            Use::Held(session) => Some(Arc::clone(session)),
            _ => None,
        });
        let since = first.since;
        if let Some(session) = session {
            if session.move_from(connection, first) {
                self.books().clean(connection.slot);
                let deadline = since + self.settings.acquire_timeout;
                self.queue_again(&session, since, deadline);
            }
        } else {
            first.fail(&closed);
        }
        connection.discard(closed);
    }
}
