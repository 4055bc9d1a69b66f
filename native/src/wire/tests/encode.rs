//! Messages of the client: bytes, lengths and refusals (group E).

use postgres_protocol::IsNull;
use postgres_protocol::message::frontend as reference;

use super::super::frontend as ours;
use super::params::section;
use super::*;

type Write = Box<dyn Fn(&mut BytesMut) -> Result<(), Error>>;

fn write(write: impl Fn(&mut BytesMut) -> Result<(), Error> + 'static) -> Write {
    Box::new(write)
}

/// Every message with every text it can hold.
fn messages(text: &'static str) -> Vec<(&'static str, Write)> {
    vec![
        (
            "Parse name",
            write(move |out| ours::parse(out, text, "select 1", &[23, 0])),
        ),
        (
            "Parse text",
            write(move |out| ours::parse(out, "s", text, &[])),
        ),
        (
            "Bind portal",
            write(move |out| ours::bind(out, text, "s", &[0; 4], &[0; 2])),
        ),
        (
            "Bind statement",
            write(move |out| ours::bind(out, "", text, &[0; 4], &[0; 2])),
        ),
        (
            "Describe statement",
            write(move |out| ours::describe_statement(out, text)),
        ),
        (
            "Describe portal",
            write(move |out| ours::describe_portal(out, text)),
        ),
        (
            "Close statement",
            write(move |out| ours::close_statement(out, text)),
        ),
        (
            "Close portal",
            write(move |out| ours::close_portal(out, text)),
        ),
        ("Execute", write(move |out| ours::execute(out, text, 5))),
        ("Query", write(move |out| ours::simple_query(out, text))),
        ("CopyFail", write(move |out| ours::copy_fail(out, text))),
    ]
}

#[test]
fn sec_e01_the_announced_length_is_what_was_written() {
    for text in ["", "a", "größer", "0123456789"] {
        let mut all = messages(text);
        all.push((
            "CopyData",
            write(move |out| ours::copy_data(out, text.as_bytes())),
        ));
        all.push((
            "Sync",
            write(|out| {
                ours::sync(out);
                Ok(())
            }),
        ));
        all.push((
            "Flush",
            write(|out| {
                ours::flush(out);
                Ok(())
            }),
        ));
        all.push((
            "Terminate",
            write(|out| {
                ours::terminate(out);
                Ok(())
            }),
        ));
        all.push((
            "CopyDone",
            write(|out| {
                ours::copy_done(out);
                Ok(())
            }),
        ));
        for (name, write) in all {
            let mut out = BytesMut::from(&b"before"[..]);
            write(&mut out).unwrap();
            let announced = i32::from_be_bytes(out[7..11].try_into().unwrap());
            assert_eq!(
                usize::try_from(announced).unwrap(),
                out.len() - 7,
                "{name} with {text:?}"
            );
        }
    }
}

#[test]
fn sec_e03_a_nul_in_any_text_is_refused_and_nothing_is_written() {
    for text in ["\0", "a\0", "\0b", "a\0b"] {
        for (name, write) in messages(text) {
            let mut out = BytesMut::new();
            let refused = write(&mut out);
            assert!(
                matches!(&refused, Err(Error::Encode { problem }) if problem.contains("NUL")),
                "{name}: {refused:?}"
            );
            assert!(out.is_empty(), "{name}");
        }
    }
}

#[test]
fn sec_e04_more_than_65535_parameters_are_refused() {
    let mut out = BytesMut::new();
    ours::parse(&mut out, "", "x", &vec![0; 65_535]).unwrap();
    out.clear();
    let refused = ours::parse(&mut out, "", "x", &vec![0; 65_536]);
    assert!(matches!(refused, Err(Error::Encode { problem }) if problem.contains("65535")));
    assert!(out.is_empty());
    let most = section(&[], &vec![None; 65_535]);
    ours::bind(&mut out, "", "", &most, &[0; 2]).unwrap();
}

#[test]
fn sec_e01_lengths_beyond_the_servers_limit_are_refused_before_the_first_byte() {
    for (parts, limit, expected) in [
        (vec![], 4, Some(4)),
        (vec![6], 10, Some(10)),
        (vec![7], 10, None),
        (vec![0x7fff_ffff - 4], 0x7fff_ffff, Some(i32::MAX)),
        (vec![0x7fff_ffff - 3], usize::MAX, None),
        (vec![0xffff_ffff], usize::MAX, None),
        (vec![0x1_0000_0000], usize::MAX, None),
        (vec![usize::MAX], usize::MAX, None),
        (vec![usize::MAX, usize::MAX], usize::MAX, None),
    ] {
        assert_eq!(
            ours::length("X", &parts, limit).ok(),
            expected,
            "{parts:?} within {limit}"
        );
    }
    let mut out = BytesMut::new();
    let name = "n".repeat(ours::SMALL_MESSAGE);
    assert!(ours::describe_statement(&mut out, &name).is_err());
    assert!(ours::execute(&mut out, &name, 0).is_err());
    assert!(out.is_empty());
}

#[test]
fn sec_e06_a_section_that_would_desynchronise_the_wire_is_refused() {
    let good = section(&[0, 1], &[Some(b"a"), None]);
    let formats = [0, 1, 0, 1];
    let mut out = BytesMut::new();
    ours::bind(&mut out, "", "s", &good, &formats).unwrap();
    out.clear();
    for position in 0..good.len() {
        let mut bad = good.clone();
        bad[position] ^= 0x81;
        // a changed value is still a value, everything else is structure
        if position != 12 {
            assert!(
                ours::bind(&mut out, "", "s", &bad, &formats).is_err(),
                "byte {position}"
            );
            assert!(out.is_empty(), "byte {position}");
        }
    }
    let choice = section(&[2], &[Some(&[0, 0, 0, 0])]);
    for (name, params, formats) in [
        ("format 2", &choice[..], &[0, 0][..]),
        ("no result formats", &good, &[]),
        ("half a count", &good, &[0]),
        ("fewer result formats", &good, &[0, 1]),
        ("more result formats", &good, &[0, 0, 0, 1]),
        ("odd result formats", &good, &[0, 1, 0]),
        ("result format 2", &good, &[0, 1, 0, 2]),
    ] {
        assert!(
            ours::bind(&mut out, "", "s", params, formats).is_err(),
            "{name}"
        );
        assert!(out.is_empty(), "{name}");
    }
}

#[test]
fn a_negative_row_limit_and_a_wrong_cancel_key_are_refused() {
    let mut out = BytesMut::new();
    assert!(ours::execute(&mut out, "", -1).is_err());
    for length in [0, 3, 257] {
        assert!(ours::cancel_request(&mut out, 1, &vec![0; length]).is_err());
    }
    assert!(out.is_empty());
}

#[test]
fn messages_are_those_of_the_reference_encoder() {
    let (mut out, mut expected) = (BytesMut::new(), BytesMut::new());
    ours::parse(&mut out, "s1", "select $1", &[23, 25]).unwrap();
    reference::parse("s1", "select $1", [23, 25], &mut expected).unwrap();
    ours::bind(
        &mut out,
        "p",
        "s1",
        &section(&[1, 0], &[Some(b"ab"), None]),
        &[0, 1, 0, 1],
    )
    .unwrap();
    let serialize = |value: Option<&[u8]>, out: &mut BytesMut| {
        out.extend_from_slice(value.unwrap_or_default());
        Ok(if value.is_some() {
            IsNull::No
        } else {
            IsNull::Yes
        })
    };
    let values = [Some(&b"ab"[..]), None];
    reference::bind("p", "s1", [1, 0], values, serialize, [1], &mut expected)
        .ok()
        .unwrap();
    ours::describe_statement(&mut out, "s1").unwrap();
    reference::describe(b'S', "s1", &mut expected).unwrap();
    ours::describe_portal(&mut out, "p").unwrap();
    reference::describe(b'P', "p", &mut expected).unwrap();
    ours::execute(&mut out, "p", 100).unwrap();
    reference::execute("p", 100, &mut expected).unwrap();
    ours::close_portal(&mut out, "p").unwrap();
    reference::close(b'P', "p", &mut expected).unwrap();
    ours::close_statement(&mut out, "s1").unwrap();
    reference::close(b'S', "s1", &mut expected).unwrap();
    ours::simple_query(&mut out, "select 1").unwrap();
    reference::query("select 1", &mut expected).unwrap();
    ours::copy_data(&mut out, b"1\t2\n").unwrap();
    reference::CopyData::new(&b"1\t2\n"[..])
        .unwrap()
        .write(&mut expected);
    ours::copy_fail(&mut out, "no").unwrap();
    reference::copy_fail("no", &mut expected).unwrap();
    ours::cancel_request(&mut out, 77, &0x0102_0304_i32.to_be_bytes()).unwrap();
    reference::cancel_request(77, 0x0102_0304, &mut expected);
    assert_eq!(out, expected);
}
