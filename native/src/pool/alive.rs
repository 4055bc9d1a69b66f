//! Gives up connections to servers that have stopped answering anybody (aliveTimeoutMs).

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::conn::Connection;
use crate::conn::alive::answers;
use crate::error::Error;
use crate::pool::Pool;

impl Pool {
    /// Watches over silent connections for as long as the pool lives, if it is to.
    pub(super) fn watch_silence(&self) {
        if let Some(limit) = self.settings.alive_timeout {
            self.runtime.spawn(watch(Weak::clone(&self.own), limit));
        }
    }

    /// The longest silent connection of each node.
    fn silent(&self, least: Duration) -> HashMap<Box<str>, Arc<Connection>> {
        let now = Instant::now();
        let silent = self.all_connections().into_iter().filter(|connection| {
            let silence = connection.silence(now);
            silence.is_some_and(|silence| silence >= least)
        });
        silent
            .map(|connection| (connection.name.clone(), connection))
            .collect()
    }

    /// A server that took not even a cancel request: those who come next need not find that out one by one, each on another of
    /// its idle connections.
    pub(super) fn fall_silent(&self, key: &str) {
        self.seeker.view.falls_silent(key, true);
        let idle = self.books().evict(|connection| *connection.name == *key);
        for connection in idle {
            connection.discard(silent());
        }
    }

    fn give_up(&self, key: &str) {
        self.seeker.view.falls_silent(key, true);
        for connection in self.all_connections() {
            if &*connection.name == key {
                connection.discard(silent());
            }
        }
    }
}

fn silent() -> Error {
    Error::Io {
        code: "ETIMEDOUT",
        problem: "the server does not answer any more".into(),
    }
}

/// Half of the limit passes in silence, the other half until that is seen and with the question whether somebody else is
/// answered.
async fn watch(pool: Weak<Pool>, limit: Duration) {
    let half = limit / 2;
    let look = half / 4;
    // Something less, so that being late is within the limit as well.
    let patience = half.saturating_sub(look) * 15 / 16;
    let mut asked: HashMap<Box<str>, Instant> = HashMap::new();
    loop {
        tokio::time::sleep(look).await;
        let Some(pool) = pool.upgrade() else {
            return;
        };
        if pool.books().is_ended() {
            return;
        }
        asked.retain(|_, at| at.elapsed() < limit);
        for (key, connection) in pool.silent(half) {
            if asked.contains_key(&key) {
                continue;
            }
            asked.insert(key.clone(), Instant::now());
            let pool = Arc::downgrade(&pool);
            tokio::spawn(async move {
                let is_alive = answers(connection.target(), patience).await;
                if let (false, Some(pool)) = (is_alive, pool.upgrade()) {
                    pool.give_up(&key);
                }
            });
        }
    }
}
