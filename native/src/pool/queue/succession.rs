//! One connection, two sessions: one has sent its COMMIT and needs nothing more, the next one's BEGIN is right behind it.

use std::time::Instant;

use super::{Books, Use};

/// A session whose COMMIT is not answered yet.
#[derive(Debug)]
pub struct Predecessor<H> {
    /// That session.
    pub session: H,
    /// Until when its successor waits for that; `None`: he was told that it took too long.
    pub deadline: Option<Instant>,
}

impl<C: Clone, H: Clone, W> Books<C, H, W> {
    /// The first one who waits takes over the connection of a session that has sent its COMMIT, and since when he waited.
    /// Only where everything that may be open is in use, and not at the end of a connection's life.
    ///
    /// `ends`: is that its holder? `suits`: the session of a waiter who may come behind a COMMIT.
    pub fn succeed(
        &mut self,
        slot: usize,
        now: Instant,
        ends: impl Fn(&H) -> bool,
        suits: impl Fn(&W) -> Option<H>,
    ) -> Option<(H, Instant)> {
        let is_full = self.entries.len() >= self.bounds.max && self.idle.is_empty();
        if !is_full || self.ended || self.is_worn(slot, now) {
            return None;
        }
        let waiter = self.waiters.front()?;
        let (since, deadline) = (waiter.since, waiter.deadline);
        let successor = suits(&waiter.wanted)?;
        let entry = self.entries.get_mut(&slot)?;
        match &mut entry.usage {
            Use::Held(holder) if ends(holder) && entry.predecessor.is_none() => {
                entry.predecessor = Some(Predecessor {
                    session: std::mem::replace(holder, successor.clone()),
                    deadline: Some(deadline),
                });
            }
            _ => return None,
        }
        entry.uses += 1;
        self.waiters.pop_front();
        Some((successor, since))
    }

    /// A last request of a session was answered: the COMMIT in front of the holder, if there is one.
    pub fn pass(&mut self, slot: usize) -> Option<H> {
        let predecessor = self.entries.get_mut(&slot)?.predecessor.take();
        predecessor.map(|predecessor| predecessor.session)
    }

    /// Those who have waited for too long behind a COMMIT. They stay, but are not named again.
    pub fn overdue(&mut self, now: Instant) -> Vec<H> {
        let mut overdue = Vec::new();
        for entry in self.entries.values_mut() {
            if let (Use::Held(successor), Some(predecessor)) =
                (&entry.usage, &mut entry.predecessor)
                && predecessor.deadline.is_some_and(|deadline| deadline <= now)
            {
                predecessor.deadline = None;
                overdue.push(successor.clone());
            }
        }
        overdue
    }
}

impl<C, H, W> Books<C, H, W> {
    /// Until when successors wait for the COMMITs in front of them.
    pub(super) fn successions(&self) -> impl Iterator<Item = Instant> {
        self.entries
            .values()
            .filter_map(|entry| entry.predecessor.as_ref()?.deadline)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{Bounds, Need, Waiter};
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    /// Books with one connection, held by session 0; sessions 1, 2, ... wait.
    fn held(max: usize, waiting: u32) -> (Books<(), u32, u32>, usize, Instant) {
        let mut books = Books::new(Bounds {
            max,
            min_idle: 0,
            depth: 8,
            idle_timeout: None,
            max_uses: Some(3),
            spread: None,
        });
        let now = Instant::now();
        let slot = books.opened((), 0, now + MINUTE, now);
        books.release(slot, now);
        assert!(books.place(Need::Whole, now).is_some());
        books.hold(slot, 0);
        for wanted in 1..=waiting {
            books.wait(Waiter {
                wanted,
                since: now,
                deadline: now + wanted * MINUTE,
            });
        }
        (books, slot, now)
    }

    fn succeed(books: &mut Books<(), u32, u32>, of: u32, now: Instant) -> Option<u32> {
        let slot = books.next_slot() - 1;
        let succeeded = books.succeed(slot, now, |holder| *holder == of, |next| Some(*next));
        succeeded.map(|(successor, _)| successor)
    }

    #[test]
    fn the_first_one_who_waits_comes_behind_the_commit_of_the_holder() {
        let (mut books, slot, now) = held(1, 3);
        assert_eq!(succeed(&mut books, 7, now), None, "not the holder");
        assert_eq!(books.succeed(slot, now, |_| true, |_| None), None);
        assert_eq!(succeed(&mut books, 0, now), Some(1));
        assert_eq!(books.counts().waiting, 2);
        assert_eq!(succeed(&mut books, 1, now), None, "one at a time");
        assert_eq!(books.pass(slot), Some(0));
        assert_eq!(books.pass(slot), None);
        assert_eq!(succeed(&mut books, 1, now), Some(2));
        let (usage, predecessor) = books.closed(slot).unwrap();
        assert_eq!(usage, Use::Held(2));
        assert_eq!(predecessor.map(|predecessor| predecessor.session), Some(1));
    }

    #[test]
    fn nobody_comes_behind_a_commit_where_there_is_room_or_the_connection_or_the_pool_ends() {
        let (mut books, _, now) = held(2, 1);
        assert_eq!(succeed(&mut books, 0, now), None, "another may be opened");
        let (mut books, slot, now) = held(1, 3);
        assert_eq!(succeed(&mut books, 0, now), Some(1));
        books.pass(slot);
        assert_eq!(succeed(&mut books, 1, now), Some(2));
        books.pass(slot);
        assert_eq!(
            succeed(&mut books, 2, now),
            None,
            "used as often as it may be"
        );
        let (mut books, slot, now) = held(1, 1);
        books.condemn(slot, now);
        assert_eq!(succeed(&mut books, 0, now), None, "condemned");
        let (mut books, _, now) = held(1, 1);
        books.end();
        assert_eq!(succeed(&mut books, 0, now), None, "ended");
        let (mut books, _, now) = held(1, 0);
        assert_eq!(succeed(&mut books, 0, now), None, "nobody waits");
    }

    #[test]
    fn who_waits_too_long_behind_a_commit_is_named_once() {
        let (mut books, slot, now) = held(1, 2);
        assert_eq!(succeed(&mut books, 0, now), Some(1));
        assert_eq!(books.next_alarm(), Some(now + MINUTE));
        assert!(books.overdue(now).is_empty());
        assert_eq!(books.overdue(now + MINUTE), [1]);
        assert!(books.overdue(now + MINUTE).is_empty());
        assert_eq!(
            books.next_alarm(),
            Some(now + 2 * MINUTE),
            "the other waiter"
        );
        assert_eq!(books.pass(slot), Some(0));
        assert!(books.overdue(now + 9 * MINUTE).is_empty());
    }
}
