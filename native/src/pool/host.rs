//! What is known about the nodes of a target, and which of them a mode may use.
//!
//! One view per set of hosts in the process, so pools of different modes on one cluster learn from each other (CP-22).
//! It is a memory, never a promise: every new connection is judged by what its server says at login.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::config::{Mode, Routing};
use crate::conn::dial::Route;
use crate::conn::role::Role;

/// Why a primary on an older timeline than the latest is not used.
pub const LEFT_BEHIND: &str = "is a primary on a timeline that the cluster has left";

/// How well a node suits a mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// It is what was asked for.
    Right,
    /// It will do when nothing better is there.
    Second,
    /// It must not be used, for this reason.
    Wrong(&'static str),
}

/// Does a role suit a mode? (CP-10, CP-13)
#[must_use]
pub const fn fit(routing: &Routing, role: Role) -> Fit {
    match (routing.mode, role) {
        (Mode::Any, _)
        | (Mode::ReadWrite | Mode::Primary, Role::Primary)
        | (Mode::Primary, Role::Fenced)
        | (Mode::ReadOnly | Mode::Standby | Mode::PreferStandby, Role::Standby) => Fit::Right,
        (Mode::ReadOnly, Role::Fenced) if routing.fenced_reads => Fit::Right,
        (Mode::PreferStandby, _) => Fit::Second,
        (Mode::ReadWrite | Mode::Primary, Role::Standby) => Fit::Wrong("is a standby"),
        (Mode::ReadWrite, Role::Fenced) => {
            Fit::Wrong("is read-only (default_transaction_read_only is on)")
        }
        (Mode::ReadOnly | Mode::Standby, Role::Primary) => Fit::Wrong("is the primary"),
        (Mode::ReadOnly | Mode::Standby, Role::Fenced) => Fit::Wrong("is a fenced primary"),
        (_, Role::Unknown) => Fit::Wrong("does not say what it is"),
    }
}

/// What distinguishes one life of a primary from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// System identifier of the cluster.
    pub system: Box<str>,
    /// Timeline it writes.
    pub timeline: u32,
}

/// What is known about one address.
#[derive(Clone, Debug, Default)]
struct Seen {
    role: Role,
    /// Its role when it was last heard of, for the order of attempts.
    last: Role,
    identity: Option<Identity>,
    /// It was given up because it answered nobody: the others are tried first.
    silent: bool,
    /// It was a primary when another one showed a later timeline. Until it shows that one itself, or is a standby.
    left_behind: bool,
}

/// Somebody who must not go on with a primary that was left behind.
pub trait Follower: Send + Sync {
    /// This node is the primary now: whatever other primaries say, the cluster has left them.
    fn superseded(&self, by: &str);
}

/// Nodes that are remembered at most: clients outside of pools see addresses that no pool forgets.
const MOST: usize = 1024;

/// What is known about the nodes of one set of hosts.
#[derive(Default)]
pub struct View {
    known: Mutex<Known>,
    followers: Mutex<Vec<Weak<dyn Follower>>>,
}

#[derive(Debug, Default)]
struct Known {
    nodes: HashMap<Box<str>, Seen>,
    /// The latest timeline a primary has shown: kept although that primary is lost, because one that was left behind
    /// comes back under its old timeline.
    latest: Option<Identity>,
}

impl Known {
    /// What is known about an address, from now on if nothing was.
    fn node(&mut self, key: &str) -> &mut Seen {
        // Whatever is forgotten is judged anew by the next connection.
        if self.nodes.len() >= MOST && !self.nodes.contains_key(key) {
            self.nodes.retain(|_, seen| seen.role != Role::Unknown);
            if self.nodes.len() >= MOST {
                self.nodes.clear();
            }
        }
        self.nodes.entry(key.into()).or_default()
    }
}

/// What a primary's timeline says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The cluster is on a later one: it must not be used.
    LeftBehind,
    /// It is on the latest that is known.
    Latest,
    /// The same, and the first one there: all others were left behind.
    Later,
}

/// A node's role has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// What it was when it was last heard of.
    pub from: Role,
    /// What it is.
    pub to: Role,
}

impl View {
    /// The process's view of these hosts.
    #[must_use]
    pub fn shared(routes: &[Route]) -> Arc<Self> {
        static VIEWS: Mutex<Vec<(String, Weak<View>)>> = Mutex::new(Vec::new());
        let mut labels: Vec<&str> = routes.iter().map(Route::label).collect();
        labels.sort_unstable();
        let name = labels.join(",");
        let mut views = VIEWS.lock().unwrap_or_else(PoisonError::into_inner);
        views.retain(|(_, view)| view.strong_count() > 0);
        let known = views.iter().find(|(known, _)| *known == name);
        if let Some(view) = known.and_then(|(_, view)| view.upgrade()) {
            return view;
        }
        let view = Arc::new(Self::default());
        views.push((name, Arc::downgrade(&view)));
        view
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a node is, as far as is known now.
    #[must_use]
    pub fn role(&self, key: &str) -> Role {
        self.known()
            .nodes
            .get(key)
            .map_or(Role::Unknown, |seen| seen.role)
    }

    /// What a node was when it was last heard of.
    #[must_use]
    pub fn last_role(&self, key: &str) -> Role {
        self.known()
            .nodes
            .get(key)
            .map_or(Role::Unknown, |seen| seen.last)
    }

    /// It answers nobody, or somebody again: a new connection does, what was said on an old one may be late.
    pub fn falls_silent(&self, key: &str, silent: bool) {
        self.known().node(key).silent = silent;
    }

    /// Did it answer nobody when it was last heard of?
    #[must_use]
    pub fn is_silent(&self, key: &str) -> bool {
        let known = self.known();
        known.nodes.get(key).is_some_and(|seen| seen.silent)
    }

    /// Is a node known that suits?
    #[must_use]
    pub fn knows(&self, suits: impl Fn(Role) -> bool) -> bool {
        self.known()
            .nodes
            .values()
            .any(|seen| seen.role != Role::Unknown && !seen.left_behind && suits(seen.role))
    }

    /// A node says what it is. `Some` when that differs from what it said last.
    pub fn note(&self, key: &str, role: Role) -> Option<Change> {
        if role == Role::Unknown {
            return None;
        }
        let mut known = self.known();
        // Asked at every turn of a connection: a name is copied for the first one only.
        if !known.nodes.contains_key(key) {
            known.node(key);
        }
        let seen = known.nodes.get_mut(key)?;
        if seen.role != role && role != Role::Primary {
            // What becomes a primary again later may have another timeline.
            seen.identity = None;
        }
        // A fenced one may be the former primary still.
        seen.left_behind &= role != Role::Standby;
        let change = Change {
            from: seen.last,
            to: role,
        };
        seen.role = role;
        seen.last = role;
        (change.from != role).then_some(change)
    }

    /// No name leads to these any more.
    pub fn forget(&self, keys: &[Box<str>]) {
        let mut known = self.known();
        for key in keys {
            known.nodes.remove(key);
        }
    }

    /// A connection to the node was lost: it must be judged anew.
    pub fn lost(&self, key: &str) {
        let mut known = self.known();
        if let Some(seen) = known.nodes.get_mut(key) {
            seen.role = Role::Unknown;
            seen.identity = None;
        }
    }

    /// Must a primary be asked for its timeline before it is used?
    #[must_use]
    pub fn needs_identity(&self, key: &str) -> bool {
        self.known()
            .nodes
            .get(key)
            .is_none_or(|seen| seen.identity.is_none())
    }

    /// The identity of a primary, as it said last.
    #[must_use]
    pub fn identity(&self, key: &str) -> Option<Identity> {
        self.known().nodes.get(key)?.identity.clone()
    }

    /// A primary says which timeline it writes.
    pub fn admit(&self, key: &str, identity: Identity) -> Standing {
        let mut known = self.known();
        let former = (known.latest.as_ref())
            .filter(|latest| latest.system == identity.system)
            .map(|latest| latest.timeline);
        let is_later = former.is_some_and(|timeline| timeline < identity.timeline);
        if former.is_some_and(|timeline| timeline > identity.timeline) {
            known.node(key).left_behind = true;
            return Standing::LeftBehind;
        }
        if is_later {
            // None of them has shown this timeline, so what they showed last is an older one.
            let others = known.nodes.iter_mut().filter(|(other, _)| ***other != *key);
            for (_, seen) in others.filter(|(_, seen)| seen.last != Role::Standby) {
                seen.identity = None;
                seen.left_behind = true;
            }
        }
        known.latest = Some(identity.clone());
        let seen = known.node(key);
        seen.identity = Some(identity);
        seen.left_behind = false;
        if is_later {
            Standing::Later
        } else {
            Standing::Latest
        }
    }

    /// Was it a primary when another one showed a later timeline?
    #[must_use]
    pub fn is_left_behind(&self, key: &str) -> bool {
        let known = self.known();
        known.nodes.get(key).is_some_and(|seen| seen.left_behind)
    }

    /// Names one more who must not go on with a primary that was left behind.
    pub fn follow(&self, follower: Weak<dyn Follower>) {
        let mut followers = self.followers();
        followers.retain(|known| known.strong_count() > 0);
        followers.push(follower);
    }

    /// Tells all followers whom to follow. No lock may be held.
    pub fn supersede(&self, by: &str) {
        let followers: Vec<_> = self.followers().iter().filter_map(Weak::upgrade).collect();
        for follower in followers {
            follower.superseded(by);
        }
    }

    fn followers(&self) -> MutexGuard<'_, Vec<Weak<dyn Follower>>> {
        self.followers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(system: &str, timeline: u32) -> Identity {
        Identity {
            system: system.into(),
            timeline,
        }
    }

    #[test]
    fn a_change_is_told_once() {
        let view = View::default();
        assert_eq!(
            view.note("a", Role::Primary),
            Some(Change {
                from: Role::Unknown,
                to: Role::Primary
            })
        );
        assert_eq!(view.note("a", Role::Primary), None);
        assert_eq!(view.note("a", Role::Unknown), None);
        view.lost("a");
        assert_eq!(
            (view.role("a"), view.last_role("a")),
            (Role::Unknown, Role::Primary)
        );
        // It comes back as what it was: nothing has changed.
        assert_eq!(view.note("a", Role::Primary), None);
        assert_eq!(
            view.note("a", Role::Fenced),
            Some(Change {
                from: Role::Primary,
                to: Role::Fenced
            })
        );
    }

    #[test]
    fn a_view_does_not_grow_with_every_address_there_ever_was() {
        let view = View::default();
        view.admit("latest", identity("1", 7));
        for number in 0..10 * MOST {
            let key = number.to_string();
            view.note(&key, Role::Primary);
            if number % 2 == 0 {
                view.lost(&key);
            }
        }
        assert!(view.known().nodes.len() <= MOST);
        // What it protects from is no matter of addresses.
        let old = view.admit("1", identity("1", 6));
        assert_eq!(old, Standing::LeftBehind);
        view.forget(&["1".into()]);
        assert!(!view.is_left_behind("1"));
    }

    #[test]
    fn silence_lasts_until_a_new_connection_is_answered() {
        let view = View::default();
        view.note("a", Role::Primary);
        view.falls_silent("a", true);
        view.note("a", Role::Primary);
        view.lost("a");
        assert!(view.is_silent("a") && !view.is_silent("b"));
        view.falls_silent("a", false);
        assert!(!view.is_silent("a"));
    }

    #[test]
    fn sec_m04_a_primary_on_an_older_timeline_was_left_behind() {
        let view = View::default();
        view.note("a", Role::Primary);
        assert!(view.needs_identity("a"));
        assert_eq!(view.admit("a", identity("1", 4)), Standing::Latest);
        assert!(!view.needs_identity("a"));
        view.lost("a");
        assert!(view.needs_identity("a"));
        assert_eq!(view.admit("b", identity("1", 5)), Standing::Later);
        assert_eq!(view.admit("a", identity("1", 4)), Standing::LeftBehind);
        assert_eq!(view.admit("a", identity("1", 5)), Standing::Latest);
        // Another cluster under the same names starts anew.
        assert_eq!(view.admit("a", identity("2", 1)), Standing::Latest);
    }

    #[test]
    fn sec_m04_what_was_believed_of_the_others_ends_with_a_later_timeline() {
        let view = View::default();
        let is_primary = |role| role == Role::Primary;
        view.note("a", Role::Primary);
        view.note("c", Role::Standby);
        view.admit("a", identity("1", 4));
        view.admit("b", identity("1", 5));
        // It was not lost, so nobody would ask it again.
        assert!(view.needs_identity("a") && view.is_left_behind("a"));
        assert!(!view.is_left_behind("b") && !view.is_left_behind("c"));
        assert!(!view.knows(is_primary));
        view.note("a", Role::Primary);
        view.note("a", Role::Fenced);
        assert!(view.is_left_behind("a"));
        view.note("a", Role::Standby);
        assert!(!view.is_left_behind("a"));
        view.note("b", Role::Primary);
        assert!(view.knows(is_primary));
    }
}
