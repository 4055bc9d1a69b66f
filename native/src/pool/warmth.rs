//! What lost connections were used for, so that those which replace them are warm before they are handed out (CP-24).

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use crate::conn::Connection;
use crate::conn::request::Event;
use crate::conn::statement::Statement;
use crate::error::Error;
use crate::pool::Pool;
use crate::pool::router::Guest;

/// How long a new connection may be kept from those who wait for one.
const PATIENCE: Duration = Duration::from_millis(500);

/// The statements of connections that were lost, and how many of these have no successor yet.
#[derive(Debug, Default)]
pub(super) struct Warmth {
    /// Most used first.
    used: Vec<(Arc<Statement>, u64)>,
    cold: usize,
}

impl Warmth {
    /// A connection is lost that was used for this; at most `limit` statements of all of them are kept.
    fn lost(&mut self, used: Vec<(Arc<Statement>, u64)>, limit: usize) {
        if self.cold == 0 {
            self.used.clear();
        }
        self.cold += 1;
        for (statement, uses) in used {
            match self
                .used
                .iter_mut()
                .find(|(known, _)| known.id == statement.id)
            {
                Some((_, sum)) => *sum += uses,
                None => self.used.push((statement, uses)),
            }
        }
        self.used.sort_by_key(|(_, uses)| std::cmp::Reverse(*uses));
        self.used.truncate(limit);
    }

    /// What is to be prepared on a new connection: nothing on one more than were lost.
    fn take(&mut self) -> Vec<Arc<Statement>> {
        if self.cold == 0 {
            return Vec::new();
        }
        self.cold -= 1;
        let statements = self.used.iter();
        statements
            .map(|(statement, _)| Arc::clone(statement))
            .collect()
    }

    /// The server does not take this statement: no other connection is asked.
    fn strike(&mut self, statement: &Statement) {
        self.used.retain(|(known, _)| known.id != statement.id);
    }
}

impl Pool {
    fn warmth(&self) -> std::sync::MutexGuard<'_, Warmth> {
        self.warmth.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection was lost, or leads to what does not suit any more.
    pub(super) fn cools(&self, connection: &Connection) {
        let limit = self.settings.warm_statements;
        if limit > 0 {
            // Before the lock: the connection has one of its own.
            let used = connection.most_used(limit);
            self.warmth().lost(used, limit);
        }
    }

    /// Prepares the statements of a lost connection on the one that replaces it.
    ///
    /// Cancel-safe: dropping the future closes the connection.
    ///
    /// # Errors
    /// The connection did not answer in time, or is over. The next ones are not warmed: a statement may wait for a lock.
    pub(super) async fn warm(&self, guest: &mut Guest) -> Result<(), Error> {
        let statements = self.warmth().take();
        let Some(connection) = guest.0.as_mut().filter(|_| !statements.is_empty()) else {
            return Ok(());
        };
        let began = Instant::now();
        let warmed = connection.warm(&statements, &self.profile, PATIENCE).await;
        let refused = match warmed {
            Ok(refused) => refused,
            Err(error) => {
                *self.warmth() = Warmth::default();
                return Err(error);
            }
        };
        for (statement, _) in &refused {
            self.warmth().strike(statement);
        }
        self.seeker.tell(&Event::Warmed {
            host: &self.seeker.label(connection.node),
            address: &connection.address().to_string(),
            statements: statements.len() - refused.len(),
            refused: &refused,
            took: began.elapsed(),
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(text: &str) -> Arc<Statement> {
        Statement::intern(text).unwrap()
    }

    #[test]
    fn as_many_connections_are_warmed_as_were_lost() {
        let (one, two, three) = (
            statement("select 'w1'"),
            statement("select 'w2'"),
            statement("select 'w3'"),
        );
        let mut warmth = Warmth::default();
        assert!(warmth.take().is_empty());
        warmth.lost(vec![(Arc::clone(&one), 5), (Arc::clone(&two), 3)], 2);
        warmth.lost(vec![(Arc::clone(&three), 4), (Arc::clone(&two), 3)], 2);
        let ids = |taken: Vec<Arc<Statement>>| taken.iter().map(|one| one.id).collect::<Vec<_>>();
        assert_eq!(ids(warmth.take()), [two.id, one.id]);
        warmth.strike(&two);
        assert_eq!(ids(warmth.take()), [one.id]);
        assert!(warmth.take().is_empty());
        // What was lost before the last time is of no interest any more.
        warmth.lost(vec![(Arc::clone(&three), 1)], 2);
        assert_eq!(ids(warmth.take()), [three.id]);
    }
}
