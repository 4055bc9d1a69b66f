//! What a connection keeps of the room that its messages needed.

use bytes::Buf;
use tokio::sync::oneshot::Receiver;

use super::server::{description, exchange, message, profile};
use super::*;
use crate::conn::exchange::Exchange;

const MEGABYTE: usize = 1 << 20;

/// A statement with a text of so many bytes.
fn ask(exchange: &mut Exchange, bytes: usize) -> Receiver<Result<LocalResult, Error>> {
    let (reply, answer) = Reply::local();
    let work = Work::Execute {
        statement: Statement::intern(&format!("select {}", "1".repeat(bytes))).unwrap(),
        params: Parameters::none(),
        naming: Naming::Unnamed,
        begin: None,
    };
    exchange.push(Request::new(work, reply, profile()));
    answer
}

/// Rows of so many bytes each, and what is around them.
fn rows(bytes: usize) -> Vec<u8> {
    let cell = i32::try_from(bytes).unwrap();
    let row = [&[0, 1][..], &cell.to_be_bytes(), &vec![b'1'; bytes]].concat();
    let row = message(b'D', &row);
    let begun = [message(b'1', b""), message(b'2', b""), description()];
    let ended = [message(b'C', b"SELECT 3\0"), message(b'Z', b"I")];
    [begun.concat(), row.repeat(3), ended.concat()].concat()
}

/// Is there room for so much without asking for more?
fn has_room(exchange: &mut Exchange) -> [bool; 2] {
    [&mut exchange.input, &mut exchange.output].map(|buffer| buffer.try_reclaim(2 * MEGABYTE))
}

#[test]
fn a_huge_message_is_not_paid_for_as_long_as_its_connection_lives() {
    let mut exchange = exchange();
    let mut answers = vec![ask(&mut exchange, 2 * MEGABYTE), ask(&mut exchange, 1)];
    let sent = exchange.output.len();
    exchange.output.advance(sent);
    exchange.wrote(sent);
    exchange.input.extend_from_slice(&rows(MEGABYTE - 64));
    exchange.feed().unwrap();
    assert_eq!(
        has_room(&mut exchange),
        [true, true],
        "the second one is owed"
    );
    exchange.input.extend_from_slice(&rows(1));
    // The beginning of a message that is nobody's answer stays.
    let notice = message(b'N', b"SNOTICE\0C00000\0Mhear\0\0");
    let (first, second) = notice.split_at(7);
    exchange.input.extend_from_slice(first);
    exchange.feed().unwrap();
    for answer in &mut answers {
        assert_eq!(answer.try_recv().unwrap().unwrap().rows.len(), 3);
    }
    assert_eq!(exchange.input, first);
    assert_eq!(
        has_room(&mut exchange),
        [true, true],
        "another may follow them"
    );
    exchange.input.extend_from_slice(second);
    exchange.feed().unwrap();
    assert!(exchange.input.is_empty());
    assert_eq!(has_room(&mut exchange), [false, false], "none did");
}

#[test]
fn of_what_is_longer_than_most_nothing_is_kept() {
    let mut exchange = exchange();
    let mut answer = ask(&mut exchange, 1);
    let sent = exchange.output.len();
    exchange.output.advance(sent);
    exchange.wrote(sent);
    let words = [
        b"SNOTICE\0C00000\0M",
        &vec![b'1'; MEGABYTE - 64][..],
        b"\0\0",
    ]
    .concat();
    let notices = message(b'N', &words).repeat(17);
    exchange.input.extend_from_slice(&notices);
    exchange.input.extend_from_slice(&rows(1));
    exchange.feed().unwrap();
    assert!(answer.try_recv().is_ok());
    assert_eq!(has_room(&mut exchange), [false, false]);
}
