//! Which idle connection is taken: the warmest one, or one of the node whose turn it is.

use super::{Books, Entry, Use};

/// How checkouts are spread over nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    /// The node with the fewest connections in use; of equal ones the next in turn.
    LeastInUse,
    /// The next in turn.
    InTurn,
    /// Any.
    Random,
}

impl<C: Clone, H, W> Books<C, H, W> {
    /// Takes a slot off the idle list.
    pub(super) fn pop_idle(&mut self) -> Option<usize> {
        let Some(spread) = self.bounds.spread else {
            return self.idle.pop();
        };
        let node_of = |slot: &usize| self.entries.get(slot).map_or(0, |entry| entry.node);
        let in_use = |node: usize| {
            let busy = |entry: &Entry<C, H>| {
                entry.node == node && !matches!(entry.usage, Use::Idle | Use::Cleaning)
            };
            self.entries.values().filter(|entry| busy(entry)).count()
        };
        // The number of places behind the last one, as in a circle.
        let turn = |node: usize| node.wrapping_sub(self.last_node).wrapping_sub(1);
        let place = match spread {
            // Nodes, not connections: one with more of them gets no more.
            Spread::Random => {
                let mut nodes: Vec<usize> = self.idle.iter().map(node_of).collect();
                nodes.sort_unstable();
                nodes.dedup();
                let pick = usize::try_from(getrandom::u32().unwrap_or_default()).unwrap_or(0);
                let node = nodes.get(pick.checked_rem(nodes.len())?).copied();
                (self.idle.iter()).rposition(|slot| Some(node_of(slot)) == node)
            }
            Spread::InTurn | Spread::LeastInUse => {
                let least = spread == Spread::LeastInUse;
                (0..self.idle.len()).min_by_key(|place| {
                    let node = self.idle.get(*place).map_or(0, node_of);
                    let used = if least { in_use(node) } else { 0 };
                    (used, turn(node), usize::MAX - place)
                })
            }
        }?;
        let slot = self.idle.remove(place);
        self.last_node = self.entries.get(&slot).map_or(0, |entry| entry.node);
        Some(slot)
    }
}
