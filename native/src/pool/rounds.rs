//! What a pool looks after from time to time: whether a standby can take over from the primary that stands in for it, or a
//! primary from one that was demoted (CP-14), and whether names still lead to where its connections lead (CP-26).

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use crate::config::Mode;
use crate::conn::role::Role;
use crate::conn::{Connection, dial};
use crate::pool::Pool;
use crate::pool::router::Guest;

/// The longest a look at other nodes or a lookup may take where attempts to connect have no limit of their own.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is looked after.
#[derive(Clone, Copy)]
enum Round {
    /// Standbys, by pools that prefer them.
    Standbys,
    /// Names.
    Names,
}

impl Pool {
    /// Looks after things for as long as the pool lives.
    pub(super) fn make_rounds(&self) {
        let prefers = self.settings.routing.mode == Mode::PreferStandby;
        let named = self.seeker.routes.iter().any(dial::Route::is_named);
        for (round, every, wanted) in [
            (Round::Standbys, self.settings.rebalance, prefers),
            (Round::Names, self.settings.dns_recheck, named),
        ] {
            if let Some(every) = every.filter(|_| wanted) {
                self.runtime.spawn(go(Weak::clone(&self.own), every, round));
            }
        }
    }

    fn those(&self, left: impl Fn(&Connection) -> bool) -> Vec<Arc<Connection>> {
        let mut all = self.all_connections();
        all.retain(|connection| left(connection));
        all
    }

    /// Connections that are not used any more: idle ones end now, the others when what they do is over.
    fn leave(&self, left: &[Arc<Connection>]) {
        let now = Instant::now();
        let mut books = self.books();
        let idle = books.evict(|one| left.iter().any(|other| Arc::ptr_eq(one, other)));
        for connection in left {
            books.condemn(connection.slot, now);
        }
        drop(books);
        for connection in idle {
            connection.close();
        }
    }

    async fn rebalance(&self) {
        let strays = self.those(|connection| connection.role() != Role::Standby);
        if strays.is_empty() {
            return;
        }
        let Ok(found) = self.seeker.find().await else {
            return;
        };
        let role = found.role();
        drop(Guest(Some(Box::new(found))));
        // A primary is no better than itself, but than one that was demoted.
        let is_worse = |stray: &Arc<Connection>| match role {
            Role::Standby => true,
            Role::Primary => stray.role() == Role::Fenced,
            _ => false,
        };
        let left: Vec<_> = strays.into_iter().filter(is_worse).collect();
        self.leave(&left);
    }

    async fn recheck_names(&self) {
        let used = self.used_by_host();
        let named = self.seeker.routes.iter().zip(used).enumerate();
        // Side by side: one that nobody resolves holds up no other.
        let mut lookups: FuturesUnordered<_> = named
            .filter(|(_, (route, used))| route.is_named() && *used > 0)
            .map(|(host, (route, _))| async move { (host, dial::addresses(route).await) })
            .collect();
        while let Some((host, addresses)) = lookups.next().await {
            // A name that cannot be looked up now has not moved.
            let Ok(addresses) = addresses else {
                continue;
            };
            self.seeker.led_to(host, &addresses);
            let moved = |connection: &Connection| {
                connection.node == host && !addresses.contains(connection.address())
            };
            self.leave(&self.those(moved));
        }
    }
}

async fn go(pool: Weak<Pool>, every: Duration, round: Round) {
    loop {
        tokio::time::sleep(every).await;
        let Some(pool) = pool.upgrade().filter(|pool| !pool.books().is_ended()) else {
            return;
        };
        let made = async {
            match round {
                Round::Standbys => pool.rebalance().await,
                Round::Names => pool.recheck_names().await,
            }
        };
        let unlimited =
            (pool.seeker.routes.iter()).any(|route| route.config().connect_timeout.is_none());
        let patience = if unlimited { PATIENCE } else { Duration::MAX };
        tokio::select! {
            // Dropped, it closes what it has opened; the next round begins anew.
            _ = tokio::time::timeout(patience, made) => {}
            () = pool.until_ended() => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use serde_json::json;

    use super::*;
    use crate::conn::tests::server::{Server, Silence, beside};
    use crate::pool::tests::{pool, until_rest};

    #[test]
    fn a_round_that_waits_for_a_silent_server_ends_with_its_pool() {
        beside(async |server: Rc<Server>| {
            let options = json!({
                "mode": "prefer-standby", "connectTimeoutMs": 0, "rebalanceMs": 1, "minIdle": 1,
            });
            let pool = pool(&server, &options);
            server.until_open(1).await;
            until_rest(&pool).await;
            server.silence(Silence::Login);
            server.until_open(2).await;
            pool.end(Duration::from_secs(5)).await;
            server.until_open(0).await;
        });
    }
}
