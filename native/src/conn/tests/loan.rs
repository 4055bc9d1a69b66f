//! Sockets on loan to an event loop: every interleaving of the sides that may read, and all of them at once.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Wake};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;

use super::server::{Server, beside, description, message, profile, settings, until};
use super::{MANNER, address, open};
use crate::conn::client::Client;
use crate::conn::dial::{Route, dial};
use crate::conn::doubt::Left;
use crate::conn::driver::Driver;
use crate::conn::event_loop::EventLoop;
use crate::conn::exchange::Report;
use crate::conn::request::{LocalResult, Parameters, Reply, Request, Work};
use crate::conn::statement::{Naming, Statement};
use crate::conn::{Connection, Origin, Owner};
use crate::error::Error;
use crate::frame::Shapes;

pub(super) type Answer = oneshot::Receiver<Result<LocalResult, Error>>;

pub(super) fn request() -> (Request, Answer) {
    let (reply, answer) = Reply::local();
    let work = Work::Execute {
        statement: Statement::intern("select 1").unwrap(),
        params: Parameters::none(),
        naming: Naming::Unnamed,
        begin: None,
    };
    (Request::new(work, reply, profile()), answer)
}

/// The driver was woken.
pub(super) struct Woken(pub(super) AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// The server's end, which answers when it is told to.
pub(super) struct Peer {
    socket: TcpStream,
    received: Vec<u8>,
    pub(super) answers: Vec<u8>,
}

impl Peer {
    /// Takes what was sent and makes the answers to it.
    pub(super) fn listen(&mut self) {
        let mut piece = [0; 4096];
        loop {
            match self.socket.read(&mut piece) {
                Ok(0) => panic!("the connection was closed"),
                Ok(read) => self.received.extend_from_slice(&piece[..read]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
        }
        while let Some((&[tag, a, b, c, d], rest)) = self.received.split_first_chunk() {
            let length = usize::try_from(i32::from_be_bytes([a, b, c, d])).unwrap() - 4;
            let Some(body) = rest.get(..length) else {
                break;
            };
            match tag {
                b'P' => self.answers.extend(message(b'1', b"")),
                b'B' => self.answers.extend(message(b'2', b"")),
                b'D' if body[0] == b'S' => {
                    self.answers.extend(message(b't', &[0, 0]));
                    self.answers.extend(description());
                }
                b'D' => self.answers.extend(description()),
                b'E' => {
                    let row = message(b'D', &[0, 1, 0, 0, 0, 1, b'1']);
                    self.answers.extend(row);
                    self.answers.extend(message(b'C', b"SELECT 1\0"));
                }
                b'S' => self.answers.extend(message(b'Z', b"I")),
                _ => {}
            }
            self.received.drain(..5 + length);
        }
    }

    pub(super) fn answer(&mut self, bytes: usize) {
        let part: Vec<u8> = self.answers.drain(..bytes).collect();
        self.socket.write_all(&part).unwrap();
    }
}

/// One step of one side. Each is atomic, because all happen under the connection's lock.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// The loop's thread asks.
    Ask,
    /// The loop serves what can be read.
    Serve,
    /// The engine looks after the loans.
    Look,
    /// The driver is polled, if it was woken.
    Drive,
    /// The server answers everything.
    Answer,
    /// The server sends half of what it has to say.
    Half,
}

const STEPS: [Step; 6] = [
    Step::Ask,
    Step::Serve,
    Step::Look,
    Step::Drive,
    Step::Answer,
    Step::Half,
];

/// Connects to a peer that is in the hands of the test.
pub(super) fn connect(runtime: &Runtime) -> (Arc<Connection>, Peer) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let built = settings(listener.local_addr().unwrap(), &json!({}));
    let accepting = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut length = [0; 4];
        socket.read_exact(&mut length).unwrap();
        let mut startup = vec![0; usize::try_from(i32::from_be_bytes(length)).unwrap() - 4];
        socket.read_exact(&mut startup).unwrap();
        let mut hello = message(b'R', &[0; 4]);
        hello.extend(message(b'K', &[0, 0, 0, 1, 0, 0, 0, 7]));
        hello.extend(message(b'Z', b"I"));
        socket.write_all(&hello).unwrap();
        socket
    });
    let connection = runtime.block_on(async {
        let host = built.config.hosts[0].clone();
        let route = Route::new(Arc::new(built.config), host).unwrap();
        let shapes = Arc::new(Shapes::new());
        dial(&route, address(&route).await, 0, MANNER, shapes)
            .await
            .unwrap()
    });
    let socket = accepting.join().unwrap();
    socket.set_nonblocking(true).unwrap();
    let peer = Peer {
        socket,
        received: Vec::new(),
        answers: Vec::new(),
    };
    (Arc::new(connection), peer)
}

#[test]
fn every_interleaving_of_loop_engine_and_server_answers_every_request() {
    const LENGTH: u32 = 4;
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let (connection, mut peer) = connect(&runtime);
    let events = EventLoop::new(runtime.handle().clone()).unwrap();
    let woken = Arc::new(Woken(AtomicBool::new(true)));
    let waker = Arc::clone(&woken).into();
    let entered = runtime.enter();
    let mut driver = pin!(Driver::new(Arc::clone(&connection)));
    drop(entered);
    let mut answers: Vec<Answer> = Vec::new();
    let mut step = |step: Step, answers: &mut Vec<Answer>| match step {
        Step::Ask => {
            let (request, answer) = request();
            assert!(connection.submit(request, Origin::Loop(&events)).is_ok());
            events.flush();
            answers.push(answer);
        }
        Step::Serve => events.serve(Duration::ZERO),
        Step::Look => {
            connection.look_after();
        }
        Step::Drive => {
            // Lets the reactor say what it knows.
            runtime.block_on(tokio::task::yield_now());
            if woken.0.swap(false, Ordering::SeqCst) {
                let _entered = runtime.enter();
                let polled = driver.as_mut().poll(&mut Context::from_waker(&waker));
                assert!(polled.is_pending(), "the connection is over");
            }
        }
        Step::Answer => {
            peer.listen();
            peer.answer(peer.answers.len());
        }
        Step::Half => {
            peer.listen();
            peer.answer(peer.answers.len() / 2);
        }
    };
    for sequence in 0..STEPS.len().pow(LENGTH) {
        let mut rest = sequence;
        let mut taken = Vec::new();
        for _ in 0..LENGTH {
            taken.push(STEPS[rest % STEPS.len()]);
            rest /= STEPS.len();
        }
        for next in &taken {
            step(*next, &mut answers);
        }
        let end = Instant::now() + Duration::from_secs(5);
        // Asked by the last steps and not sent before an answer came: one at a time, in order.
        while !answers.is_empty() {
            for next in [Step::Answer, Step::Serve, Step::Look, Step::Drive] {
                step(next, &mut answers);
            }
            answers.retain_mut(|answer| match answer.try_recv() {
                Ok(result) => {
                    assert_eq!(result.unwrap().tag.as_ref(), "SELECT 1", "{taken:?}");
                    false
                }
                Err(oneshot::error::TryRecvError::Empty) => true,
                Err(oneshot::error::TryRecvError::Closed) => panic!("unanswered: {taken:?}"),
            });
            assert!(Instant::now() < end, "lost: {taken:?}");
        }
    }
}

/// Hands over more as soon as there is an answer, like a pool that others wait for, and looks whether it was sent.
struct Eager {
    server: TcpStream,
    waiting: AtomicUsize,
    early: AtomicUsize,
}

impl Owner for Eager {
    fn progressed(&self, connection: &Arc<Connection>, _report: Report) {
        for _ in 0..self.waiting.swap(0, Ordering::SeqCst) {
            let (mut request, _answer) = request();
            request.pipelined = true;
            assert!(connection.submit(request, Origin::Engine).is_ok());
            if self.server.peek(&mut [0]).is_ok() {
                self.early.fetch_add(1, Ordering::SeqCst);
            }
        }
    }

    fn closed(&self, _connection: &Arc<Connection>, _cause: &Error, _left: Left) {}
}

#[test]
fn what_a_turn_of_the_loop_hands_over_is_sent_at_its_end_and_at_once() {
    const WAITING: usize = 8;
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let (connection, mut peer) = connect(&runtime);
    let owner: Arc<Eager> = Arc::new(Eager {
        server: peer.socket.try_clone().unwrap(),
        waiting: AtomicUsize::new(WAITING),
        early: AtomicUsize::new(0),
    });
    let weak: std::sync::Weak<Eager> = Arc::downgrade(&owner);
    connection.belongs_to(weak);
    let events = EventLoop::new(runtime.handle().clone()).unwrap();
    assert!(
        connection
            .submit(request().0, Origin::Loop(&events))
            .is_ok()
    );
    events.flush();
    peer.listen();
    peer.answer(peer.answers.len());
    events.serve(Duration::ZERO);
    assert_eq!(owner.early.load(Ordering::SeqCst), 0);
    peer.listen();
    let synced = peer
        .answers
        .windows(5)
        .filter(|bytes| *bytes == message(b'Z', b"I").split_last().unwrap().1);
    assert_eq!(synced.count(), WAITING);
}

/// Asks from a thread of its own, as an event loop does, and stalls now and then.
fn loop_thread(client: &Client, events: &Arc<EventLoop>, rounds: u32) {
    for round in 0..rounds {
        let mut answers = Vec::new();
        for _ in 0..=round % 3 {
            let (request, answer) = request();
            client.submit(request, Origin::Loop(events));
            answers.push(answer);
        }
        events.flush();
        match round % 50 {
            // Not a word from the loop: the engine takes over.
            0 => std::thread::sleep(Duration::from_millis(15)),
            1 => std::thread::sleep(Duration::from_micros(300)),
            _ => {}
        }
        let end = Instant::now() + Duration::from_secs(5);
        while !answers.is_empty() {
            events.serve(Duration::from_millis(1));
            answers.retain_mut(|answer| match answer.try_recv() {
                Ok(result) => result.is_err(),
                Err(_) => true,
            });
            assert!(Instant::now() < end, "lost in round {round}");
        }
    }
}

#[test]
fn a_loop_that_stalls_and_an_engine_that_interferes_lose_nothing() {
    beside(async |server: Rc<Server>| {
        let client = open(&server).await;
        let events = EventLoop::new(Handle::current()).unwrap();
        let asking = {
            let (client, events) = (Arc::clone(&client), Arc::clone(&events));
            std::thread::spawn(move || loop_thread(&client, &events, 2000))
        };
        let mut turn = 0_u32;
        while !asking.is_finished() {
            turn += 1;
            if turn.is_multiple_of(7) {
                // Whoever wants something of the driver recalls the socket.
                client.connection().nudge();
            }
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        asking.join().unwrap();
    });
}

#[test]
fn a_loop_that_is_late_loses_the_socket_and_gets_no_other_for_a_while() {
    beside(async |server: Rc<Server>| {
        let client = open(&server).await;
        // The driver's first look recalls whatever is on loan.
        tokio::task::yield_now().await;
        let events = EventLoop::new(Handle::current()).unwrap();
        let (request, answer) = request();
        client.submit(request, Origin::Loop(&events));
        events.flush();
        // Nobody serves the loop: the engine reads the answer.
        assert!(answer.await.unwrap().is_ok());
        assert!(!events.is_punctual());
        until(|| events.is_punctual(), "forgiven").await;
        until(|| events.loans() == 0, "no loans").await;
    });
}

#[test]
fn an_idle_connection_is_the_engines() {
    beside(async |server: Rc<Server>| {
        let client = open(&server).await;
        // The driver's first look recalls whatever is on loan.
        tokio::task::yield_now().await;
        let events = EventLoop::new(Handle::current()).unwrap();
        let (request, mut answer) = request();
        client.submit(request, Origin::Loop(&events));
        events.flush();
        assert_eq!(events.loans(), 1);
        while answer.try_recv().is_err() {
            events.serve(Duration::ZERO);
            tokio::task::yield_now().await;
        }
        until(|| events.loans() == 0, "no loans").await;
        assert!(events.is_punctual(), "there was nothing to be late for");
    });
}
