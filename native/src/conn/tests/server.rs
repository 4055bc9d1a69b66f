//! A trusting server on this thread's runtime: answers every statement with one row, one called `wait` when it is cancelled,
//! one called `stall` never.
//! It knows whether it is in a transaction by the words BEGIN and COMMIT.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};
use tokio::task::LocalSet;

use crate::config::{Built, Settings, Surroundings};
use crate::conn::request::{LocalResult, Parameters, Part, Reply, Request, Work};
use crate::conn::statement::{Naming, Statement};
use crate::error::Error;

/// A test that hangs has failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the server knows about itself.
#[derive(Default)]
pub(crate) struct Server {
    address: Cell<Option<SocketAddr>>,
    open: Cell<usize>,
    cancels: Cell<usize>,
    last_pid: Cell<i32>,
    waiting: RefCell<HashMap<i32, Rc<Notify>>>,
    /// A word in statements that are refused, and the code they are refused with.
    refused: Cell<Option<(&'static str, &'static str)>>,
    /// From where on it says nothing more on new connections.
    silence: Cell<Option<Silence>>,
}

/// Where a server falls silent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Silence {
    /// Before the answer to the start-up packet.
    Login,
    /// Behind the login.
    Question,
}

/// Runs a test beside a server, and ends both.
pub(crate) fn beside<F: Future<Output = ()>>(test: impl FnOnce(Rc<Server>) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, async {
        let server = Rc::new(Server::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        server.address.set(Some(listener.local_addr().unwrap()));
        let accepting = tokio::task::spawn_local(accept(Rc::clone(&server), listener));
        tokio::time::timeout(PATIENCE * 2, test(Rc::clone(&server)))
            .await
            .expect("the test hangs");
        accepting.abort();
    });
}

async fn accept(server: Rc<Server>, listener: TcpListener) {
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        let server = Rc::clone(&server);
        tokio::task::spawn_local(async move {
            server.open.set(server.open.get() + 1);
            // The client may leave at any moment: that is what is tested.
            drop(serve(&server, socket).await);
            server.open.set(server.open.get() - 1);
        });
    }
}

/// Reads until the client leaves.
async fn ignore(socket: &mut TcpStream) -> std::io::Result<()> {
    while socket.read(&mut [0; 64]).await? > 0 {}
    Ok(())
}

async fn serve(server: &Server, mut socket: TcpStream) -> std::io::Result<()> {
    let length = socket.read_i32().await?;
    let mut startup = vec![0; usize::try_from(length - 4).unwrap()];
    socket.read_exact(&mut startup).await?;
    if startup.starts_with(&80_877_102_i32.to_be_bytes()) {
        let pid = i32::from_be_bytes(startup[4..8].try_into().unwrap());
        server.cancels.set(server.cancels.get() + 1);
        if let Some(waiting) = server.waiting.borrow().get(&pid) {
            waiting.notify_one();
        }
        return Ok(());
    }
    let silence = server.silence.get();
    if silence == Some(Silence::Login) {
        return ignore(&mut socket).await;
    }
    let pid = server.last_pid.get() + 1;
    server.last_pid.set(pid);
    let cancelled = Rc::new(Notify::new());
    server
        .waiting
        .borrow_mut()
        .insert(pid, Rc::clone(&cancelled));
    let mut hello = message(b'R', &[0; 4]);
    hello.extend(message(b'K', &[pid.to_be_bytes(), [0, 0, 0, 7]].concat()));
    hello.extend(message(b'Z', b"I"));
    socket.write_all(&hello).await?;
    if silence == Some(Silence::Question) {
        return ignore(&mut socket).await;
    }
    let mut answer = Vec::new();
    let (mut waits, mut stalls, mut refusal, mut status) = (false, false, None, b"I");
    loop {
        let tag = socket.read_u8().await?;
        let length = socket.read_i32().await?;
        let mut body = vec![0; usize::try_from(length - 4).unwrap()];
        socket.read_exact(&mut body).await?;
        match tag {
            b'P' => {
                waits |= body.windows(4).any(|word| word == b"wait");
                stalls |= body.windows(5).any(|word| word == b"stall");
                if body.windows(5).any(|word| word == b"BEGIN") {
                    status = b"T";
                } else if body.windows(6).any(|word| word == b"COMMIT") {
                    status = b"I";
                }
                if let Some((word, code)) = server.refused.get() {
                    let text = String::from_utf8_lossy(&body);
                    refusal = text.contains(word).then_some(code);
                }
                answer.extend(message(b'1', b""));
            }
            b'B' => answer.extend(message(b'2', b"")),
            b'C' => answer.extend(message(b'3', b"")),
            b'D' if body[0] == b'S' => {
                answer.extend(message(b't', &[0, 0]));
                answer.extend(description());
            }
            b'D' => answer.extend(description()),
            b'E' if stalls => std::future::pending().await,
            b'E' if std::mem::take(&mut waits) => {
                socket.write_all(&std::mem::take(&mut answer)).await?;
                let gone = async { socket.peek(&mut [0]).await };
                tokio::select! {
                    () = cancelled.notified() => {}
                    _ = gone => {}
                }
                let error = b"SERROR\0VERROR\0C57014\0Mcanceled\0\0";
                answer.extend(message(b'E', error));
            }
            b'E' if refusal.is_some() => {
                let code = refusal.take().unwrap_or_default();
                let error = format!("SERROR\0VERROR\0C{code}\0Mno\0\0");
                answer.extend(message(b'E', error.as_bytes()));
            }
            b'E' => {
                answer.extend(message(b'D', &[0, 1, 0, 0, 0, 1, b'1']));
                answer.extend(message(b'C', b"SELECT 1\0"));
            }
            b'Q' => {
                status = b"I";
                answer.extend(message(b'C', b"ROLLBACK\0"));
                answer.extend(message(b'Z', b"I"));
                socket.write_all(&std::mem::take(&mut answer)).await?;
            }
            b'S' => {
                answer.extend(message(b'Z', status));
                socket.write_all(&std::mem::take(&mut answer)).await?;
            }
            _ => return Ok(()),
        }
    }
}

pub(crate) fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = i32::try_from(body.len() + 4).unwrap();
    [&[tag][..], &length.to_be_bytes(), body].concat()
}

pub(crate) fn description() -> Vec<u8> {
    let mut body = vec![0, 1, b'x', 0];
    body.extend([0; 6]);
    body.extend(23_u32.to_be_bytes());
    body.extend([0, 4, 255, 255, 255, 255, 0, 0]);
    message(b'T', &body)
}

impl Server {
    /// Connections that are open, of cancel requests too.
    pub(crate) fn open(&self) -> usize {
        self.open.get()
    }

    /// Cancel requests so far.
    pub(crate) fn cancels(&self) -> usize {
        self.cancels.get()
    }

    /// Refuses statements with this word in them from now on.
    pub(crate) fn refuse(&self, word: &'static str, code: &'static str) {
        self.refused.set(Some((word, code)));
    }

    /// Says nothing more on new connections, from there on.
    pub(crate) fn silence(&self, from: Silence) {
        self.silence.set(Some(from));
    }

    /// Settings that lead here, with these options besides.
    pub(crate) fn settings(&self, options: &Value) -> Built {
        settings(self.address.get().unwrap(), options)
    }

    /// Waits until so many connections are open.
    pub(crate) async fn until_open(&self, count: usize) {
        until(|| self.open() == count, "connections of the server").await;
    }
}

/// Settings that lead to an address, with these options besides.
pub(crate) fn settings(address: SocketAddr, options: &Value) -> Built {
    let mut all = json!({
        "host": address.ip().to_string(), "port": address.port(),
        "user": "u", "database": "d", "sslmode": "disable",
    });
    for (name, value) in options.as_object().unwrap() {
        all[name] = value.clone();
    }
    let settings = Settings::from_json(&all.to_string()).unwrap();
    settings.build(&Surroundings::default()).unwrap()
}

/// Lets everything else run until something holds.
pub(crate) async fn until(holds: impl Fn() -> bool, what: &str) {
    let waited = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    assert!(
        tokio::time::timeout(PATIENCE, waited).await.is_ok(),
        "{what}"
    );
}

/// Polls a future so many times at most; `None` when it is not over by then. It is dropped in any case.
pub(crate) async fn polled<F: Future>(future: F, times: usize) -> Option<F::Output> {
    struct Polled<F> {
        future: Pin<Box<F>>,
        left: usize,
    }
    impl<F: Future> Future for Polled<F> {
        type Output = Option<F::Output>;

        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
            self.left -= 1;
            match self.future.as_mut().poll(cx) {
                Poll::Ready(output) => Poll::Ready(Some(output)),
                Poll::Pending if self.left == 0 => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        }
    }
    let future = Box::pin(future);
    Polled {
        future,
        left: times,
    }
    .await
}

/// What a request of the engine is answered with.
pub(crate) type Answer = oneshot::Receiver<Result<LocalResult, Error>>;

/// A statement that brings BEGIN along, or the COMMIT that is a session's last request; quick when it ran last.
pub(crate) fn of_transaction(text: &str, part: Part) -> (Request, Answer) {
    let (reply, answer) = Reply::local();
    let statement = Statement::intern(text).unwrap();
    statement.took(Duration::from_micros(50));
    let work = Work::Execute {
        statement,
        params: Parameters::none(),
        naming: Naming::Unnamed,
        begin: (part == Part::Inside).then(|| Statement::intern("BEGIN").unwrap()),
    };
    let mut request = Request::new(work, reply, profile());
    request.part = part;
    request.finish = part == Part::Commit;
    (request, answer)
}

/// A profile for statements of the engine.
pub(crate) fn profile() -> Arc<crate::conn::statement::NumberedProfile> {
    use crate::frame::{Preset, Profile};
    Arc::new(crate::conn::statement::NumberedProfile {
        number: 1,
        profile: Profile::new(Preset::Pg, []),
    })
}

/// What was asked and answered on a connection that has no socket.
pub(crate) fn exchange() -> crate::conn::exchange::Exchange {
    let manner = crate::conn::exchange::Manner {
        driver: crate::config::Driver::Auto,
        depth: 8,
        statements: 8,
        max_message: 1 << 20,
        policy: crate::conn::guard::Policy::default(),
        resets: true,
    };
    let shapes = Arc::new(crate::frame::Shapes::new());
    let reported = crate::conn::role::Reported::default();
    crate::conn::exchange::Exchange::new(manner, shapes, bytes::BytesMut::new(), reported)
}

/// More polls than any of the functions under test needs; each test sees for itself that its last round was complete.
const MANY: usize = 200;

/// Runs `round` with 1 … n polls until it says that its future was over.
pub(crate) async fn every_poll(mut round: impl AsyncFnMut(usize) -> bool) {
    for polls in 1..=MANY {
        if round(polls).await {
            assert!(polls > 1, "nothing was awaited");
            return;
        }
    }
    panic!("not over after {MANY} polls");
}
