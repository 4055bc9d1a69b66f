//! Handles: integers that name pools, sessions and clients, for any thread of the process.
//!
//! A handle is a slot and a generation. A stale one finds nothing, never somebody else's object (rule F03).

use std::sync::{Arc, PoisonError, RwLock};

use crate::conn::client::Client;
use crate::pool::Pool;
use crate::pool::session::Session;

/// What a handle names.
#[derive(Clone)]
pub(super) enum Object {
    /// A pool, which ends with its handle.
    Pool(Arc<Pool>),
    /// A pool of another environment, which goes on without this handle.
    Guest(Arc<Pool>),
    /// A session of a pool.
    Session(Arc<Session>),
    /// A single connection.
    Client(Arc<Client>),
}

/// A slot and its generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Handle {
    pub(super) slot: u32,
    pub(super) generation: u32,
}

/// Generations stay below 2²¹, so that a handle is an exact JS number: generation × 2³² + slot.
const GENERATIONS: u32 = 1 << 21;

impl Handle {
    /// The number JS sees.
    pub(super) fn to_number(self) -> f64 {
        f64::from(self.generation) * 4_294_967_296.0 + f64::from(self.slot)
    }
}

#[derive(Default)]
struct Slot {
    generation: u32,
    object: Option<Object>,
}

#[derive(Default)]
struct Slots {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

static REGISTRY: RwLock<Slots> = RwLock::new(Slots {
    slots: Vec::new(),
    free: Vec::new(),
});

/// A handle for an object.
pub(super) fn insert(object: Object) -> Handle {
    let mut registry = REGISTRY.write().unwrap_or_else(PoisonError::into_inner);
    let slot = registry.free.pop().unwrap_or_else(|| {
        registry.slots.push(Slot::default());
        u32::try_from(registry.slots.len() - 1).unwrap_or(u32::MAX)
    });
    let generation = usize::try_from(slot)
        .ok()
        .and_then(|index| registry.slots.get_mut(index))
        .map_or(0, |entry| {
            entry.object = Some(object);
            entry.generation
        });
    Handle { slot, generation }
}

/// The object of a handle, while it is registered.
pub(super) fn get(handle: Handle) -> Option<Object> {
    let registry = REGISTRY.read().unwrap_or_else(PoisonError::into_inner);
    let slot = registry.slots.get(usize::try_from(handle.slot).ok()?)?;
    if slot.generation == handle.generation {
        slot.object.clone()
    } else {
        None
    }
}

/// Takes the object out; its handle is stale from now on.
pub(super) fn remove(handle: Handle) -> Option<Object> {
    let mut registry = REGISTRY.write().unwrap_or_else(PoisonError::into_inner);
    let slot = registry.slots.get_mut(usize::try_from(handle.slot).ok()?)?;
    if slot.generation != handle.generation {
        return None;
    }
    let object = slot.object.take()?;
    slot.generation = (slot.generation + 1) % GENERATIONS;
    registry.free.push(handle.slot);
    Some(object)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::session::Session;

    #[test]
    fn sec_f03_a_stale_handle_never_finds_the_next_object_in_its_slot() {
        let first = insert(Object::Session(Session::closed()));
        assert!(get(first).is_some());
        assert!(remove(first).is_some());
        assert!(remove(first).is_none());
        let second = insert(Object::Session(Session::closed()));
        assert_eq!(first.slot, second.slot);
        assert!(get(first).is_none());
        assert!(get(second).is_some());
        assert!(
            get(Handle {
                slot: u32::MAX,
                generation: 0
            })
            .is_none()
        );
        remove(second);
    }

    #[test]
    fn a_handle_is_an_exact_number() {
        let handle = Handle {
            slot: u32::MAX,
            generation: GENERATIONS - 1,
        };
        let number = handle.to_number();
        assert!(number < 9_007_199_254_740_992.0);
        assert!((number % 4_294_967_296.0 - f64::from(u32::MAX)).abs() < f64::EPSILON);
    }
}
