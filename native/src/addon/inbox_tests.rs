//! Records come out whole, once, and in order within their request, whatever the sizes.

use super::*;
use crate::addon::records::{FRAME, SPILL};

const TARGET: usize = 64 * 1024;

fn head(id: u32, flags: u32) -> Head {
    Head {
        id,
        flags,
        ..Head::default()
    }
}

fn push(inbox: &mut Inbox, head: &Head, body: usize, account: Option<&Arc<Account>>) {
    inbox.push(head, body, None, account, |buffer| {
        buffer.resize(buffer.len() + body.next_multiple_of(8), 7);
    });
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// Ids, flags and body lengths of one call, spilled bodies fetched as JS does.
fn take(inbox: &mut Inbox, target: &mut [u8]) -> (Vec<(u32, u32, usize)>, bool) {
    let (written, more) = inbox.take(target);
    let (mut at, mut found) = (0, Vec::new());
    while at < written {
        let (id, flags) = (word(target, at), word(target, at + 4));
        let length = usize::try_from(word(target, at + 8)).unwrap();
        at += HEADER;
        if flags & SPILL == 0 {
            at += length;
        } else {
            assert_eq!(inbox.next_spilled().unwrap().body().len(), length);
        }
        found.push((id, flags & !SPILL, length));
    }
    assert_eq!(at, written);
    (found, more)
}

fn take_all(inbox: &mut Inbox, target: &mut [u8]) -> Vec<(u32, u32, usize)> {
    let mut all = Vec::new();
    for _ in 0..10_000 {
        let (mut found, more) = take(inbox, target);
        all.append(&mut found);
        if !more {
            assert!(inbox.is_empty());
            assert!(inbox.lanes.is_empty());
            return all;
        }
    }
    panic!("records are never taken");
}

#[test]
fn the_oldest_large_result_goes_first_and_small_ones_overtake_it() {
    let (mut inbox, account) = (Inbox::default(), Arc::default());
    for _ in 0..3 {
        for id in [1, 2] {
            push(&mut inbox, &head(id, FRAME), 20_000, Some(&account));
        }
    }
    for id in [1, 2, 3] {
        push(&mut inbox, &head(id, FINAL), 8, Some(&account));
    }
    let order: Vec<_> = take_all(&mut inbox, &mut vec![0; TARGET])
        .iter()
        .map(|(id, flags, _)| (*id, *flags))
        .collect();
    let one_after_the_other = [1, 2].map(|id| [(id, FRAME), (id, FRAME), (id, FRAME), (id, FINAL)]);
    assert_eq!(order[0], (3, FINAL));
    assert_eq!(order[1..], one_after_the_other.concat());
    assert!(!account.is_full(std::task::Waker::noop()));
}

#[test]
fn small_records_before_a_large_one_stay_before_it() {
    let mut inbox = Inbox::default();
    for _ in 0..40 {
        push(&mut inbox, &head(1, FRAME), 4_000, None);
    }
    push(&mut inbox, &head(1, FRAME), 9_000, None);
    push(&mut inbox, &head(1, FINAL), 8, None);
    let lengths: Vec<_> = take_all(&mut inbox, &mut vec![0; TARGET])
        .iter()
        .map(|record| record.2)
        .collect();
    assert_eq!(lengths.len(), 42);
    assert_eq!(lengths[40..], [9_000, 8]);
}

#[test]
fn large_results_have_half_of_the_room() {
    let mut inbox = Inbox::default();
    push(&mut inbox, &head(1, FRAME), 20_000, None);
    for id in 2..100 {
        push(&mut inbox, &head(id, FINAL), 2_000, None);
    }
    let (first, more) = take(&mut inbox, &mut vec![0; TARGET]);
    assert!(more);
    assert!(first.iter().any(|record| record.0 == 1), "{first:?}");
}

#[test]
fn texts_longer_than_the_buffer_arrive() {
    let mut inbox = Inbox::default();
    push(&mut inbox, &head(5, EVENT), 200_000, None);
    push(&mut inbox, &head(5, ERROR | FINAL), 100_000, None);
    push(&mut inbox, &head(6, FINAL), 0, None);
    let found = take_all(&mut inbox, &mut vec![0; TARGET]);
    assert_eq!(
        found,
        [
            (6, FINAL, 0),
            (5, EVENT, 200_000),
            (5, ERROR | FINAL, 100_000)
        ]
    );
}

#[test]
fn a_number_is_used_again_after_its_last_record() {
    let mut inbox = Inbox::default();
    for _ in 0..3 {
        push(&mut inbox, &head(1, FRAME), 9_000, None);
        push(&mut inbox, &head(1, SUSPENDED), 0, None);
        let found = take_all(&mut inbox, &mut vec![0; TARGET]);
        assert_eq!(found.len(), 2);
    }
}

#[test]
fn what_is_never_taken_holds_no_connection_back() {
    let (mut inbox, account) = (Inbox::default(), Arc::default());
    for _ in 0..300 {
        push(&mut inbox, &head(1, FRAME), 9_000, Some(&account));
    }
    assert!(account.is_full(std::task::Waker::noop()));
    inbox.clear();
    assert!(!account.is_full(std::task::Waker::noop()));
}

#[test]
fn sec_f06_events_hold_their_connection_back_until_they_are_taken() {
    let (mut inbox, account) = (Inbox::default(), Arc::new(Account::default()));
    let waker = std::task::Waker::noop();
    let mut events = 0;
    while !account.is_full(waker) {
        push(&mut inbox, &head(3, EVENT), 200, Some(&account));
        push(&mut inbox, &head(3, EVENT), SMALL + 1, Some(&account));
        events += 2;
        assert!(events < 10_000);
    }
    // The small answer of a request does not count: it is asked for.
    push(&mut inbox, &head(4, FINAL), 200, Some(&account));
    let mut target = vec![0; TARGET];
    assert_eq!(take_all(&mut inbox, &mut target).len(), events + 1);
    assert!(!account.is_full(waker));
    push(&mut inbox, &head(3, EVENT), 200, Some(&account));
    account.add(1 << 20);
    inbox.clear();
    account.taken(1 << 20);
    // Nothing of what was counted is left.
    account.add((1 << 20) - 1);
    assert!(!account.is_full(waker));
}

#[test]
fn the_buffer_of_a_body_is_used_again_while_large_ones_follow_each_other() {
    let (mut inbox, mut target) = (Inbox::default(), vec![0; TARGET]);
    let mut next = |inbox: &mut Inbox, bytes: usize| {
        push(inbox, &head(1, FRAME), bytes, None);
        inbox.take(&mut target);
        let spilled = inbox.next_spilled().unwrap();
        let place = spilled.body().as_ptr();
        inbox.reuse(spilled);
        place
    };
    let first = next(&mut inbox, 8 * TARGET);
    assert_eq!(next(&mut inbox, 6 * TARGET), first);
    // Too long for it, and far too short.
    let longer = next(&mut inbox, 16 * TARGET);
    assert_ne!(longer, first);
    next(&mut inbox, 2 * TARGET);
    assert!(inbox.room.capacity() < 16 * TARGET);
    push(&mut inbox, &head(1, FINAL), 0, None);
    inbox.take(&mut vec![0; TARGET]);
    assert!(inbox.room.capacity() > 0, "that was the end of such a one");
    inbox.take(&mut vec![0; TARGET]);
    assert_eq!(inbox.room.capacity(), 0);
    next(&mut inbox, REUSED);
    assert_eq!(inbox.room.capacity(), 0, "longer than what is kept");
}
