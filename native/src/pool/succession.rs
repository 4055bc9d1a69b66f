//! Who waits for a connection begins right behind the COMMIT of the one who has it.
//!
//! It saves a round trip per transaction where more want connections than there are. A session that comes so early waits for the
//! COMMIT in front of it as for a connection: no longer than that may take.

use std::sync::Arc;
use std::time::Instant;

use crate::conn::request::{Part, Request};
use crate::conn::{Connection, Origin};
use crate::error::{Error, Outcome, Phase};
use crate::pool::queue::Waiter;
use crate::pool::session::Session;
use crate::pool::{Pool, Wanted};

impl Pool {
    /// A session has sent its COMMIT: the first one who waits sends his BEGIN behind it, if both allow it.
    pub(crate) fn succeed(
        &self,
        session: &Arc<Session>,
        connection: &Arc<Connection>,
        origin: Origin<'_>,
    ) {
        // What it leaves has to be removed first, or looked after.
        let is_wanted =
            self.reset.is_some() || connection.keeper().is_some_and(|keeper| keeper.is_due());
        if is_wanted || self.books().waiting_since().is_none() || !connection.is_ending() {
            return;
        }
        let now = Instant::now();
        let ends = |holder: &Arc<Session>| Arc::ptr_eq(holder, session);
        let suits = |wanted: &Wanted| match wanted {
            Wanted::Session(next) if next.may_succeed() => Some(Arc::clone(next)),
            _ => None,
        };
        let succeeded = self.books().succeed(connection.slot, now, ends, suits);
        let Some((successor, since)) = succeeded else {
            return;
        };
        self.metrics.acquired(now.saturating_duration_since(since));
        if !successor.begin_on(connection, origin, true) {
            // It left meanwhile: the connection is free as soon as the COMMIT is answered, or is already.
            connection.nudge();
        }
    }

    /// A connection has ended with a COMMIT and a session behind it, and this was not sent. If that is the COMMIT and all that is
    /// behind it, the session waits for another connection, as long as before, and `true` comes back.
    pub(super) fn spare(
        &self,
        session: &Arc<Session>,
        deadline: Option<Instant>,
        unsent: &mut Vec<Request>,
    ) -> bool {
        let is_end = |first: &Request| first.part == Part::Commit && first.finish;
        let (Some(deadline), true) = (deadline, unsent.first().is_some_and(is_end)) else {
            return false;
        };
        let behind = unsent.split_off(1);
        let since = behind.first().map_or(deadline, |first| first.since);
        if let Err(behind) = session.wait_again(behind) {
            unsent.extend(behind);
            return false;
        }
        self.queue_again(session, since, deadline);
        true
    }

    /// A session that had a connection waits in front of the others.
    pub(super) fn queue_again(&self, session: &Arc<Session>, since: Instant, deadline: Instant) {
        let mut books = self.books();
        if books.is_ended() {
            drop(books);
            session.lose(&Error::Closed { what: "pool" });
            return;
        }
        books.wait_again(Waiter {
            wanted: Wanted::Session(Arc::clone(session)),
            since,
            deadline,
        });
        drop(books);
        self.queue_grew(deadline);
    }

    /// Those who have waited for as long as a connection may take, behind a COMMIT that was quick when it ran last.
    pub(super) fn withdraw(&self, now: Instant) {
        let error = Error::Timeout {
            phase: Phase::Acquire,
            after: self.settings.acquire_timeout,
            // It was sent, and is rolled back.
            outcome: Outcome::Failed,
        };
        // Under the lock of the books: as long as they name somebody in front of a session, nobody begins behind that one.
        let mut books = self.books();
        let overdue = books.overdue(now);
        let withdrawn = overdue.iter().filter(|session| session.withdraw(&error));
        let count = u64::try_from(withdrawn.count()).unwrap_or(u64::MAX);
        drop(books);
        self.metrics.acquire_timeouts(count);
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::conn::tests::server::{Answer, Server, beside, of_transaction};
    use crate::pool::tests::{pool, until_rest};

    fn ask(session: &Arc<Session>, text: &str, part: Part) -> Answer {
        let (request, answer) = of_transaction(text, part);
        session.submit(request, Origin::Engine);
        answer
    }

    /// A pool of one connection, a session that has it and one that waits with its first statement.
    async fn two(server: &Server, patience_ms: u64) -> (Arc<Pool>, [Arc<Session>; 2], Answer) {
        let options = json!({ "poolSize": 1, "acquireTimeoutMs": patience_ms });
        let pool = pool(server, &options);
        let [first, next] = [Session::new(&pool), Session::new(&pool)];
        let begun = ask(&first, "select 1", Part::Inside);
        assert!(begun.await.unwrap().is_ok());
        let answer = ask(&next, "select 2", Part::Inside);
        assert_eq!(pool.counts().waiting, 1);
        (pool, [first, next], answer)
    }

    #[test]
    fn who_waits_begins_before_the_commit_in_front_is_answered() {
        beside(async |server: Rc<Server>| {
            let (pool, [first, next], begun) = two(&server, 5000).await;
            let third = Session::new(&pool);
            let last = ask(&third, "select 3", Part::Inside);
            let committed = ask(&first, "COMMIT", Part::Commit);
            // Nothing was awaited: that one goes, the next one stays.
            assert_eq!(pool.counts().waiting, 1);
            assert!(committed.await.unwrap().is_ok() && begun.await.unwrap().is_ok());
            let committed = ask(&next, "COMMIT", Part::Commit);
            assert_eq!(pool.counts().waiting, 0);
            assert!(committed.await.unwrap().is_ok() && last.await.unwrap().is_ok());
            let committed = ask(&third, "COMMIT", Part::Commit);
            assert!(committed.await.unwrap().is_ok());
            until_rest(&pool).await;
            assert!([first, next, third].iter().all(|session| session.is_over()));
            assert_eq!(server.open(), 1);
            pool.end(Duration::from_secs(5)).await;
        });
    }

    #[test]
    fn who_waits_behind_a_commit_waits_no_longer_than_for_a_connection() {
        beside(async |server: Rc<Server>| {
            let (pool, [first, next], begun) = two(&server, 50).await;
            let committed = ask(&first, "COMMIT and stall", Part::Commit);
            assert_eq!(pool.counts().waiting, 0);
            let late = begun.await.unwrap().unwrap_err();
            let is_told = matches!(
                late,
                Error::Timeout {
                    phase: Phase::Acquire,
                    ..
                }
            );
            assert!(is_told && late.outcome() == Outcome::Failed, "{late}");
            let behind = ask(&next, "select 3", Part::Inside).await.unwrap();
            assert!(matches!(behind, Err(Error::TransactionLost { .. })));
            assert_eq!(server.cancels(), 0, "the COMMIT is not its own");
            assert_eq!(pool.counts().available, 0);
            pool.end(Duration::ZERO).await;
            let end = committed.await.unwrap().unwrap_err();
            assert_eq!(end.outcome(), Outcome::Unknown);
        });
    }

    #[test]
    fn who_is_called_late_before_he_has_begun_does_not_begin() {
        beside(async |server: Rc<Server>| {
            let (pool, [first, next], begun) = two(&server, 5000).await;
            let connection = first.connection().unwrap();
            let late = Instant::now() + Duration::from_secs(6);
            let named = pool.books().succeed(
                connection.slot,
                Instant::now(),
                |_| true,
                |_| Some(Arc::clone(&next)),
            );
            assert!(named.is_some());
            // Between this and his first statement.
            pool.withdraw(late);
            let told = begun.await.unwrap().unwrap_err();
            assert!(matches!(told, Error::Timeout { .. }) && told.outcome() == Outcome::NotSent);
            assert!(!next.begin_on(&connection, Origin::Engine, true) && next.is_over());
            let timeouts = pool.metrics.figures().acquire_timeouts;
            assert_eq!(timeouts, 1);
            assert!(ask(&first, "COMMIT", Part::Commit).await.unwrap().is_ok());
            until_rest(&pool).await;
            pool.end(Duration::from_secs(5)).await;
        });
    }

    #[test]
    fn who_goes_behind_a_commit_leaves_it_alone() {
        beside(async |server: Rc<Server>| {
            let (pool, [first, next], begun) = two(&server, 5000).await;
            let mut committed = ask(&first, "COMMIT and stall", Part::Commit);
            next.abandon();
            assert!(next.is_over());
            tokio::task::yield_now().await;
            assert!(committed.try_recv().is_err(), "it runs");
            assert_eq!(server.cancels(), 0);
            pool.end(Duration::ZERO).await;
            assert_eq!(
                committed.await.unwrap().unwrap_err().outcome(),
                Outcome::Unknown
            );
            assert_eq!(begun.await.unwrap().unwrap_err().outcome(), Outcome::Failed);
            until_rest(&pool).await;
        });
    }

    #[test]
    fn who_left_while_the_commit_was_sent_leaves_a_connection_that_is_free() {
        beside(async |server: Rc<Server>| {
            let (pool, [first, next], begun) = two(&server, 5000).await;
            let committed = ask(&first, "COMMIT", Part::Commit);
            next.abandon();
            assert!(committed.await.unwrap().is_ok());
            // Its connection has ended with it, behind both.
            assert!(begun.await.unwrap().is_ok());
            until_rest(&pool).await;
            server.until_open(0).await;
            pool.end(Duration::from_secs(5)).await;
        });
    }

    #[test]
    fn where_sessions_are_reset_everybody_has_his_turn() {
        beside(async |server: Rc<Server>| {
            let options = json!({ "poolSize": 1, "resetQuery": "DISCARD ALL" });
            let pool = pool(&server, &options);
            let [first, next] = [Session::new(&pool), Session::new(&pool)];
            assert!(ask(&first, "select 1", Part::Inside).await.unwrap().is_ok());
            let begun = ask(&next, "select 2", Part::Inside);
            let committed = ask(&first, "COMMIT", Part::Commit);
            assert_eq!(pool.counts().waiting, 1);
            assert!(committed.await.unwrap().is_ok() && begun.await.unwrap().is_ok());
            assert!(ask(&next, "COMMIT", Part::Commit).await.unwrap().is_ok());
            until_rest(&pool).await;
            pool.end(Duration::from_secs(5)).await;
        });
    }
}
