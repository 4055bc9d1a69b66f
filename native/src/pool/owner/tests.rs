//! News of a connection that come late: what was asked meanwhile counts.

use std::rc::Rc;
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::conn::tests::server::{Server, beside};
use crate::pool::tests::{ask_session, pool, until_rest};

#[test]
fn sec_p01_a_session_that_left_gives_its_connection_back_behind_all_it_has_asked() {
    beside(async |server: Rc<Server>| {
        let pool = pool(&server, &json!({ "poolSize": 1 }));
        let session = Session::new(&pool);
        let first = ask_session(&session, "select 1", false);
        assert!(first.await.unwrap().is_ok());
        let connection = session.connection().unwrap();
        // Before its owner has heard of the first answer, the session asks again, and leaves.
        let second = ask_session(&session, "wait", false);
        assert!(session.leave(None));
        pool.progressed(&connection, Report::default());
        assert_eq!(connection.unanswered(), 1);
        assert_eq!(pool.counts().available, 0, "free, and a statement runs");
        pool.end(Duration::from_millis(5)).await;
        assert!(second.await.unwrap().is_err());
        until_rest(&pool).await;
    });
}
