//! The books stay right whatever future is dropped at whatever await, and under any sequence of uses (rule P01).

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::sync::oneshot::error::TryRecvError;

use super::queue::Use;
use super::resolve::find_out;
use super::router::Seeker;
use super::session::Session;
use super::{Pool, answered};
use crate::config::Driver;
use crate::conn::Origin;
use crate::conn::dial::Route;
use crate::conn::exchange::Manner;
use crate::conn::guard::Policy;
use crate::conn::request::{LocalResult, Parameters, Part, Reply, Request, Work};
use crate::conn::statement::{Naming, Statement};
use crate::conn::tests::server::{Answer, Server, beside, every_poll, polled, profile, until};
use crate::error::{Counts, Error, Outcome, Trace};
use crate::frame::Shapes;

/// Looks for whoever answers.
pub(super) fn seeker(server: &Server) -> Seeker {
    seeker_with(server, &json!({ "mode": "any" }))
}

pub(super) fn seeker_with(server: &Server, options: &Value) -> Seeker {
    let built = server.settings(options);
    let host = built.config.hosts[0].clone();
    let route = Route::new(Arc::new(built.config), host).unwrap();
    let manner = Manner {
        driver: Driver::Auto,
        depth: 1,
        statements: 8,
        max_message: 1 << 20,
        policy: Policy::default(),
        resets: false,
    };
    let routing = built.pool.routing;
    let shapes = Arc::new(Shapes::new());
    Seeker::new(Box::from([route]), routing, manner, shapes, profile())
}

pub(super) fn pool(server: &Server, options: &Value) -> Arc<Pool> {
    let built = server.settings(options);
    let host = built.config.hosts[0].clone();
    let route = Route::new(Arc::new(built.config), host).unwrap();
    let shapes = Arc::new(Shapes::new());
    Pool::new(
        Box::from([route]),
        built.pool,
        shapes,
        profile(),
        Handle::current(),
        None,
    )
}

fn request(text: &str) -> (Request, Answer) {
    let (reply, answer) = Reply::local();
    let work = Work::Execute {
        statement: Statement::intern(text).unwrap(),
        params: Parameters::none(),
        naming: Naming::Unnamed,
        begin: None,
    };
    (Request::new(work, reply, profile()), answer)
}

fn ask(pool: &Pool, text: &str) -> Answer {
    let (request, answer) = request(text);
    pool.submit(request, Origin::Engine);
    answer
}

/// Cancel-safe: dropping the future leaves the statement to run to its end; its answer is thrown away.
async fn execute(pool: &Pool, text: &str) -> Result<LocalResult, Error> {
    answered(ask(pool, text)).await
}

pub(super) fn ask_session(session: &Arc<Session>, text: &str, finish: bool) -> Answer {
    let (mut request, answer) = request(text);
    request.part = Part::Inside;
    request.finish = finish;
    session.submit(request, Origin::Engine);
    answer
}

/// Nobody uses the pool and nobody waits; what is open is idle.
fn rests(pool: &Pool) -> bool {
    let Counts {
        max,
        size,
        available,
        opening,
        waiting,
        ..
    } = pool.counts();
    assert!(size + opening <= max, "{size} + {opening} of {max}");
    assert!(available <= size, "{available} of {size}");
    (waiting, opening) == (0, 0) && size == available
}

pub(super) async fn until_rest(pool: &Pool) {
    until(|| rests(pool), "a pool at rest").await;
}

#[test]
fn a_search_that_is_dropped_leaves_no_socket() {
    beside(async |server: Rc<Server>| {
        every_poll(async |polls| {
            let seeker = seeker(&server);
            let found = polled(seeker.find(), polls).await;
            let is_over = found.is_some();
            assert!(found.is_none_or(|found| found.is_ok()));
            server.until_open(0).await;
            is_over
        })
        .await;
    });
}

#[test]
fn sec_p01_an_execute_that_is_dropped_leaves_the_books_right() {
    beside(async |server: Rc<Server>| {
        // With a fresh pool each time, and behind somebody who holds its only connection.
        for behind in [false, true] {
            every_poll(async |polls| {
                let pool = pool(&server, &json!({ "poolSize": 1 }));
                let holder = behind.then(|| ask(&pool, "select 'first'"));
                let is_over = polled(execute(&pool, "select 1"), polls).await.is_some();
                if let Some(holder) = holder {
                    assert_eq!(holder.await.unwrap().unwrap().rows.len(), 1);
                }
                assert_eq!(execute(&pool, "select 2").await.unwrap().rows.len(), 1);
                until_rest(&pool).await;
                assert_eq!(pool.counts().size, 1);
                pool.end(Duration::from_secs(5)).await;
                server.until_open(0).await;
                is_over
            })
            .await;
        }
    });
}

#[test]
fn sec_p01_an_end_that_is_dropped_ends_when_it_is_called_again() {
    beside(async |server: Rc<Server>| {
        for (text, patience) in [("select 1", 5000), ("wait", 5)] {
            every_poll(async |polls| {
                let pool = pool(&server, &json!({ "poolSize": 2 }));
                let idle = ask(&pool, "select 'idle'");
                let running = ask(&pool, text);
                let waiting = [ask(&pool, "select 'waiting'"), ask(&pool, "wait 2")];
                assert!(idle.await.unwrap().is_ok());
                let is_over = polled(pool.end(Duration::from_millis(patience)), polls).await;
                let refused = ask(&pool, "select 3").await.unwrap();
                assert!(matches!(refused, Err(Error::Closed { what: "pool" })));
                pool.end(Duration::from_millis(5)).await;
                for answer in waiting.into_iter().chain([running]) {
                    // Answered, one way or the other.
                    drop(answer.await.unwrap());
                }
                assert!(rests(&pool));
                assert_eq!(pool.counts().size, 0);
                server.until_open(0).await;
                is_over.is_some()
            })
            .await;
        }
    });
}

#[test]
fn sec_p01_a_pool_that_is_dropped_while_it_opens_leaves_no_socket() {
    beside(async |server: Rc<Server>| {
        every_poll(async |polls| {
            let pool = pool(&server, &json!({ "poolSize": 3, "minIdle": 2 }));
            let is_over = polled(execute(&pool, "select 1"), polls).await.is_some();
            pool.abandon();
            server.until_open(0).await;
            is_over
        })
        .await;
    });
}

#[test]
fn sec_p01_a_probe_that_is_dropped_leaves_nothing_that_the_next_one_waits_for() {
    beside(async |server: Rc<Server>| {
        // With a control connection of its own to open, and with one that is open.
        for kept in [false, true] {
            every_poll(async |polls| {
                let pool = pool(&server, &json!({ "poolSize": 1 }));
                let patience = Duration::from_secs(5);
                if kept {
                    assert!(pool.probe(patience).await.result.is_ok());
                }
                let is_over = polled(pool.probe(patience), polls).await.is_some();
                // In the middle of its question a connection is of no use to anybody.
                server.until_open(usize::from(is_over)).await;
                assert!(pool.probe(patience).await.result.is_ok());
                assert!(rests(&pool));
                pool.end(patience).await;
                assert!(pool.probe(patience).await.result.is_err());
                server.until_open(0).await;
                is_over
            })
            .await;
        }
    });
}

#[test]
fn sec_p01_a_search_for_an_outcome_that_is_dropped_leaves_the_books_right() {
    let trace = Trace {
        xid: 7,
        position: 7,
        is_whole: true,
        timeline: 1,
        started: 0,
        recovered: None,
        system: "7".into(),
        announced: false,
        status: None,
    };
    beside(async |server: Rc<Server>| {
        every_poll(async |polls| {
            let pool = pool(&server, &json!({ "poolSize": 1 }));
            let until = Instant::now() + Duration::from_millis(60);
            let is_over = polled(find_out(&*pool, &trace, until), polls).await;
            assert!(execute(&pool, "select 1").await.is_ok());
            until_rest(&pool).await;
            pool.end(Duration::from_secs(5)).await;
            server.until_open(0).await;
            is_over.is_some()
        })
        .await;
    });
}

#[test]
fn sec_p01_what_is_expected_is_opened_once_and_closed_with_the_pool() {
    beside(async |server: Rc<Server>| {
        let pool_of_two = || pool(&server, &json!({ "poolSize": 2 }));
        let pool = pool_of_two();
        pool.expect();
        pool.expect();
        assert_eq!(pool.counts().opening, 1);
        assert!(execute(&pool, "select 1").await.is_ok());
        pool.expect();
        until_rest(&pool).await;
        assert_eq!(pool.counts().size, 1);
        pool.end(Duration::from_secs(5)).await;
        pool.expect();
        assert_eq!(pool.counts().opening, 0);
        let abandoned = pool_of_two();
        abandoned.expect();
        tokio::task::yield_now().await;
        abandoned.abandon();
        server.until_open(0).await;
    });
}

#[test]
fn sec_p01_sessions_that_are_abandoned_give_their_connection_back() {
    beside(async |server: Rc<Server>| {
        let pool = pool(&server, &json!({ "poolSize": 2 }));
        for text in ["select 1", "wait"] {
            for polls in 1..20 {
                let session = Session::new(&pool);
                let first = ask_session(&session, "select 'begin'", false);
                let second = ask_session(&session, text, false);
                drop(polled(async { (first.await, second.await) }, polls).await);
                session.abandon();
                // Over is over, twice as well.
                session.abandon();
                assert!(
                    ask_session(&session, "select 2", false)
                        .await
                        .unwrap()
                        .is_err()
                );
                assert!(execute(&pool, "select 3").await.is_ok());
                until_rest(&pool).await;
            }
        }
        let session = Session::new(&pool);
        assert!(
            ask_session(&session, "select 1", true)
                .await
                .unwrap()
                .is_ok()
        );
        assert!(
            ask_session(&session, "select 2", false)
                .await
                .unwrap()
                .is_err()
        );
        until_rest(&pool).await;
        pool.end(Duration::from_secs(5)).await;
        server.until_open(0).await;
    });
}

#[test]
fn sec_p01_a_last_request_that_was_never_sent_gives_the_connection_back() {
    beside(async |server: Rc<Server>| {
        let pool = pool(&server, &json!({ "poolSize": 1 }));
        let session = Session::new(&pool);
        let first = ask_session(&session, "select 1", false);
        assert!(first.await.unwrap().is_ok());
        let (mut running, cancelled) = request("wait");
        running.timeout = Some(Duration::from_millis(50));
        session.submit(running, Origin::Engine);
        let (mut last, late) = request("select 2");
        (last.timeout, last.finish) = (Some(Duration::from_millis(1)), true);
        session.submit(last, Origin::Engine);
        assert_eq!(late.await.unwrap().unwrap_err().outcome(), Outcome::NotSent);
        assert!(cancelled.await.unwrap().is_err());
        // Whatever the connection has to tell by itself is told.
        until(|| server.open() == 1, "the end of the cancel request").await;
        for _ in 0..20 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        session.abandon();
        until_rest(&pool).await;
        assert!(execute(&pool, "select 3").await.is_ok());
        pool.end(Duration::from_secs(5)).await;
    });
}

#[test]
fn sec_p01_what_another_thread_asks_is_never_on_a_connection_that_counts_as_idle() {
    beside(async |server: Rc<Server>| {
        let pool = pool(&server, &json!({ "poolSize": 1 }));
        let text = "select 'short'";
        assert!(execute(&pool, text).await.is_ok());
        let other = Arc::clone(&pool);
        let asking = tokio::task::spawn_blocking(move || {
            let statement = Statement::intern(text).unwrap();
            for _ in 0..10_000 {
                statement.took(Duration::from_micros(5));
                let mut answer = ask(&other, text);
                {
                    let books = other.books();
                    let idle = books
                        .connections()
                        .filter(|entry| matches!(entry.usage, Use::Idle));
                    let busy = idle
                        .filter(|entry| entry.connection.unanswered() > 0)
                        .count();
                    assert_eq!(busy, 0, "idle, and something runs on it");
                }
                while matches!(answer.try_recv(), Err(TryRecvError::Empty)) {
                    std::hint::spin_loop();
                }
            }
        });
        asking.await.unwrap();
        until_rest(&pool).await;
        pool.end(Duration::from_secs(5)).await;
    });
}

#[test]
fn sec_p01_a_request_waits_no_longer_than_its_own_limit() {
    beside(async |server: Rc<Server>| {
        let pool = pool(&server, &json!({ "poolSize": 1, "acquireTimeoutMs": 8000 }));
        let session = Session::new(&pool);
        assert!(
            ask_session(&session, "select 1", false)
                .await
                .unwrap()
                .is_ok()
        );
        let waiter = Session::new(&pool);
        let started = Instant::now();
        let (mut timed, answer) = request("select 2");
        timed.timeout = Some(Duration::from_millis(20));
        waiter.submit(timed, Origin::Engine);
        let patient = ask_session(&waiter, "select 3", true);
        assert!(matches!(
            answer.await.unwrap(),
            Err(Error::Timeout {
                outcome: crate::error::Outcome::NotSent,
                ..
            })
        ));
        assert!(started.elapsed() < Duration::from_secs(4));
        assert!(
            ask_session(&session, "select 4", true)
                .await
                .unwrap()
                .is_ok()
        );
        assert!(patient.await.unwrap().is_ok());
        until_rest(&pool).await;
        pool.end(Duration::from_secs(5)).await;
    });
}

#[test]
fn sec_p01_random_uses_never_break_the_books() {
    let seed = getrandom::u64().unwrap();
    println!("seed {seed}");
    beside(async move |server: Rc<Server>| {
        let mut state = seed | 1;
        let mut roll = move |sides: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % sides
        };
        let options = json!({ "poolSize": 3, "maxUses": 7, "acquireTimeoutMs": 8000 });
        let pool = pool(&server, &options);
        let (mut answers, mut sessions) = (Vec::new(), Vec::new());
        for _ in 0..2000 {
            match roll(9) {
                0..4 => answers.push(ask(&pool, "select 1")),
                4 => {
                    let session = Session::new(&pool);
                    answers.push(ask_session(&session, "select 2", false));
                    sessions.push(session);
                }
                5 if !sessions.is_empty() => {
                    let session = sessions
                        .swap_remove(usize::try_from(roll(1 << 20)).unwrap() % sessions.len());
                    answers.push(ask_session(&session, "select 3", true));
                }
                6 if !sessions.is_empty() => {
                    sessions
                        .swap_remove(usize::try_from(roll(1 << 20)).unwrap() % sessions.len())
                        .abandon();
                }
                7 if !answers.is_empty() => {
                    drop(
                        answers
                            .swap_remove(usize::try_from(roll(1 << 20)).unwrap() % answers.len()),
                    );
                }
                8 => pool.expect(),
                _ => tokio::task::yield_now().await,
            }
            rests(&pool);
        }
        for session in sessions {
            session.abandon();
        }
        for answer in answers {
            // Each waiter is answered exactly once.
            drop(answer.await.unwrap());
        }
        until_rest(&pool).await;
        assert!(execute(&pool, "select 4").await.is_ok());
        pool.end(Duration::from_secs(5)).await;
        assert_eq!(pool.counts().size, 0);
        server.until_open(0).await;
    });
}
