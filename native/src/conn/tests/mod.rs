//! Each public async function of this module is polled 1 … n times and dropped: whatever it had begun is undone.

#[cfg(target_os = "linux")]
mod loan;
#[cfg(target_os = "linux")]
mod order;
mod room;
pub(crate) mod server;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::runtime::Handle;

use self::server::{Server, beside, every_poll, polled, profile, until};
use super::alive;
use super::cancel;
use super::client::Client;
use super::dial::{Address, Route, addresses, dial, within};
use super::exchange::Manner;
use super::guard::{Demand, Policy};
use super::request::{LocalResult, Parameters, Reply, Request, Work};
use super::statement::{Naming, Statement};
use crate::config::Driver;
use crate::config::FenceCheck;
use crate::conn::Origin;
use crate::error::Error;
use crate::frame::Shapes;

const MANNER: Manner = Manner {
    driver: Driver::Auto,
    depth: 1,
    statements: 8,
    max_message: 1 << 20,
    policy: Policy {
        demand: Demand::Nothing,
        check: FenceCheck::Off,
        fresh_for: Duration::ZERO,
        max_lag: None,
        strict: false,
    },
    resets: false,
};

fn route(server: &Server) -> Route {
    let built = server.settings(&json!({}));
    let host = built.config.hosts[0].clone();
    Route::new(Arc::new(built.config), host).unwrap()
}

async fn open(server: &Server) -> Arc<Client> {
    let shapes = Arc::new(Shapes::new());
    let route = route(server);
    let connection = dial(&route, address(&route).await, 0, MANNER, shapes).await;
    Client::new(connection.unwrap(), &Handle::current())
}

async fn address(route: &Route) -> Address {
    addresses(route).await.unwrap().remove(0)
}

fn ask(client: &Client, text: &str) -> tokio::sync::oneshot::Receiver<Result<LocalResult, Error>> {
    let (reply, answer) = Reply::local();
    let work = Work::Execute {
        statement: Statement::intern(text).unwrap(),
        params: Parameters::none(),
        naming: Naming::Unnamed,
        begin: None,
    };
    client.submit(Request::new(work, reply, profile()), Origin::Engine);
    answer
}

#[test]
fn a_dial_that_is_dropped_leaves_no_socket() {
    beside(async |server: Rc<Server>| {
        let route = route(&server);
        every_poll(async |polls| {
            let shapes = Arc::new(Shapes::new());
            let address = address(&route).await;
            let done = polled(dial(&route, address, 0, MANNER, shapes), polls).await;
            let is_over = done.is_some();
            drop(done);
            server.until_open(0).await;
            is_over
        })
        .await;
    });
}

#[test]
fn what_a_lookup_has_taken_is_not_left_for_the_attempt_behind_it() {
    beside(async |server: Rc<Server>| {
        let hour = Duration::from_secs(3600);
        let built = server.settings(&json!({ "connectTimeoutMs": 3_600_000 }));
        let host = built.config.hosts[0].clone();
        let route = Route::new(Arc::new(built.config), host).unwrap();
        let rest = within(&route, hour, std::future::pending::<Result<(), Error>>()).await;
        assert!(matches!(rest, Err(Error::Timeout { after, .. }) if after == hour));
    });
}

#[test]
fn an_end_that_is_dropped_is_not_taken_back() {
    beside(async |server: Rc<Server>| {
        for busy in [false, true] {
            every_poll(async |polls| {
                let client = open(&server).await;
                let answer = busy.then(|| ask(&client, "wait"));
                let patience = Duration::from_millis(if busy { 5 } else { 5000 });
                let is_over = polled(client.end(patience), polls).await.is_some();
                // Whatever was reached: nothing new is taken, and ending again ends it.
                assert!(ask(&client, "select 1").await.unwrap().is_err());
                client.end(Duration::from_millis(5)).await;
                server.until_open(0).await;
                if let Some(answer) = answer {
                    assert!(answer.await.unwrap().is_err(), "a statement that was ended");
                }
                is_over
            })
            .await;
        }
    });
}

#[test]
fn a_cancel_request_that_is_dropped_leaves_no_socket_and_hurts_nobody() {
    beside(async |server: Rc<Server>| {
        let client = open(&server).await;
        let target = &client.connection().target;
        every_poll(async |polls| {
            let is_over = polled(cancel::send(target), polls).await.is_some();
            server.until_open(1).await;
            let rows = ask(&client, "select 1").await.unwrap().unwrap().rows;
            assert_eq!(rows, vec![vec![Some("1".into())]]);
            is_over
        })
        .await;
        assert!(server.cancels() > 0);
        client.end(Duration::from_secs(5)).await;
        server.until_open(0).await;
    });
}

#[test]
fn a_sign_of_life_that_is_dropped_leaves_no_socket() {
    beside(async |server: Rc<Server>| {
        let client = open(&server).await;
        let target = client.connection().target();
        every_poll(async |polls| {
            let answered = polled(alive::answers(target, Duration::from_secs(5)), polls).await;
            assert_ne!(answered, Some(false));
            server.until_open(1).await;
            answered.is_some()
        })
        .await;
        client.end(Duration::from_secs(5)).await;
        server.until_open(0).await;
    });
}

#[test]
fn a_question_that_is_dropped_leaves_a_connection_that_can_be_dismissed() {
    beside(async |server: Rc<Server>| {
        let route = route(&server);
        let statements = ["select 1", "select 2"].map(|text| Statement::intern(text).unwrap());
        for question in ["look", "ask", "warm"] {
            every_poll(async |polls| {
                let shapes = Arc::new(Shapes::new());
                let dialled = dial(&route, address(&route).await, 0, MANNER, shapes).await;
                let mut connection = dialled.unwrap();
                let (profile, patience) = (profile(), Duration::from_secs(5));
                let is_over = match question {
                    "look" => polled(connection.look(patience), polls).await.is_some(),
                    "ask" => {
                        let asked = connection.ask("select 1", &profile, patience);
                        polled(asked, polls).await.is_some()
                    }
                    _ => {
                        let warmed = connection.warm(&statements, &profile, patience);
                        polled(warmed, polls).await.is_some()
                    }
                };
                connection.dismiss();
                server.until_open(0).await;
                is_over
            })
            .await;
        }
    });
}

#[test]
fn an_answer_that_nobody_waits_for_is_thrown_away() {
    beside(async |server: Rc<Server>| {
        let client = open(&server).await;
        every_poll(async |polls| {
            let is_over = polled(ask(&client, "select 1"), polls).await.is_some();
            let next = ask(&client, "select 2").await.unwrap().unwrap();
            assert_eq!((next.rows.len(), &*next.tag), (1, "SELECT 1"));
            is_over
        })
        .await;
        until(|| server.open() == 1, "the connection").await;
        client.end(Duration::from_secs(5)).await;
    });
}
