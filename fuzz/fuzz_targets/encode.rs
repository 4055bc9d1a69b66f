//! Any names, texts and parameters as messages of the client: what is refused leaves nothing behind, and what is
//! written has exactly the announced length and no text that ends early.
//!
//! Input: `u8` kind, `u8` n, n bytes of a first text, `u8` m, m bytes of a second one, then a parameter section (Bind),
//! OIDs (Parse), or data (CopyData).
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use pg_berth::error::Error;
use pg_berth::wire::{Params, frontend};

/// What was there before must stay, whatever becomes of the message.
const NEIGHBOUR: &[u8] = b"S\0\0\0\x04";

fn short(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (count, rest) = bytes.split_first()?;
    rest.split_at_checked(usize::from(*count))
}

fuzz_target!(|input: &[u8]| {
    let Some((kind, rest)) = input.split_first() else {
        return;
    };
    let Some((first, rest)) = short(rest) else {
        return;
    };
    let Some((second, rest)) = short(rest) else {
        return;
    };
    let first = String::from_utf8_lossy(first);
    let second = String::from_utf8_lossy(second);
    let mut out = BytesMut::from(NEIGHBOUR);
    let (written, texts) = message(*kind, &mut out, &first, &second, rest);
    let (neighbour, message) = out.split_at(NEIGHBOUR.len());
    assert_eq!(neighbour, NEIGHBOUR);
    if written.is_err() {
        assert!(message.is_empty(), "a refused message left bytes behind");
        return;
    }
    let (head, body) = message.split_at(5);
    let announced = u32::from_be_bytes(head[1..5].try_into().unwrap());
    assert_eq!(usize::try_from(announced).unwrap(), body.len() + 4);
    for text in texts {
        assert!(!text.contains('\0'), "a text with a NUL was written");
    }
});

/// Writes one message; the texts are those that end with NUL in it.
fn message<'a>(
    kind: u8,
    out: &mut BytesMut,
    first: &'a str,
    second: &'a str,
    rest: &[u8],
) -> (Result<(), Error>, Vec<&'a str>) {
    match kind % 8 {
        0 => {
            let written = frontend::bind(out, first, second, rest, &[0, 0]);
            if written.is_ok() {
                assert!(Params::new(rest).is_ok(), "a broken section was written");
            }
            (written, vec![first, second])
        }
        1 => {
            let oids: Vec<u32> = rest
                .chunks_exact(4)
                .map(|oid| u32::from_be_bytes(oid.try_into().unwrap()))
                .collect();
            (frontend::parse(out, first, second, &oids), vec![first, second])
        }
        2 => (frontend::bind(out, first, second, &[0, 0, 0, 0], rest), vec![first, second]),
        3 => (frontend::simple_query(out, first), vec![first]),
        4 => (frontend::close_statement(out, first), vec![first]),
        5 => (frontend::execute(out, first, i32::from(kind)), vec![first]),
        6 => (frontend::copy_fail(out, first), vec![first]),
        _ => (frontend::copy_data(out, rest), vec![]),
    }
}
