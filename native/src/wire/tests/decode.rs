//! Bodies: hostile lengths, counts and texts.

use super::super::Row;
use super::*;

/// Feeds one message to a core that expects it.
fn one(expect: &[Expect], bytes: &[u8]) -> (Vec<String>, Result<(), Error>) {
    feed(&mut core(expect), bytes)
}

#[test]
fn sec_w03_a_field_length_is_minus_one_or_within_the_row() {
    for (length, valid) in [
        (-1, true),
        (0, true),
        (3, true),
        (4, false),
        (-2, false),
        (i32::MIN, false),
        (i32::MAX, false),
    ] {
        let body = [
            &[0, 1][..],
            &i32::to_be_bytes(length),
            if length == 3 { b"abc" } else { b"" },
        ]
        .concat();
        let mut row = Row::new(&body).unwrap();
        assert_eq!(row.next_column().is_ok(), valid, "length {length}");
        if valid {
            assert_eq!(row.next_column().unwrap(), None, "length {length}");
        }
    }
    let body = [&[0, 1][..], &4_i32.to_be_bytes(), b"abc"].concat();
    assert!(
        Row::new(&body).unwrap().next_column().is_err(),
        "one more than remains"
    );
}

#[test]
fn a_row_is_walked_to_its_end_and_no_further() {
    let bytes = data_row(&[Some("a"), None, Some("")]);
    let mut row = Row::new(&bytes[5..]).unwrap();
    assert_eq!(row.columns(), 3);
    assert_eq!(row.next_column().unwrap(), Some(Some(&b"a"[..])));
    assert_eq!(row.next_column().unwrap(), Some(None));
    assert_eq!(row.next_column().unwrap(), Some(Some(&b""[..])));
    assert_eq!(row.next_column().unwrap(), None);
    assert!(Row::new(&[0]).is_err(), "half a count");
    assert!(
        Row::new(&[0, 1]).unwrap().next_column().is_err(),
        "no length"
    );
    assert!(
        Row::new(&[0, 0, 9]).unwrap().next_column().is_err(),
        "trailing byte"
    );
}

#[test]
fn every_field_of_an_error_is_kept() {
    let names = b"SVCMDHPpqWstcdnFLR";
    let texts: Vec<String> = names
        .iter()
        .map(|name| format!("<{}>", name.escape_ascii()))
        .collect();
    let pairs: Vec<(u8, &str)> = names
        .iter()
        .copied()
        .zip(texts.iter().map(String::as_str))
        .collect();
    let bytes = fields(
        b'E',
        &[pairs, vec![(b'?', "unknown fields are skipped")]].concat(),
    );
    let mut input = &bytes[..];
    let message =
        super::super::backend::split(&mut input, |tag| super::super::backend::bounds(tag, 1_000))
            .unwrap()
            .unwrap();
    let error = super::super::body::server_error(message).unwrap();
    let some = |text: &str| Some(Box::<str>::from(text));
    assert_eq!(
        error,
        ServerError {
            length: u32::try_from(bytes.len() - 1).unwrap(),
            severity: "<V>".into(),
            code: "<C>".into(),
            message: "<M>".into(),
            detail: some("<D>"),
            hint: some("<H>"),
            position: some("<P>"),
            internal_position: some("<p>"),
            internal_query: some("<q>"),
            context: some("<W>"),
            schema: some("<s>"),
            table: some("<t>"),
            column: some("<c>"),
            data_type: some("<d>"),
            constraint: some("<n>"),
            file: some("<F>"),
            line: some("<L>"),
            routine: some("<R>"),
            host: None,
        }
    );
}

#[test]
fn severity_is_the_translated_one_when_there_is_no_other() {
    let (events, _) = one(&[], &fields(b'E', &[(b'S', "FEHLER"), (b'C', "42P01")]));
    assert_eq!(events, ["error FEHLER 42P01"]);
}

#[test]
fn a_row_description_tells_every_attribute_and_the_formats() {
    let statement = [Expect::PortalDescription, Expect::Ready];
    let (events, outcome) = one(
        &statement,
        &row_description(&[(b"id", 23, 0), (b"n", 1_700, 1), (b"t", 25, 0)]),
    );
    outcome.unwrap();
    let field = |name: &str, type_oid| crate::field::Field {
        name: name.into(),
        table_oid: 1_259,
        column: 3,
        type_oid,
        type_size: -1,
        type_modifier: 68,
    };
    let expected = RowDescription {
        fields: vec![field("id", 23), field("n", 1_700), field("t", 25)],
        binary: vec![false, true, false],
    };
    assert_eq!(events, [format!("columns {:?}", Some(expected))]);
    let (events, _) = one(&statement, &row_description(&[(b"id", 23, 0)]));
    assert!(events[0].ends_with("binary: [] })"), "{events:?}");
}

#[test]
fn sec_w11_bytes_that_are_not_utf8_become_replacement_characters() {
    let portal = [Expect::PortalDescription, Expect::Ready];
    assert!(one(&portal, &row_description(&[(b"a\xffb", 23, 0)])).0[0].contains("a\u{fffd}b"));
    let result = [Expect::Result { tag: 0 }, Expect::Ready];
    assert!(one(&result, &message(b'C', b"\xc3\0")).0[0].contains('\u{fffd}'));
    let bytes = message(b'N', b"M\xf0\x28\0\0");
    assert_eq!(one(&[], &bytes).0, ["notice \u{fffd}("]);
    assert_eq!(
        one(&[], &message(b'A', b"\0\0\0\0\xff\0\xfe\0")).0,
        ["notification 0 \u{fffd} \u{fffd}"]
    );
    assert_eq!(
        one(&[], &message(b'S', b"\xff\0\0")).0,
        ["parameter \u{fffd}="]
    );
}

#[test]
fn sec_w06_malformed_bodies_are_protocol_errors() {
    let result = &[Expect::Result { tag: 0 }, Expect::Ready][..];
    let portal = &[Expect::PortalDescription, Expect::Ready][..];
    let statement = &[Expect::StatementDescription, Expect::Ready][..];
    let long = row_description(&[(b"a", 23, 0)]);
    let mut count = long[5..].to_vec();
    count[1] = 2;
    let mut format = long[5..].to_vec();
    *format.last_mut().unwrap() = 2;
    let cases: Vec<(&str, &[Expect], Vec<u8>)> = vec![
        (
            "command tag without terminator",
            result,
            message(b'C', b"SELECT 1"),
        ),
        (
            "bytes after a command tag",
            result,
            message(b'C', b"SELECT 1\0x"),
        ),
        (
            "error without the last terminator",
            &[],
            message(b'E', b"Mno\0"),
        ),
        ("error text without terminator", &[], message(b'E', b"Mno")),
        ("bytes after an error", &[], message(b'E', b"Mno\0\0\0")),
        (
            "notification without payload",
            &[],
            message(b'A', b"\0\0\0\0ch\0"),
        ),
        (
            "notification with a short pid",
            &[],
            message(b'A', b"\0\0\0"),
        ),
        (
            "bytes after a notification",
            &[],
            message(b'A', b"\0\0\0\0ch\0p\0x"),
        ),
        ("parameter without value", &[], message(b'S', b"TimeZone\0")),
        (
            "bytes after a parameter",
            &[],
            message(b'S', b"TimeZone\0UTC\0x"),
        ),
        ("unknown transaction status", &[Expect::Ready], ready(b'X')),
        (
            "fewer columns than announced",
            portal,
            message(b'T', &count),
        ),
        ("columns without a count", portal, message(b'T', b"\0")),
        (
            "65 535 columns announced, none there",
            portal,
            message(b'T', &[255, 255]),
        ),
        (
            "bytes after the columns",
            portal,
            message(b'T', &[&long[5..], b"x"].concat()),
        ),
        ("unknown format code", portal, message(b'T', &format)),
        (
            "fewer parameters than announced",
            statement,
            message(b't', &[0, 2, 0, 0, 0, 23]),
        ),
        (
            "bytes after the parameters",
            statement,
            message(b't', &[0, 0, 0]),
        ),
        ("unknown copy format", result, message(b'H', &[2, 0, 0])),
        (
            "unknown column format of a copy",
            result,
            message(b'H', &[1, 0, 1, 0, 2]),
        ),
        (
            "fewer copy columns than announced",
            result,
            message(b'G', &[0, 0, 1]),
        ),
        (
            "bytes after the copy columns",
            result,
            message(b'G', &[0, 0, 0, 0]),
        ),
    ];
    for (name, expects, bytes) in cases {
        let (events, outcome) = one(expects, &bytes);
        assert!(
            matches!(outcome, Err(Error::Protocol { .. })),
            "{name}: {outcome:?}"
        );
        assert!(events.is_empty(), "{name}: {events:?}");
    }
}
