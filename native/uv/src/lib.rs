//! Watches one file descriptor on the event loop of a Node.js environment.
//!
//! The only unsafe code of pg-berth, kept to what libuv's C interface needs. A watch lives as long as its environment:
//! an asynchronous cleanup hook closes the handle before the environment's loop is closed, and its memory is freed when
//! libuv has let go of it.
//!
//! Sources: <https://docs.libuv.org/en/v1.x/poll.html>, <https://nodejs.org/api/n-api.html>.
#![cfg(unix)]
#![allow(unsafe_code)]

mod symbols;

use std::ffi::{c_int, c_void};
use std::os::fd::{AsRawFd, OwnedFd};
use std::panic::AssertUnwindSafe;
use std::ptr;
use std::sync::Arc;

use neon::prelude::*;
use neon::sys::bindings::{self, Env};

use self::symbols::{OK, PENDING_EXCEPTION, Symbols, UV_POLL, UV_READABLE};

/// Called when the descriptor is readable; gives the function that is to be called in JS, if any.
pub type OnReadable =
    Box<dyn for<'cx> Fn(&mut Cx<'cx>) -> NeonResult<Option<Handle<'cx, JsFunction>>>>;

/// What a poll handle's data points to: libuv's from `uv_poll_init` until the close callback.
struct Watched {
    /// Memory of the `uv_poll_t`, aligned for it; never moved.
    handle: Box<[u128]>,
    env: Env,
    /// Removes the cleanup hook.
    hook: *mut c_void,
    symbols: &'static Symbols,
    on_readable: OnReadable,
    /// Open for as long as libuv polls it.
    _fd: Arc<OwnedFd>,
}

/// Calls `on_readable` on the calling thread's event loop whenever `fd` is readable, until the environment ends. The
/// watch does not keep the loop alive. Level-triggered: it is called in every turn until nothing is readable.
///
/// The function it returns is called without arguments, as Node calls a callback: microtasks and next ticks run behind
/// it, and what it throws is an uncaught exception.
///
/// Returns `false` where the process has no libuv, or libuv refuses the descriptor; then nothing is left behind.
pub fn watch<'cx>(cx: &mut impl Context<'cx>, fd: Arc<OwnedFd>, on_readable: OnReadable) -> bool {
    let Some(symbols) = Symbols::get() else {
        return false;
    };
    let env = cx.to_raw();
    let raw = fd.as_raw_fd();
    let mut event_loop = ptr::null_mut();
    // SAFETY: `env` is the environment of the running thread, `event_loop` a place for one pointer.
    let status = unsafe { (symbols.napi_get_uv_event_loop)(env, &raw mut event_loop) };
    if status != OK || event_loop.is_null() {
        return false;
    }
    // SAFETY: has no conditions.
    let size = unsafe { (symbols.uv_handle_size)(UV_POLL) };
    let mut watched = Box::new(Watched {
        handle: vec![0; size.div_ceil(size_of::<u128>())].into(),
        env,
        hook: ptr::null_mut(),
        symbols,
        on_readable,
        _fd: fd,
    });
    let handle: *mut c_void = watched.handle.as_mut_ptr().cast();
    // SAFETY: `handle` is memory of the size of a `uv_poll_t`, apart from the box that owns it; the loop is the calling
    // thread's. When this fails, libuv knows nothing of the handle.
    if unsafe { (symbols.uv_poll_init)(event_loop, handle, raw) } != OK {
        return false;
    }
    let watched = Box::into_raw(watched);
    // SAFETY: the handle was initialized on this thread's loop; its data, a box, is freed by `on_closed` alone.
    unsafe {
        (symbols.uv_handle_set_data)(handle, watched.cast());
        (symbols.uv_unref)(handle);
    }
    // SAFETY: the data of the hook lives until `on_closed`, and `hook` in it is a place for one pointer.
    let hooked = unsafe {
        let hook = &raw mut (*watched).hook;
        (symbols.napi_add_async_cleanup_hook)(env, on_cleanup, watched.cast(), hook)
    };
    if hooked != OK {
        // SAFETY: an initialized handle on its own loop, closed once: without a hook nobody else closes it.
        unsafe { (symbols.uv_close)(handle, on_closed) };
        return false;
    }
    // SAFETY: an initialized handle on its own loop. If this fails, the hook still closes the handle.
    unsafe { (symbols.uv_poll_start)(handle, UV_READABLE, on_poll) == OK }
}

/// The environment ends: libuv lets go of the handle before its loop is closed.
unsafe extern "C" fn on_cleanup(_hook: *mut c_void, data: *mut c_void) {
    let watched: *mut Watched = data.cast();
    // SAFETY: the hook's data is the box of `watch`, freed by `on_closed` alone; the hook runs once, on the loop's thread.
    unsafe {
        let handle: *mut c_void = (*watched).handle.as_mut_ptr().cast();
        ((*watched).symbols.uv_close)(handle, on_closed);
    }
}

/// libuv is done with the handle: everything that belongs to it is freed.
unsafe extern "C" fn on_closed(handle: *mut c_void) {
    let Some(symbols) = Symbols::get() else {
        return;
    };
    // SAFETY: the data of the handle is the box of `watch`; libuv calls this once and does not use the handle again.
    let watched: Box<Watched> =
        unsafe { Box::from_raw((symbols.uv_handle_get_data)(handle).cast()) };
    if !watched.hook.is_null() {
        // SAFETY: the hook was added once and is removed once, here.
        unsafe { (symbols.napi_remove_async_cleanup_hook)(watched.hook) };
    }
}

/// The descriptor is readable, or in error, which reading will tell.
unsafe extern "C" fn on_poll(handle: *mut c_void, _status: c_int, _events: c_int) {
    let Some(symbols) = Symbols::get() else {
        return;
    };
    // SAFETY: the data of the handle is the box of `watch`, which lives until the handle is closed, and a closed handle
    // is not polled.
    let watched: Option<&Watched> = unsafe {
        (symbols.uv_handle_get_data)(handle)
            .cast::<Watched>()
            .as_ref()
    };
    let Some(watched) = watched else {
        return;
    };
    // A panic must not cross into C. The panic hook has reported it, and what it has interrupted is settled by its owner.
    drop(std::panic::catch_unwind(AssertUnwindSafe(|| {
        watched.call();
    })));
}

impl Watched {
    fn call(&self) {
        let (symbols, env) = (self.symbols, self.env);
        let mut opened = ptr::null_mut();
        // SAFETY: the environment is alive, because its cleanup closes the handle first, and this is its thread.
        if unsafe { (symbols.napi_open_handle_scope)(env, &raw mut opened) } != OK {
            return;
        }
        let _scope = Scope {
            env,
            opened,
            symbols,
        };
        // SAFETY: the handle scope opened above outlives the context.
        let mut cx = unsafe { Cx::from_raw(env) };
        // What fails here has thrown in JS; there is no caller it could reach, so it is an uncaught exception too.
        let status = match (self.on_readable)(&mut cx) {
            Ok(None) => return,
            Ok(Some(function)) => {
                let function = function.to_raw();
                let mut global: bindings::Value = ptr::null_mut();
                // SAFETY: `env` is usable again, the context is not used any more; all places are valid.
                unsafe {
                    if (symbols.napi_get_global)(env, &raw mut global) != OK {
                        return;
                    }
                    (symbols.napi_make_callback)(
                        env,
                        ptr::null_mut(),
                        global,
                        function,
                        0,
                        ptr::null(),
                        ptr::null_mut(),
                    )
                }
            }
            Err(_) => PENDING_EXCEPTION,
        };
        if status == PENDING_EXCEPTION {
            let mut thrown: bindings::Value = ptr::null_mut();
            // SAFETY: as above.
            unsafe {
                if (symbols.napi_get_and_clear_last_exception)(env, &raw mut thrown) == OK {
                    (symbols.napi_fatal_exception)(env, thrown);
                }
            }
        }
    }
}

/// Closes a handle scope.
struct Scope {
    env: Env,
    opened: *mut c_void,
    symbols: &'static Symbols,
}

impl Drop for Scope {
    fn drop(&mut self) {
        // SAFETY: opened on this thread, closed once.
        unsafe { (self.symbols.napi_close_handle_scope)(self.env, self.opened) };
    }
}
