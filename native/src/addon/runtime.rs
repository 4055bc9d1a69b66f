//! The engine's thread: one tokio runtime for every connection of the process.

use std::sync::LazyLock;

use neon::prelude::*;
use once_cell::sync::OnceCell;
use tokio::runtime::{Builder, Handle};

use crate::addon::settle::throw;
use crate::error::{Error, NO_THREAD};
use crate::frame::Shapes;
use std::sync::Arc;

/// Shapes of rows, numbered for the whole process.
pub(super) static SHAPES: LazyLock<Arc<Shapes>> = LazyLock::new(|| Arc::new(Shapes::new()));

static RUNTIME: OnceCell<Handle> = OnceCell::new();

/// The runtime, started at first use. A single thread: more were slower in every workload, and it never waits for
/// JavaScript.
///
/// # Errors
/// [`Error::Io`] when the operating system refuses the thread.
pub(super) fn runtime<'cx>(cx: &mut impl Context<'cx>) -> NeonResult<&'static Handle> {
    RUNTIME.get_or_try_init(start).or_else(|error| {
        let problem = format!(
            "cannot start the engine's thread: {error}; raise the limit of processes and threads (ulimit -u, or pids.max of \
             the container)"
        );
        let error = Error::Io {
            code: NO_THREAD,
            problem: problem.into(),
        };
        throw(cx, &error)
    })
}

fn start() -> std::io::Result<Handle> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    std::thread::Builder::new()
        .name("pg-berth".into())
        .spawn(move || runtime.block_on(super::submissions::run()))?;
    Ok(handle)
}
