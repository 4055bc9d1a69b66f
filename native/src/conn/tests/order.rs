//! Reports of one connection reach its owner one at a time, whichever side takes them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, Weak};
use std::task::Context;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};

use super::loan::{Woken, connect, request};
use crate::conn::doubt::Left;
use crate::conn::driver::Driver;
use crate::conn::event_loop::EventLoop;
use crate::conn::exchange::Report;
use crate::conn::{Connection, Origin, Owner};
use crate::error::Error;

/// What another report is given to overtake one that its owner is busy with.
const HEAD_START: Duration = Duration::from_millis(100);

#[derive(Default)]
struct Heard {
    /// Reports that the owner is busy with.
    busy: usize,
    all: usize,
    answered: usize,
    overtaken: bool,
}

/// Is slow with its first report: in the middle of it the other side has one as well.
struct Slow {
    heard: Mutex<Heard>,
    another: Condvar,
    /// Has the driver called in the middle of it.
    nudges: bool,
    /// Says that it is in the middle of the first one.
    begun: Mutex<Sender<()>>,
}

impl Owner for Slow {
    fn progressed(&self, connection: &Arc<Connection>, report: Report) {
        let mut heard = self.heard.lock().unwrap();
        heard.busy += 1;
        heard.all += 1;
        heard.answered += report.finished;
        heard.overtaken |= heard.busy > 1;
        if heard.all == 1 {
            if self.nudges {
                connection.nudge();
            }
            self.begun.lock().unwrap().send(()).unwrap();
            let (left, _) = (self.another)
                .wait_timeout_while(heard, HEAD_START, |heard| !heard.overtaken)
                .unwrap();
            heard = left;
        }
        heard.busy -= 1;
        self.another.notify_all();
    }

    fn closed(&self, _connection: &Arc<Connection>, _cause: &Error, _left: Left) {}
}

/// Polls the driver of a connection, each time it is told to and was woken.
fn drive(connection: Arc<Connection>, runtime: &Handle, turns: &Receiver<()>) {
    let _entered = runtime.enter();
    let woken = Arc::new(Woken(AtomicBool::new(true)));
    let waker = Arc::clone(&woken).into();
    let mut driver = std::pin::pin!(Driver::new(connection));
    for () in turns {
        while woken.0.swap(false, Ordering::SeqCst) {
            let polled = driver.as_mut().poll(&mut Context::from_waker(&waker));
            assert!(polled.is_pending(), "the connection is over");
        }
    }
}

/// The side that is busy with a report when the other one has the next.
#[derive(Clone, Copy, Debug, PartialEq)]
enum First {
    Loop,
    Driver,
}

#[test]
fn no_report_of_one_side_overtakes_one_of_the_other() {
    for first in [First::Loop, First::Driver] {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let (connection, mut peer) = connect(&runtime);
        let (begun, in_the_middle) = channel();
        let owner = Arc::new(Slow {
            heard: Mutex::default(),
            another: Condvar::new(),
            nudges: first == First::Loop,
            begun: Mutex::new(begun),
        });
        let weak: Weak<Slow> = Arc::downgrade(&owner);
        connection.belongs_to(weak);
        let events = EventLoop::new(runtime.handle().clone()).unwrap();
        let (turn, turns) = channel();
        let (handle, its) = (runtime.handle().clone(), Arc::clone(&connection));
        let driver = std::thread::spawn(move || drive(its, &handle, &turns));
        let mut answers = Vec::new();
        let mut converse = || {
            let (request, answer) = request();
            assert!(connection.submit(request, Origin::Loop(&events)).is_ok());
            events.flush();
            peer.listen();
            peer.answer(peer.answers.len());
            events.serve(Duration::from_secs(5));
            answers.push(answer);
        };
        match first {
            First::Loop => {
                let nudged = std::thread::spawn(move || {
                    in_the_middle.recv().unwrap();
                    turn.send(()).unwrap();
                });
                converse();
                nudged.join().unwrap();
            }
            First::Driver => {
                connection.nudge();
                turn.send(()).unwrap();
                in_the_middle.recv().unwrap();
                converse();
                drop(turn);
            }
        }
        driver.join().unwrap();
        let heard = owner.heard.lock().unwrap();
        assert!(!heard.overtaken, "behind one of the {first:?}");
        assert!(heard.all > 1, "{} reports", heard.all);
        assert_eq!(heard.answered, 1);
        drop(heard);
        for mut answer in answers {
            assert!(answer.try_recv().unwrap().is_ok());
        }
    }
}
