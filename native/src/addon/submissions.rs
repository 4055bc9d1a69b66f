//! Requests on their way from JS threads to the engine's thread, in order.
//!
//! What is read on the event loop of the JS thread is started there as well. For what the engine reads, a JS thread only
//! copies its outbox: choosing connections and encoding happen on the engine's thread, where no lock is contended and
//! waking a connection costs no system call; a request that is alone is started by the JS thread, which saves the hop.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::addon::desk::Desk;
use crate::addon::requests::{self, Caller};

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
/// Returns `false` when the bytes are no sequence of whole records, which is only found out by the thread that starts them.
pub(super) fn submit(desk: &Arc<Desk>, outbox: &[u8], caller: Caller<'_>) -> bool {
    if caller.events.is_none() && !caller.alone {
        queue_up(desk, outbox.to_vec());
        return true;
    }
    let mut left = Vec::new();
    let whole = {
        let _turn = start_pending();
        requests::start_all(desk, outbox, caller, &mut left)
    };
    if let Some(events) = caller.events {
        events.flush();
    }
    if !left.is_empty() {
        queue_up(desk, left);
    }
    whole
}

/// Leaves requests to the engine's thread.
fn queue_up(desk: &Arc<Desk>, outbox: Vec<u8>) {
    let was_empty = {
        let mut queue = queue();
        queue.push((Arc::clone(desk), outbox));
        queue.len() == 1
    };
    if was_empty {
        SUBMITTED.notify_one();
    }
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
            requests::start_all(&desk, &outbox, Caller::ENGINE, &mut Vec::new());
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
