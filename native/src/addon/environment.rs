//! What belongs to one JS environment (the main thread or a worker): its mailbox, desk and open objects.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use neon::event::Channel;
use neon::object::Object as _;
use neon::prelude::*;
use neon::thread::LocalKey;

use crate::addon::desk::Desk;
use crate::addon::event_loop;
use crate::addon::mailbox::Mailbox;
use crate::addon::registry::{self, Handle, Object};
use crate::addon::submissions::start_pending;
use crate::config::Driver;
use crate::conn::event_loop::EventLoop;
use crate::conn::request::Outlet;

static ENVIRONMENT: LocalKey<Environment> = LocalKey::new();

/// One JS environment.
pub(super) struct Environment {
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) desk: Arc<Desk>,
    /// Called on this environment's thread whenever answers have arrived.
    pub(super) on_wake: Root<JsFunction>,
    /// The runtime has an event loop that sockets can be lent to.
    lends: bool,
    /// Keeps the event loop alive while requests are pending.
    alive: Mutex<Channel>,
    /// Ended with the environment.
    owned: Mutex<HashSet<(u32, u32)>>,
}

/// The calling thread's environment.
///
/// # Errors
/// Throws when `setup` was not called.
pub(super) fn current<'cx>(cx: &mut impl Context<'cx>) -> NeonResult<&'cx Environment> {
    match ENVIRONMENT.get(cx) {
        Some(environment) => Ok(environment),
        None => cx.throw_error("the engine was not set up in this thread"),
    }
}

/// Makes the calling thread an environment; a second call changes nothing.
pub(super) fn set_up<'cx>(cx: &mut impl Context<'cx>, on_wake: Handle0<'cx>, lends: bool) {
    let mut alive = Channel::new(cx);
    alive.unref(cx);
    let mut channel = Channel::new(cx);
    channel.unref(cx);
    let on_wake = on_wake.root(cx);
    ENVIRONMENT.get_or_init(cx, || {
        let mailbox = Arc::new(Mailbox::new(channel));
        Environment {
            desk: Arc::new(Desk::new(mailbox.clone())),
            mailbox,
            on_wake,
            lends,
            alive: Mutex::new(alive),
            owned: Mutex::default(),
        }
    });
}

/// A JS function on its way into the environment.
pub(super) type Handle0<'cx> = neon::handle::Handle<'cx, JsFunction>;

impl Environment {
    /// Where answers go.
    pub(super) fn outlet(&self) -> Arc<dyn Outlet> {
        self.desk.outlet()
    }

    /// The event loop that sockets are lent to, if there is one.
    pub(super) fn event_loop(&self) -> Option<&Arc<EventLoop>> {
        self.mailbox.event_loop()
    }

    /// Looks for the event loop, the first time something is opened.
    pub(super) fn find_loop<'cx>(&self, cx: &mut impl Context<'cx>) -> NeonResult<()> {
        if self.lends && !self.mailbox.has_looked() {
            self.mailbox.attach(event_loop::attach(cx)?);
        }
        Ok(())
    }

    /// Who reads the connections that this environment's statements are on, in the words of the option.
    pub(super) fn driver(&self, chosen: Driver) -> &'static str {
        match (chosen, self.event_loop()) {
            (Driver::Auto | Driver::Loop, Some(_)) => "loop",
            (Driver::Engine, _) | (_, None) => "engine",
        }
    }

    /// Keeps the event loop alive, or lets it end.
    pub(super) fn hold<'cx>(&self, cx: &mut impl Context<'cx>, hold: bool) {
        let mut alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner);
        if hold {
            alive.reference(cx);
        } else {
            alive.unref(cx);
        }
    }

    /// Registers an object that ends with this environment.
    pub(super) fn own(&self, object: Object) -> Handle {
        let handle = registry::insert(object);
        self.owned().insert((handle.slot, handle.generation));
        handle
    }

    /// Takes an object out of the registry.
    pub(super) fn disown(&self, handle: Handle) -> Option<Object> {
        self.owned().remove(&(handle.slot, handle.generation));
        registry::remove(handle)
    }

    fn owned(&self) -> std::sync::MutexGuard<'_, HashSet<(u32, u32)>> {
        self.owned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Environment {
    /// The thread ends: nobody will read or end what it has opened.
    fn drop(&mut self) {
        drop(start_pending());
        self.mailbox.close();
        let outlet = self.outlet();
        let owned = std::mem::take(&mut *self.owned());
        for (slot, generation) in owned {
            if let Some(object) = registry::remove(Handle { slot, generation }) {
                if let Object::Guest(pool) = &object {
                    pool.forsake(&outlet);
                }
                super::objects::abandon(object);
            }
        }
    }
}
