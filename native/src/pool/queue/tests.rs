//! Behaviour of the books, case by case.

use std::time::{Duration, Instant};

use super::*;

fn books(spread: Option<Spread>) -> Books<u32, (), ()> {
    Books::new(Bounds {
        max: 8,
        min_idle: 0,
        depth: 8,
        idle_timeout: None,
        max_uses: None,
        spread,
    })
}

/// Four idle connections, two to each of two nodes.
fn two_nodes(spread: Spread) -> Books<u32, (), ()> {
    let mut books = books(Some(spread));
    let now = Instant::now();
    for (connection, node) in [(0, 0), (1, 0), (2, 1), (3, 1)] {
        let slot = books.opened(connection, node, now + Duration::from_secs(60), now);
        books.release(slot, now);
    }
    books
}

#[test]
fn without_spreading_the_connection_returned_last_is_taken_first() {
    let mut books = books(None);
    let now = Instant::now();
    for connection in 0..3 {
        let slot = books.opened(connection, 0, now + Duration::from_secs(60), now);
        books.release(slot, now);
    }
    assert_eq!(books.place(Need::Whole, now).map(|(_, c)| c), Some(2));
}

#[test]
fn nodes_take_turns_or_the_least_used_one_is_taken() {
    for spread in [Spread::InTurn, Spread::LeastInUse] {
        let mut books = two_nodes(spread);
        let now = Instant::now();
        let nodes: Vec<_> = (0..4)
            .filter_map(|_| books.place(Need::Single, now).map(|(_, c)| c / 2))
            .collect();
        assert_eq!(nodes, [0, 1, 0, 1], "{spread:?}");
    }
    let mut books = two_nodes(Spread::LeastInUse);
    let now = Instant::now();
    let (first, _) = books.place(Need::Single, now).unwrap();
    let (second, _) = books.place(Need::Single, now).unwrap();
    let node = |books: &mut Books<u32, (), ()>, slot| books.entry(slot).unwrap().node;
    assert_ne!(node(&mut books, first), node(&mut books, second));
    // The node whose statement is over is the one that has room.
    books.answered(first, 1, now);
    books.release(first, now);
    let freed = node(&mut books, first);
    let (third, _) = books.place(Need::Single, now).unwrap();
    assert_eq!(node(&mut books, third), freed);
}

#[test]
fn evicted_connections_are_idle_ones_that_match_and_leave_the_idle_list() {
    let mut books = two_nodes(Spread::InTurn);
    let now = Instant::now();
    let (busy, _) = books.place(Need::Whole, now).unwrap();
    assert_eq!(books.entry(busy).unwrap().node, 0);
    let mut evicted = books.evict(|connection| *connection < 2);
    evicted.sort_unstable();
    assert_eq!(evicted.len(), 1);
    assert_eq!(books.counts().available, 2);
}

#[test]
fn news_of_a_connection_that_has_ended_is_no_news_of_the_next_one() {
    let mut books = books(None);
    let now = Instant::now();
    let open = |books: &mut Books<u32, (), ()>, connection| {
        let slot = books.opened(connection, 0, now + Duration::from_secs(60), now);
        books.release(slot, now);
        slot
    };
    let first = open(&mut books, 1);
    books.closed(first);
    open(&mut books, 2);
    assert_eq!(books.place(Need::Shared, now).map(|(_, c)| c), Some(2));
    assert!(!books.answered(first, 1, now));
    assert!(books.release(first, now).is_none());
    assert_eq!(books.counts().available, 0, "the second one is in use");
}

#[test]
fn what_two_find_free_at_once_is_free_once() {
    let mut books = books(None);
    let now = Instant::now();
    let slot = books.opened(1, 0, now + Duration::from_secs(60), now);
    assert!(books.release(slot, now).is_none());
    assert!(books.release(slot, now).is_none());
    assert_eq!(books.counts().available, 1);
    // The second one may be so late that somebody has it again.
    assert!(books.place(Need::Whole, now).is_some());
    books.hold(slot, ());
    assert!(books.release(slot, now).is_none());
    assert_eq!(books.counts().available, 0, "a session has it");
}

#[test]
fn news_of_a_connection_that_is_about_to_be_closed_do_not_bring_it_back() {
    let mut books = two_nodes(Spread::InTurn);
    let now = Instant::now();
    assert_eq!(books.evict(|connection| *connection == 0), [0]);
    assert_eq!(books.release(0, now), Some(0));
    assert_eq!(books.counts().available, 3);
    books.end();
    assert_eq!(books.retire(now).len(), 3);
    assert_eq!(books.release(1, now), Some(1));
    assert_eq!(books.counts().available, 0);
}

/// Books without connections, in which numbered waiters wait.
fn queue_of(bounds: Bounds, waiting: usize) -> (Books<u32, (), usize>, Instant) {
    let (mut books, now) = (Books::new(bounds), Instant::now());
    for wanted in 0..waiting {
        books.wait(Waiter {
            wanted,
            since: now + Duration::from_millis(u64::try_from(wanted).unwrap()),
            deadline: now + Duration::from_secs(9),
        });
    }
    (books, now)
}

const BOUNDS: Bounds = Bounds {
    max: 2,
    min_idle: 0,
    depth: 3,
    idle_timeout: None,
    max_uses: None,
    spread: None,
};

fn opened<W>(books: &mut Books<u32, (), W>, connection: u32, now: Instant) -> usize {
    let slot = books.opened(connection, 0, now + Duration::from_secs(60), now);
    assert!(books.release(slot, now).is_none());
    slot
}

#[test]
fn waiters_are_served_in_the_order_of_arrival_and_nobody_overtakes_them() {
    let (mut books, now) = queue_of(BOUNDS, 3);
    opened(&mut books, 1, now);
    assert!(!books.is_quiet() && !books.is_ended());
    assert!(books.place(Need::Whole, now).is_none(), "others wait");
    assert_eq!(books.waiting_since(), Some(now));
    let (first, slot, _) = books.serve(|_| Need::Whole, now).unwrap();
    assert_eq!(first, 0);
    assert!(books.serve(|_| Need::Whole, now).is_none());
    assert_eq!(books.counts().waiting, 2);
    books.wait_again(Waiter {
        wanted: 9,
        since: now,
        deadline: now,
    });
    for expected in [9, 1, 2] {
        books.clean(slot);
        books.release(slot, now);
        assert_eq!(books.serve(|_| Need::Whole, now).unwrap().0, expected);
    }
    let (mut books, _) = queue_of(BOUNDS, 4);
    let left = books.leave(|waiter| waiter.wanted % 2 == 1);
    assert_eq!(
        left.iter().map(|left| left.wanted).collect::<Vec<_>>(),
        [1, 3]
    );
    assert!(books.leave(|waiter| waiter.wanted == 1).is_empty());
    let soon = books.waiting_since().unwrap() + Duration::from_secs(9);
    opened(&mut books, 1, soon);
    assert_eq!(
        books.next_alarm(),
        Some(soon),
        "a waiter's, not the age of what is open"
    );
    let refused: Vec<_> = books.end().iter().map(|left| left.wanted).collect();
    assert_eq!(refused, [0, 2]);
    assert!(books.is_ended() && books.waiting_since().is_none());
}

#[test]
fn short_statements_join_short_ones_only_and_only_when_nothing_else_is_free() {
    let (mut books, now) = queue_of(BOUNDS, 0);
    let one = opened(&mut books, 1, now);
    assert_eq!(books.place(Need::Shared, now), Some((one, 1)));
    assert!(
        books.place(Need::Shared, now).is_none(),
        "another may be opened"
    );
    assert!(!books.may_open_first() && !books.may_open(1));
    let two = opened(&mut books, 2, now);
    assert_eq!(books.next_slot(), two + 1);
    assert_eq!(books.place(Need::Single, now), Some((two, 2)));
    // Not behind the one that is not known to be short, nor for somebody who needs it whole.
    assert!(books.place(Need::Single, now).is_none() && books.place(Need::Whole, now).is_none());
    for _ in 0..2 {
        assert_eq!(books.place(Need::Shared, now), Some((one, 1)));
    }
    assert!(
        books.place(Need::Shared, now).is_none(),
        "as deep as allowed"
    );
    assert!(!books.answered(one, 1, now));
    let later = now + STALLED;
    assert!(
        books.place(Need::Shared, later).is_none(),
        "something slow is in front"
    );
    assert!(!books.answered(one, 1, later));
    assert_eq!(books.place(Need::Shared, later), Some((one, 1)));
    books.condemn(one, later);
    assert!(books.place(Need::Shared, later).is_none(), "it is to end");
    assert!(books.answered(one, 2, later));
    assert_eq!(books.release(one, later), Some(1));
    assert!(!books.is_quiet() && !books.is_held(two));
    books.hold(two, ());
    assert!(books.is_held(two) && !books.answered(two, 1, later) && !books.is_held(99));
    // The pool takes it back, and gives it to nobody once it has ended.
    assert!(books.clean(two) && !books.is_held(two) && !books.clean(99));
    assert!(books.release(two, later).is_none());
    assert_eq!(books.place(Need::Whole, later), Some((two, 2)));
    books.end();
    assert_eq!(books.release(two, later), Some(2));
}

#[test]
fn while_one_is_opened_short_statements_join_and_each_counts_as_a_use() {
    let bounds = Bounds {
        max: 3,
        max_uses: Some(2),
        ..BOUNDS
    };
    let (mut books, now) = queue_of(bounds, 0);
    let one = opened(&mut books, 1, now);
    let later = now + Duration::from_secs(1);
    assert_eq!(books.place(Need::Shared, later), Some((one, 1)));
    assert!(books.place(Need::Shared, later).is_none() && !books.is_worn(one, later));
    books.wait(Waiter {
        wanted: 0,
        since: later,
        deadline: later,
    });
    assert!(books.may_open(8) && books.leave(|_| true).len() == 1);
    assert_eq!(books.place(Need::Shared, later), Some((one, 1)));
    assert!(books.is_worn(one, later));
}

#[test]
fn connections_are_opened_for_those_who_wait_and_up_to_the_minimum() {
    let (mut books, now) = queue_of(
        Bounds {
            min_idle: 1,
            ..BOUNDS
        },
        0,
    );
    assert!(books.is_empty() && books.wants());
    assert!(books.may_open(8) && !books.may_open(8));
    assert!(!books.is_empty());
    books.open_failed();
    assert!(books.may_open_first() && !books.may_open_first());
    let one = opened(&mut books, 1, now);
    assert_eq!((books.counts().opening, books.next_slot()), (0, one + 1));
    assert!(!books.may_open(8) && !books.wants() && books.is_quiet());
    assert!(books.place(Need::Whole, now).is_some());
    assert!(!books.may_open(8), "as many are open as are kept");
    for wanted in [0, 1] {
        books.wait(Waiter {
            wanted,
            since: now,
            deadline: now,
        });
    }
    assert!(books.wants() && books.may_open(8));
    assert!(!books.may_open(8), "no more than may be open");
    books.open_failed();
    assert!(!books.may_open(0) && books.may_open(1));
    books.open_failed();
    books.end();
    assert!(!books.may_open(8) && !books.wants());
    assert!(matches!(books.closed(one), Some((Use::Shared(0), None))));
    assert!(books.is_empty() && !books.may_open_first());
    assert!(!books.may_open(8) && !books.wants(), "it has ended");
    let (mut books, _) = queue_of(
        Bounds {
            min_idle: 2,
            ..BOUNDS
        },
        0,
    );
    assert!(books.may_open(8) && books.may_open(8) && !books.may_open(8));
}

#[test]
fn connections_end_by_age_by_use_and_by_rest_and_the_minimum_stays() {
    let rest = Duration::from_secs(10);
    let bounds = Bounds {
        max: 4,
        min_idle: 1,
        idle_timeout: Some(rest),
        max_uses: Some(2),
        ..BOUNDS
    };
    let (mut books, now) = queue_of(bounds, 0);
    let slots = [1, 2, 3].map(|connection| opened(&mut books, connection, now));
    assert_eq!(books.next_alarm(), Some(now + rest));
    assert!(books.retire(now + rest / 2).is_empty());
    assert_eq!(books.retire(now + rest), [1, 2], "the minimum stays");
    assert_eq!(books.release(slots[0], now), Some(1), "to be closed");
    for slot in &slots[..2] {
        books.closed(*slot);
    }
    let end = now + Duration::from_secs(60);
    assert_eq!(books.next_alarm(), Some(end));
    for uses in [1, 2] {
        let (slot, _) = books.place(Need::Whole, now).unwrap();
        assert_eq!(books.is_worn(slot, now), uses == 2);
        assert_eq!(books.release(slot, now).is_some(), uses == 2);
    }
    let four = opened(&mut books, 4, now);
    assert!(!books.is_worn(four, now + rest) && books.is_worn(four, end));
    assert!(!books.is_worn(99, end));
    assert!(books.take_idle(four) && !books.take_idle(four));
    let later = now + rest;
    assert!(books.release(four, later).is_none());
    assert!(books.retire(later + rest / 2).is_empty(), "used since");
    let (mut books, now) = queue_of(BOUNDS, 0);
    let kept = opened(&mut books, 1, now);
    let end = now + Duration::from_secs(60);
    assert!(books.retire(now + rest).is_empty() && !books.is_worn(kept, now + rest));
    assert_eq!(books.retire(end), [1], "nothing but age ends it");
}

#[test]
fn in_turn_is_not_where_least_is_in_use() {
    for (spread, next) in [(Spread::InTurn, 0), (Spread::LeastInUse, 1)] {
        let (mut books, now) = (two_nodes(spread), Instant::now());
        let [_, second] = [0, 1].map(|_| books.place(Need::Single, now).unwrap().0);
        assert_eq!(books.entry(second).unwrap().node, 1);
        books.answered(second, 1, now);
        books.release(second, now);
        let (third, _) = books.place(Need::Single, now).unwrap();
        assert_eq!(books.entry(third).unwrap().node, next, "{spread:?}");
    }
}
