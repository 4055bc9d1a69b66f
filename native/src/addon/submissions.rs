//! Requests on their way from JS threads to the engine's thread, in order.
//!
//! A JS thread only copies its outbox: choosing connections and encoding happen on the engine's thread, where no lock
//! is contended and waking a connection costs no system call. A request that is alone is started by the JS thread
//! itself, which saves the hop.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::addon::desk::Desk;
use crate::addon::requests;

/// One tick's requests of one environment.
type Batch = (Arc<Desk>, Vec<u8>);

/// What was submitted and not started yet.
static QUEUE: Mutex<Vec<Batch>> = Mutex::new(Vec::new());
/// Held while batches are started, so that they start in order whichever thread does it.
static TURN: Mutex<()> = Mutex::new(());
static SUBMITTED: Notify = Notify::const_new();

fn queue() -> MutexGuard<'static, Vec<Batch>> {
    QUEUE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts requests, or has them started by the engine's thread.
///
/// Returns `false` when the bytes are no sequence of whole records, which is only found out when `alone`.
pub(super) fn submit(desk: &Arc<Desk>, outbox: &[u8], alone: bool) -> bool {
    if alone {
        let _turn = start_pending();
        return requests::start_all(desk, outbox, true);
    }
    let was_empty = {
        let mut queue = queue();
        queue.push((Arc::clone(desk), outbox.to_vec()));
        queue.len() == 1
    };
    if was_empty {
        SUBMITTED.notify_one();
    }
    true
}

/// Starts everything that was submitted. Called before anything that must see earlier requests: an end, a cancel.
pub(super) fn start_pending() -> MutexGuard<'static, ()> {
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let batches = std::mem::take(&mut *queue());
        if batches.is_empty() {
            return turn;
        }
        for (desk, outbox) in batches {
            // JS wrote the records; a broken one was counted wrong there, and its promise is all that is lost.
            requests::start_all(&desk, &outbox, false);
        }
    }
}

/// Starts submitted requests for as long as the process lives.
pub(super) async fn run() {
    loop {
        SUBMITTED.notified().await;
        drop(start_pending());
    }
}
