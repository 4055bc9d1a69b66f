//! What a server's refusal to name its timeline means.

use std::rc::Rc;

use crate::conn::tests::server::{Server, beside};
use crate::pool::tests::seeker;

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
