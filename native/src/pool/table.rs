//! The nodes of one pool as users see them: what each is, when it was heard of, and what went wrong with it last.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::conn::role::Role;
use crate::error::Error;

/// One address of one host.
#[derive(Clone, Debug)]
pub struct Node {
    /// Place of the host in the list.
    pub host: usize,
    /// What it said last; `None`: it does not answer.
    pub role: Option<Role>,
    /// When it was heard of last.
    pub heard: Option<Instant>,
    /// How long the last attempt or look took.
    pub took: Duration,
    /// The last failure, and when.
    pub failure: Option<(Error, Instant)>,
    /// How far it replayed behind when it was asked last; `None`: it was not, it is no standby, or it does not say.
    pub lag: Option<Duration>,
}

/// What a node was before, as far as this pool was told, in a word.
pub type Former = Option<&'static str>;

/// The word for a node that does not answer.
pub const UNREACHABLE: &str = "unreachable";

/// All nodes by address, and the primary's address.
#[derive(Debug, Default)]
pub struct Overview {
    /// By address.
    pub nodes: Vec<(Box<str>, Node)>,
    /// The primary's address, as far as is known.
    pub primary: Option<Box<str>>,
}

impl Node {
    /// What it is, in a word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        self.role.map_or(UNREACHABLE, Role::as_str)
    }
}

/// A node whose name does not lead to it any more is forgotten so long after it was heard of or tried last.
const KEPT: Duration = Duration::from_secs(600);
/// Nodes of a host that are kept at most beside those that its name leads to and those with connections.
const MOST: usize = 32;

#[derive(Debug, Default)]
struct Nodes {
    by_address: BTreeMap<Box<str>, Node>,
    /// Open connections by address.
    open: BTreeMap<Box<str>, usize>,
    /// The node that was the primary last, and when it was lost.
    primary: Option<(Box<str>, Option<Instant>)>,
    /// What they said last about how far they replay behind: perhaps before they are known for what they are.
    lags: BTreeMap<Box<str>, Duration>,
}

/// The nodes of one pool.
#[derive(Debug, Default)]
pub struct Table {
    nodes: Mutex<Nodes>,
}

impl Table {
    fn nodes(&self) -> MutexGuard<'_, Nodes> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more connection to a node is open.
    pub fn opened(&self, key: &str) {
        *self.nodes().open.entry(key.into()).or_default() += 1;
    }

    /// A connection to a node is over.
    pub fn closed(&self, key: &str) {
        let mut nodes = self.nodes();
        if let Some(open) = nodes.open.get_mut(key) {
            *open = open.saturating_sub(1);
            if *open == 0 {
                nodes.open.remove(key);
            }
        }
    }

    /// The name of a host leads to these addresses now: other nodes of the host are forgotten in time. Gives those that are.
    pub fn led_to(&self, host: usize, keys: &[Box<str>], now: Instant) -> Vec<Box<str>> {
        let mut nodes = self.nodes();
        let latest = |node: &Node| {
            let failed = node.failure.as_ref().map(|(_, at)| *at);
            node.heard.max(failed)
        };
        let mut left: Vec<_> = (nodes.by_address.iter())
            .filter(|(key, node)| {
                node.host == host && !keys.contains(key) && !nodes.open.contains_key(*key)
            })
            .map(|(key, node)| (latest(node), key.clone()))
            .collect();
        left.sort_unstable();
        let surplus = left.len().saturating_sub(MOST);
        let is_old =
            |at: Option<Instant>| at.is_none_or(|at| now.saturating_duration_since(at) >= KEPT);
        let forgotten: Vec<_> = (left.into_iter().enumerate())
            .filter(|(place, (at, _))| *place < surplus || is_old(*at))
            .map(|(_, (_, key))| key)
            .collect();
        for key in &forgotten {
            nodes.by_address.remove(key);
            nodes.lags.remove(key);
        }
        forgotten
    }

    /// A node says what it is. `Some` when that is new to this pool.
    pub fn heard(&self, host: usize, key: &str, role: Role, took: Duration) -> Option<Former> {
        let mut nodes = self.nodes();
        let node = Node {
            host,
            role: Some(role),
            heard: Some(Instant::now()),
            took,
            failure: None,
            lag: None,
        };
        let Some(known) = nodes.by_address.get_mut(key) else {
            nodes.by_address.insert(key.into(), node);
            return Some(None);
        };
        let former = known.word();
        let failure = known.failure.take();
        *known = Node { failure, ..node };
        (former != role.as_str()).then_some(Some(former))
    }

    /// A node says how far it replays behind.
    pub fn lags(&self, key: &str, lag: Duration) {
        let mut nodes = self.nodes();
        match nodes.lags.get_mut(key) {
            Some(known) => *known = lag,
            None => drop(nodes.lags.insert(key.into(), lag)),
        }
    }

    /// A node is the primary. `Some` when another one was before: that one, and how long there was none.
    pub fn leads(&self, key: &str) -> Option<(Box<str>, Option<Duration>)> {
        let mut nodes = self.nodes();
        let former = nodes.primary.replace((key.into(), None))?;
        let took = former.1.map(|lost| lost.elapsed());
        (*former.0 != *key).then_some((former.0, took))
    }

    /// A node answers, and what it is cannot be used.
    pub fn misfits(&self, key: &str, why: &Error) {
        if let Some(known) = self.nodes().by_address.get_mut(key) {
            known.failure = Some((why.clone(), Instant::now()));
        }
    }

    /// A node does not answer, or not as it should. `Some` when that is new to this pool.
    pub fn failed(&self, host: usize, key: &str, error: &Error, took: Duration) -> Option<Former> {
        let mut nodes = self.nodes();
        // One that lets nobody in any more is still what it said on the connections that are open.
        if is_full(error)
            && let Some(known) = nodes.by_address.get_mut(key)
            && known.role.is_some()
        {
            known.failure = Some((error.clone(), Instant::now()));
            return None;
        }
        if let Some((primary, lost)) = &mut nodes.primary
            && **primary == *key
        {
            lost.get_or_insert_with(Instant::now);
        }
        let failure = Some((error.clone(), Instant::now()));
        let Some(known) = nodes.by_address.get_mut(key) else {
            let node = Node {
                host,
                role: None,
                heard: None,
                took,
                failure,
                lag: None,
            };
            nodes.by_address.insert(key.into(), node);
            return Some(None);
        };
        let former = known.word();
        known.failure = failure;
        known.took = took;
        (known.role.take().is_some()).then_some(Some(former))
    }

    /// What is known now.
    #[must_use]
    pub fn overview(&self) -> Overview {
        let nodes = self.nodes();
        let is_primary = |key: &str| {
            let node = nodes.by_address.get(key);
            node.is_some_and(|node| node.role == Some(Role::Primary))
        };
        let last = nodes.primary.as_ref().map(|(key, _)| key.clone());
        let primary = last.filter(|key| is_primary(key));
        let all = nodes.by_address.iter();
        Overview {
            nodes: all
                .map(|(key, node)| {
                    let lag = nodes.lags.get(key).copied();
                    let is_said =
                        |lag: &Duration| node.role == Some(Role::Standby) && *lag < Duration::MAX;
                    let node = Node {
                        lag: lag.filter(is_said),
                        ..node.clone()
                    };
                    (key.clone(), node)
                })
                .collect(),
            primary,
        }
    }
}

/// Does the server refuse one more connection, rather than be away?
fn is_full(error: &Error) -> bool {
    matches!(error, Error::Refused(server) if server.code.starts_with("53"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_told_once_and_the_last_failure_is_kept() {
        let table = Table::default();
        let (took, gone) = (Duration::ZERO, Error::Closed { what: "client" });
        assert_eq!(table.heard(0, "a", Role::Primary, took), Some(None));
        assert_eq!(table.heard(0, "a", Role::Primary, took), None);
        assert_eq!(table.leads("a"), None);
        assert_eq!(table.overview().primary.as_deref(), Some("a"));
        assert_eq!(table.failed(0, "a", &gone, took), Some(Some("primary")));
        assert_eq!(table.failed(0, "a", &gone, took), None);
        assert_eq!(table.overview().primary, None);
        let back = table.heard(0, "a", Role::Standby, took);
        assert_eq!(back, Some(Some(UNREACHABLE)));
        assert!(table.overview().nodes[0].1.failure.is_some());
        assert_eq!(table.failed(1, "b", &gone, took), Some(None));
    }

    #[test]
    fn a_name_whose_addresses_change_leaves_no_trail_of_nodes() {
        let table = Table::default();
        let (took, gone) = (Duration::ZERO, Error::Closed { what: "client" });
        let led_to = |name: &str, now| table.led_to(0, &[name.into()], now);
        let count = || table.overview().nodes.len();
        let now = Instant::now();
        table.heard(0, "used", Role::Primary, took);
        table.opened("used");
        for number in 0..1000 {
            let name = format!("10.0.0.{number}");
            led_to(&name, now);
            table.lags(&name, took);
            match number % 2 {
                0 => table.heard(0, &name, Role::Standby, took),
                _ => table.failed(0, &name, &gone, took),
            };
        }
        assert_eq!(count(), 1 + MOST + 1);
        assert_eq!(table.nodes().lags.len(), MOST + 1);
        // Another host's nodes are none of its business.
        table.heard(1, "other", Role::Standby, took);
        let later = Instant::now() + KEPT;
        assert_eq!(led_to("10.0.0.999", later).len(), MOST);
        assert_eq!(count(), 3);
        // Where a connection leads stays until that is over.
        table.closed("used");
        assert_eq!(led_to("10.0.0.999", later), [Box::<str>::from("used")]);
        assert_eq!(count(), 2);
    }

    #[test]
    fn an_address_that_comes_and_goes_is_kept() {
        let table = Table::default();
        table.heard(0, "a", Role::Standby, Duration::ZERO);
        assert!(table.led_to(0, &["b".into()], Instant::now()).is_empty());
        assert_eq!(table.overview().nodes.len(), 1);
    }

    #[test]
    fn a_failover_names_the_former_primary_once() {
        let table = Table::default();
        let gone = |key| {
            table.failed(0, key, &Error::Closed { what: "client" }, Duration::ZERO);
        };
        assert_eq!(table.leads("a"), None);
        assert_eq!(table.leads("a"), None);
        assert_eq!(table.leads("b"), Some(("a".into(), None)));
        for lost in ["a", "b", "b"] {
            gone(lost);
        }
        let (former, took) = table.leads("a").unwrap();
        assert_eq!((&*former, took.is_some()), ("b", true));
        // A primary that was lost and comes back was never replaced.
        gone("a");
        assert_eq!(table.leads("a"), None);
        assert_eq!(table.leads("b"), Some(("a".into(), None)));
    }
}
