//! What a server's refusal to name its timeline means.

use std::rc::Rc;
use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::config::Driver;
use crate::conn::dial::Route;
use crate::conn::exchange::Manner;
use crate::conn::guard::Policy;
use crate::conn::tests::server::{Server, beside, profile};
use crate::frame::Shapes;

fn seeker(server: &Server) -> Seeker {
    let built = server.settings(&json!({ "mode": "any" }));
    let host = built.config.hosts[0].clone();
    let route = Route::new(Arc::new(built.config), host).unwrap();
    let manner = Manner {
        driver: Driver::Auto,
        depth: 1,
        statements: 8,
        max_message: 1 << 20,
        policy: Policy::default(),
    };
    let shapes = Arc::new(Shapes::new());
    Seeker::new(
        Box::from([route]),
        built.pool.routing,
        manner,
        shapes,
        profile(),
    )
}

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
