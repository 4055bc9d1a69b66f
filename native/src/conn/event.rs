//! What a session or a pool hears without asking, and who hears it.

use std::sync::Arc;
use std::time::Duration;

use crate::conn::request::{Account, Outlet};
use crate::conn::statement::Statement;
use crate::error::{Error, ServerError};

/// Who hears the events of a session: its environment, and the handle by which that knows it. Slots are used again, so
/// a late event without the generation would reach the next object in the slot.
#[derive(Clone)]
pub struct Subscriber {
    /// The environment.
    pub outlet: Arc<dyn Outlet>,
    /// Slot of the handle.
    pub slot: u32,
    /// Generation of the handle.
    pub generation: u32,
}

impl Subscriber {
    /// Tells it.
    pub fn tell(&self, event: &Event<'_>) {
        self.outlet.event(self.slot, self.generation, event, None);
    }

    /// Tells it something that the server has sent.
    pub fn pass_on(&self, event: &Event<'_>, account: &Arc<Account>) {
        self.outlet
            .event(self.slot, self.generation, event, Some(account));
    }
}

/// Something a session hears without asking.
#[derive(Debug)]
pub enum Event<'a> {
    /// A message below ERROR.
    Notice(&'a ServerError),
    /// NOTIFY.
    Notification {
        /// The notifying backend.
        pid: i32,
        /// Channel.
        channel: &'a str,
        /// Payload, empty when none was given.
        payload: &'a str,
    },
    /// A setting of the session changed.
    Parameter {
        /// Name.
        name: &'a str,
        /// Value.
        value: &'a str,
    },
    /// What the connection's keeper did.
    Upkeep(&'a crate::conn::keeper::News),
    /// Of a pool: this monitor has a report.
    Probed(u32),
    /// The connection has ended; no request on it will be answered any more.
    Ended(Option<&'a Error>),
    /// Of a pool: an attempt to open a connection is over.
    Attempt {
        /// The host as configured.
        host: &'a str,
        /// The address that was dialled.
        address: &'a str,
        /// How long it took.
        took: Duration,
        /// Why it failed.
        error: Option<&'a Error>,
    },
    /// Of a pool: a node is something else than before.
    HostChange {
        /// The host as configured.
        host: &'a str,
        /// Its address.
        address: &'a str,
        /// What it was, as far as the pool had been told.
        from: Option<&'a str>,
        /// What it is.
        to: &'a str,
    },
    /// Of a pool: it is known what became of a COMMIT without an answer, or that nobody can know.
    Resolved {
        /// The transaction's id.
        xid: u64,
        /// What became of it, in words.
        status: &'a str,
        /// Since its connection was lost.
        took: Duration,
    },
    /// Of a pool: the primary is another node than before.
    Failover {
        /// The address of the former one.
        from: &'a str,
        /// The address of the new one.
        to: &'a str,
        /// Since the former one was lost; `None` when it never was.
        took: Option<Duration>,
        /// The timeline it writes, where that was asked for.
        timeline: Option<u32>,
    },
    /// Of a pool: a COMMIT was answered by a server that was fenced meanwhile.
    CommitFenced {
        /// Its address.
        address: &'a str,
    },
    /// Of a pool: statements of a lost connection were prepared on the one that replaces it.
    Warmed {
        /// The host as configured.
        host: &'a str,
        /// Its address.
        address: &'a str,
        /// How many the server has taken.
        statements: usize,
        /// Which it has not, and why.
        refused: &'a [(Arc<Statement>, Error)],
        /// How long it took.
        took: Duration,
    },
    /// Of a pool: a connection is not used any more.
    Retired {
        /// The host as configured.
        host: &'a str,
        /// Why, in a word.
        reason: &'a str,
        /// What the server has refused, if that is why.
        error: Option<&'a Error>,
    },
}
