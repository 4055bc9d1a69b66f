//! The C functions of the running process: a few of libuv, and the Node-API functions Neon does not bind.

use std::ffi::{c_int, c_void};
use std::sync::OnceLock;

use libloading::os::unix::{Library, Symbol};
use neon::sys::bindings::{Env, Value};

/// `uv_poll_cb`.
pub(crate) type OnPoll = unsafe extern "C" fn(*mut c_void, c_int, c_int);
/// `uv_close_cb`.
pub(crate) type OnClosed = unsafe extern "C" fn(*mut c_void);
/// `napi_async_cleanup_hook`.
pub(crate) type OnCleanup = unsafe extern "C" fn(*mut c_void, *mut c_void);

/// `napi_ok`.
pub(crate) const OK: c_int = 0;
/// `napi_pending_exception`.
pub(crate) const PENDING_EXCEPTION: c_int = 10;
/// `UV_POLL` of `uv_handle_type`.
pub(crate) const UV_POLL: c_int = 8;
/// `UV_READABLE`.
pub(crate) const UV_READABLE: c_int = 1;

/// Functions by their C names.
pub(crate) struct Symbols {
    pub(crate) napi_get_uv_event_loop: Symbol<unsafe extern "C" fn(Env, *mut *mut c_void) -> c_int>,
    pub(crate) napi_open_handle_scope: Symbol<unsafe extern "C" fn(Env, *mut *mut c_void) -> c_int>,
    pub(crate) napi_close_handle_scope: Symbol<unsafe extern "C" fn(Env, *mut c_void) -> c_int>,
    pub(crate) napi_get_global: Symbol<unsafe extern "C" fn(Env, *mut Value) -> c_int>,
    pub(crate) napi_make_callback: Symbol<
        unsafe extern "C" fn(
            Env,
            *mut c_void,
            Value,
            Value,
            usize,
            *const Value,
            *mut Value,
        ) -> c_int,
    >,
    pub(crate) napi_get_and_clear_last_exception:
        Symbol<unsafe extern "C" fn(Env, *mut Value) -> c_int>,
    pub(crate) napi_fatal_exception: Symbol<unsafe extern "C" fn(Env, Value) -> c_int>,
    pub(crate) napi_add_async_cleanup_hook:
        Symbol<unsafe extern "C" fn(Env, OnCleanup, *mut c_void, *mut *mut c_void) -> c_int>,
    pub(crate) napi_remove_async_cleanup_hook: Symbol<unsafe extern "C" fn(*mut c_void) -> c_int>,
    pub(crate) uv_handle_size: Symbol<unsafe extern "C" fn(c_int) -> usize>,
    pub(crate) uv_handle_get_data: Symbol<unsafe extern "C" fn(*const c_void) -> *mut c_void>,
    pub(crate) uv_handle_set_data: Symbol<unsafe extern "C" fn(*mut c_void, *mut c_void)>,
    pub(crate) uv_poll_init: Symbol<unsafe extern "C" fn(*mut c_void, *mut c_void, c_int) -> c_int>,
    pub(crate) uv_poll_start: Symbol<unsafe extern "C" fn(*mut c_void, c_int, OnPoll) -> c_int>,
    pub(crate) uv_close: Symbol<unsafe extern "C" fn(*mut c_void, OnClosed)>,
    pub(crate) uv_unref: Symbol<unsafe extern "C" fn(*mut c_void)>,
}

impl Symbols {
    /// All of them; `None` when the process lacks one.
    pub(crate) fn get() -> Option<&'static Self> {
        static SYMBOLS: OnceLock<Option<Symbols>> = OnceLock::new();
        SYMBOLS.get_or_init(Self::load).as_ref()
    }

    fn load() -> Option<Self> {
        let process = Library::this();
        macro_rules! symbol {
            ($name:ident) => {
                // SAFETY: the type of the field is the function's C declaration (node_api.h of version 8, uv.h of 1.x).
                // The library is the process itself, which is never unloaded.
                unsafe { process.get(concat!(stringify!($name), "\0").as_bytes()).ok()? }
            };
        }
        Some(Self {
            napi_get_uv_event_loop: symbol!(napi_get_uv_event_loop),
            napi_open_handle_scope: symbol!(napi_open_handle_scope),
            napi_close_handle_scope: symbol!(napi_close_handle_scope),
            napi_get_global: symbol!(napi_get_global),
            napi_make_callback: symbol!(napi_make_callback),
            napi_get_and_clear_last_exception: symbol!(napi_get_and_clear_last_exception),
            napi_fatal_exception: symbol!(napi_fatal_exception),
            napi_add_async_cleanup_hook: symbol!(napi_add_async_cleanup_hook),
            napi_remove_async_cleanup_hook: symbol!(napi_remove_async_cleanup_hook),
            uv_handle_size: symbol!(uv_handle_size),
            uv_handle_get_data: symbol!(uv_handle_get_data),
            uv_handle_set_data: symbol!(uv_handle_set_data),
            uv_poll_init: symbol!(uv_poll_init),
            uv_poll_start: symbol!(uv_poll_start),
            uv_close: symbol!(uv_close),
            uv_unref: symbol!(uv_unref),
        })
    }
}
