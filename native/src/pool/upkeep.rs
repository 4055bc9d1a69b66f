//! What becomes of a connection between two callers: brought back into a clean state, or in the hands of its keeper.

use std::sync::Arc;

use crate::conn::Connection;
use crate::conn::Origin;
use crate::conn::request::{Event, Reply, Request, Work};
use crate::conn::statement::Statement;
use crate::error::Error;
use crate::pool::Pool;
use crate::pool::queue::Use;

/// Why a connection is closed whose session could not be reset.
pub(super) const RESET: &str = "reset";

impl Pool {
    /// A free moment of a leased connection: does its keeper want it? Then it is free again later.
    pub(super) fn has_upkeep(&self, connection: &Arc<Connection>) -> bool {
        let Some(keeper) = connection.keeper().filter(|keeper| keeper.is_due()) else {
            return false;
        };
        // Two may find it free at once: then somebody has it again, perhaps.
        let is_ours = (self.books().entry(connection.slot))
            .is_some_and(|entry| matches!(entry.usage, Use::Cleaning));
        is_ours && keeper.idle(connection)
    }

    /// Brings a connection back out of a transaction that its user left open.
    pub(super) fn clean(&self, connection: &Arc<Connection>) {
        if let Some(entry) = self.books().entry(connection.slot) {
            entry.usage = Use::Cleaning;
        }
        if let Ok(rollback) = Statement::intern("ROLLBACK") {
            self.bring_back(connection, rollback, false);
        }
    }

    /// Removes what its user may have left in the session, or gives it back at once.
    pub(super) fn reset(&self, connection: &Arc<Connection>) {
        match &self.reset {
            Some(reset) if !self.books().is_ended() => {
                self.bring_back(connection, Arc::clone(reset), true);
            }
            _ => self.release(connection),
        }
    }

    /// Closes a connection whose session could not be reset, and says why.
    pub(super) fn reset_failed(&self, connection: &Arc<Connection>, error: &Error) {
        self.seeker.tell(&Event::Retired {
            host: &self.seeker.label(connection.node),
            reason: RESET,
            error: Some(error),
        });
        connection.discard(Error::Closed { what: RESET });
    }

    fn bring_back(&self, connection: &Arc<Connection>, statement: Arc<Statement>, resets: bool) {
        let (reply, _nobody_waits) = Reply::local();
        let mut request = Request::new(
            Work::Simple {
                statement,
                keep: false,
            },
            reply,
            Arc::clone(&self.profile),
        );
        request.timeout = Some(self.settings.acquire_timeout);
        request.resets = resets;
        if connection.submit(request, Origin::Engine).is_err() {
            // It is closing already: its end is reported by itself.
        }
    }

    /// Lets the keeper of a connection look, between two requests at most: one that a caller holds and leaves alone is
    /// leased as well.
    pub(super) fn look_after(&self, connection: &Arc<Connection>) {
        let slot = connection.slot;
        if self.books().take_idle(slot) {
            self.release(connection);
        } else if let Some(keeper) = connection.keeper()
            && self.books().is_held(slot)
        {
            keeper.idle(connection);
        }
    }
}
