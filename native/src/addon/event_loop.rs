//! The event loop of an environment: watched by libuv, so that sockets can be lent to it.

use std::sync::Arc;

use neon::prelude::*;

use crate::addon::environment::current;
use crate::addon::runtime::runtime;
use crate::conn::event_loop::EventLoop;

/// Has libuv watch the loop of the calling thread's environment. Called before anything is opened; once is enough.
///
/// `None` where sockets cannot be lent: not on this platform, or not in this runtime.
pub(super) fn attach<'cx>(cx: &mut impl Context<'cx>) -> NeonResult<Option<Arc<EventLoop>>> {
    let Some(events) = EventLoop::new(runtime(cx)?.clone()) else {
        return Ok(None);
    };
    Ok(watch(cx, &events).then_some(events))
}

#[cfg(target_os = "linux")]
fn watch<'cx>(cx: &mut impl Context<'cx>, events: &Arc<EventLoop>) -> bool {
    let served = Arc::clone(events);
    let on_readable: pg_berth_uv::OnReadable = Box::new(move |cx| {
        let environment = current(cx)?;
        environment.mailbox.attend();
        served.serve(std::time::Duration::ZERO);
        let arrived = environment.mailbox.leave();
        Ok(arrived.then(|| environment.on_wake.to_inner(cx)))
    });
    pg_berth_uv::watch(cx, events.descriptor(), on_readable)
}

#[cfg(not(target_os = "linux"))]
fn watch<'cx>(_cx: &mut impl Context<'cx>, _events: &Arc<EventLoop>) -> bool {
    false
}
