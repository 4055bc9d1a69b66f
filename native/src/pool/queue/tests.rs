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
