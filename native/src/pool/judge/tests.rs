//! What a server's refusal to name its timeline means.

use std::rc::Rc;
use std::time::Duration;

use serde_json::json;

use crate::conn::tests::server::{Server, Silence, beside};
use crate::error::Error;
use crate::pool::tests::{seeker, seeker_with};

#[test]
fn sec_m04_only_a_server_that_cannot_tell_its_timeline_is_used_without_it() {
    beside(async |server: Rc<Server>| {
        let seeker = seeker(&server);
        let mut connection = seeker.find().await.unwrap();
        for (code, cannot_tell) in [
            ("42883", true),
            ("42501", true),
            ("0A000", true),
            ("57014", false),
            ("53200", false),
            ("XX000", false),
        ] {
            server.refuse("pg_control_system", code);
            let said = seeker.ask_identity(&mut connection).await;
            assert_eq!(matches!(said, Ok(None)), cannot_tell, "{code}");
            assert_eq!(said.is_err(), !cannot_tell, "{code}");
        }
        connection.dismiss();
    });
}

#[test]
fn the_questions_of_an_attempt_are_within_its_limit() {
    beside(async |server: Rc<Server>| {
        server.silence(Silence::Question);
        let options = json!({ "mode": "prefer-standby", "connectTimeoutMs": 200 });
        let error = seeker_with(&server, &options).find().await.unwrap_err();
        let limit = Duration::from_millis(200);
        let is_limit = matches!(&error, Error::Timeout { after, .. } if *after == limit);
        assert!(is_limit, "{error}");
        server.until_open(0).await;
    });
}
