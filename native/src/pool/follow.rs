//! Keeps a pool on the nodes that suit it: what each connection says about its server, and how use is spread.

use std::sync::Weak;
use std::time::Duration;

use crate::config::{Balance, Mode, Routing};
use crate::conn::Connection;
use crate::conn::guard::Demand;
use crate::conn::role::Role;
use crate::error::Error;
use crate::pool::Pool;
use crate::pool::host::{Fit, Follower, LEFT_BEHIND, fit};
use crate::pool::queue::Spread;

/// What the servers of a mode must be when a statement runs.
pub(super) const fn demand(mode: Mode) -> Demand {
    match mode {
        Mode::ReadWrite => Demand::Writable,
        Mode::Primary => Demand::OutOfRecovery,
        Mode::ReadOnly | Mode::Standby | Mode::PreferStandby | Mode::Any => Demand::Nothing,
    }
}

/// Spreading only makes sense where several nodes may be used.
pub(super) fn spread(routing: &Routing, nodes: usize) -> Option<Spread> {
    if nodes < 2 || matches!(routing.mode, Mode::ReadWrite | Mode::Primary) {
        return None;
    }
    match routing.balance {
        Balance::Listed => None,
        Balance::Random => Some(Spread::Random),
        Balance::RoundRobin => Some(Spread::InTurn),
        Balance::LeastInUse => Some(Spread::LeastInUse),
    }
}

impl Pool {
    /// Connections in use by host.
    pub(super) fn used_by_host(&self) -> Vec<usize> {
        let mut used = vec![0; self.seeker.routes.len()];
        for entry in self.books().connections() {
            if let Some(count) = used.get_mut(entry.connection.node) {
                *count += 1;
            }
        }
        used
    }

    /// A server has said what it is. `false`: it does not suit this pool any more.
    pub(super) fn suits(&self, connection: &Connection, role: Role) -> bool {
        if self.settings.routing.mode == Mode::Any || role == Role::Unknown {
            return true;
        }
        let key = &connection.name;
        let changed = self.seeker.view.note(key, role).is_some();
        if connection.is_news(role) {
            self.seeker
                .heard(connection.node, key, role, Duration::ZERO);
        }
        let wrong = matches!(fit(&self.settings.routing, role), Fit::Wrong(_));
        if wrong && changed {
            // The others of this node are no better, they only have not said so yet.
            let evicted = self.books().evict(|idle| idle.name == *key);
            for idle in evicted {
                idle.close();
            }
        }
        !wrong
    }

    /// Hears from now on of primaries that were left behind, if it may lead to primaries.
    pub(super) fn follow(&self) {
        if !matches!(self.settings.routing.mode, Mode::ReadOnly | Mode::Standby) {
            let own: Weak<dyn Follower> = self.own.clone();
            self.seeker.view.follow(own);
        }
    }

    /// A connection that was opened while its server was left behind: nobody else ends it.
    pub(super) fn leave_behind(&self, connection: &Connection) {
        let role = connection.role();
        let is_left = role != Role::Standby && self.seeker.view.is_left_behind(&connection.name);
        if is_left && matches!(self.seeker.suits(&connection.name, role), Fit::Wrong(_)) {
            connection.discard(left_behind());
        }
    }
}

impl Follower for Pool {
    /// What stands on the others, a transaction perhaps, must not be acknowledged by them: the cluster would not have it.
    fn superseded(&self, by: &str) {
        for connection in self.all_connections() {
            if *connection.name != *by && connection.role() != Role::Standby {
                connection.discard(left_behind());
            }
        }
    }
}

/// Why such a connection ends.
pub(super) fn left_behind() -> Error {
    Error::Io {
        code: "ECONNABORTED",
        problem: format!("the server {LEFT_BEHIND}").into(),
    }
}
