//! The parameter section: what JS may write, and what it must not get away with.

use super::super::Params;
use super::super::params::Wants;
use super::*;

/// A section with these formats and values.
pub(super) fn section(formats: &[u16], values: &[Option<&[u8]>]) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend(u16::try_from(formats.len()).unwrap().to_be_bytes());
    out.extend(formats.iter().flat_map(|code| code.to_be_bytes()));
    out.extend(u16::try_from(values.len()).unwrap().to_be_bytes());
    for value in values {
        out.extend(
            value
                .map_or(-1, |value| i32::try_from(value.len()).unwrap())
                .to_be_bytes(),
        );
        out.extend_from_slice(value.unwrap_or_default());
    }
    out
}

fn choice(literal: &str, json: &str) -> Vec<u8> {
    let length = u32::try_from(literal.len()).unwrap();
    [
        &length.to_be_bytes()[..],
        literal.as_bytes(),
        json.as_bytes(),
    ]
    .concat()
}

#[test]
fn a_section_is_walked_in_order() {
    let bytes = section(&[0, 1, 0], &[Some(b"a"), Some(&[0, 1]), None]);
    let params = Params::new(&bytes).unwrap();
    assert_eq!((params.count(), params.has_choices()), (3, false));
    let all: Vec<_> = params.iter().collect();
    assert_eq!(
        all,
        [(0, Some(&b"a"[..])), (1, Some(&[0, 1][..])), (0, None)]
    );
    let bytes = section(&[], &[Some(b""), None]);
    let all: Vec<_> = Params::new(&bytes).unwrap().iter().collect();
    assert_eq!(all, [(0, Some(&b""[..])), (0, None)]);
    assert_eq!(Params::new(&[0, 0, 0, 0]).unwrap().count(), 0);
}

#[test]
fn every_cut_of_a_section_and_every_surplus_is_refused() {
    let value = choice("{}", "[]");
    let whole = section(&[2, 1, 0], &[Some(&value), None, Some(b"xyz")]);
    Params::new(&whole).unwrap();
    for end in 0..whole.len() {
        assert!(
            matches!(Params::new(&whole[..end]), Err(Error::Encode { .. })),
            "cut at {end}"
        );
    }
    assert!(
        Params::new(&[&whole[..], &[0]].concat()).is_err(),
        "one byte more"
    );
}

#[test]
fn malformed_sections_are_refused() {
    let cases: [(&str, Vec<u8>); 9] = [
        ("one format for two values", section(&[0], &[None, None])),
        ("two formats for one value", section(&[0, 0], &[None])),
        ("formats without values", section(&[0], &[])),
        ("format 4", section(&[4], &[None])),
        ("format 65535", section(&[u16::MAX], &[None])),
        ("length -2", [0, 0, 0, 1, 255, 255, 255, 254].to_vec()),
        ("choice of three bytes", section(&[2], &[Some(&[0, 0, 0])])),
        (
            "choice longer than its value",
            section(&[2], &[Some(&[0, 0, 0, 5, b'x'])]),
        ),
        (
            "choice of three that ends behind the first",
            section(&[3], &[Some(&[0, 0, 0, 1, b'x'])]),
        ),
    ];
    for (name, bytes) in cases {
        assert!(
            matches!(Params::new(&bytes), Err(Error::Encode { .. })),
            "{name}"
        );
    }
}

#[test]
fn a_choice_becomes_what_the_type_wants() {
    let two = choice("{1,a}", "[1,\"a\"]");
    let elements = br#"{1,"\"a\""}"#;
    let length = u32::try_from(elements.len()).unwrap().to_be_bytes();
    let three = [&length[..], elements, &two].concat();
    let bytes = section(
        &[2, 1, 2, 3, 3, 3, 2, 3],
        &[
            Some(&two),
            Some(&[9]),
            Some(&two),
            Some(&three),
            Some(&three),
            Some(&three),
            Some(&two),
            None,
        ],
    );
    let params = Params::new(&bytes).unwrap();
    assert!(params.has_choices());
    let mut out = BytesMut::new();
    let wants = |position| match position {
        2 | 4 => Wants::Json,
        5 | 6 => Wants::JsonArray,
        _ => Wants::Plain,
    };
    params.resolve(wants, &mut out).unwrap();
    let (plain, json): (&[u8], &[u8]) = (b"{1,a}", b"[1,\"a\"]");
    assert_eq!(
        out,
        section(
            &[0, 1, 0, 0, 0, 0, 0, 0],
            &[
                Some(plain),
                Some(&[9]),
                Some(json),
                Some(plain),
                Some(json),
                Some(elements),
                Some(plain),
                None,
            ]
        )
    );
    assert!(!Params::new(&out).unwrap().has_choices());
}

#[test]
fn resolving_a_section_without_choices_changes_nothing() {
    for bytes in [
        section(&[], &[Some(b"a"), None]),
        section(&[1, 0], &[Some(b"a"), None]),
        section(&[], &[]),
    ] {
        let mut out = BytesMut::new();
        Params::new(&bytes)
            .unwrap()
            .resolve(|_| Wants::Json, &mut out)
            .unwrap();
        assert_eq!(out, bytes);
    }
}
