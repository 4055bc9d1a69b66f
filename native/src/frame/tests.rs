//! Rows into frames and back: a small decoder of the layout, the rules about hostile rows, and properties over random ones.

use std::sync::LazyLock;

use super::*;
use crate::error::Error;
use crate::field::Field;

static SHAPES: LazyLock<Shapes> = LazyLock::new(Shapes::new);

const OIDS: [u32; 22] = [
    16, 17, 20, 21, 23, 25, 26, 114, 700, 701, 1082, 1083, 1114, 1184, 1186, 1700, 3802, 1007,
    1009, 1231, 3807, 600,
];

fn fields(oids: &[u32]) -> Vec<Field> {
    let field = |(i, oid): (usize, &u32)| Field {
        name: format!("c{i}").into(),
        table_oid: 0,
        column: 0,
        type_oid: *oid,
        type_size: -1,
        type_modifier: -1,
    };
    oids.iter().enumerate().map(field).collect()
}

pub(super) fn plan(preset: Preset, oids: &[u32], per_type: bool) -> Plan {
    let profile = Profile::new(preset, []);
    let make = if per_type {
        Plan::per_type
    } else {
        Plan::all_text
    };
    make(&SHAPES, &fields(oids), &profile)
}

/// Per column: is its binary format asked for?
fn formats(plan: &Plan) -> Vec<bool> {
    match plan.bind_formats.split_at(2) {
        (_, []) => vec![false; plan.shape.fields.len()],
        (_, codes) => codes.chunks(2).map(|code| code == [0, 1]).collect(),
    }
}

pub(super) fn row(values: &[Option<&[u8]>]) -> Vec<u8> {
    let mut body = u16::try_from(values.len()).unwrap().to_be_bytes().to_vec();
    for value in values {
        let length = value.map_or(-1, |value| i32::try_from(value.len()).unwrap());
        body.extend_from_slice(&length.to_be_bytes());
        body.extend_from_slice(value.unwrap_or_default());
    }
    body
}

/// The areas of one frame.
#[derive(Debug, PartialEq)]
struct Parts {
    eight: Vec<u64>,
    four: Vec<u32>,
    nulls: Vec<u8>,
    utf16: Vec<u8>,
    latin1: Vec<u8>,
    json: Vec<Vec<u8>>,
    raw: Vec<u8>,
}

fn finish(builder: &mut FrameBuilder) -> Parts {
    // Something before it: offsets inside a frame must not depend on where it starts.
    let mut out = vec![0xAA; 16];
    builder.finish_into(&mut out, &[]);
    assert_eq!(out.len() % 8, 0);
    let frame = out.split_off(16);
    let word = |at: usize| u32::from_le_bytes(frame[at..at + 4].try_into().unwrap());
    let size = |at: usize| usize::try_from(word(4 * at)).unwrap();
    let mut at = 32;
    let mut take = |length: usize, align: usize| {
        at = usize::next_multiple_of(at, align);
        at += length;
        frame[at - length..at].to_vec()
    };
    let eight = take(8 * size(0), 8);
    let four = take(4 * size(1), 4);
    let table = take(8 * size(6), 4);
    let nulls = take(size(2), 1);
    let utf16 = take(size(4), 2);
    let latin1 = take(size(3), 1);
    let lengths = table
        .chunks(8)
        .map(|entry| u32::from_le_bytes(entry[..4].try_into().unwrap()));
    let json = lengths
        .map(|length| take(usize::try_from(length).unwrap(), 2))
        .collect();
    let raw = take(size(5), 1);
    assert_eq!(size(7), 0);
    assert_eq!(at.next_multiple_of(8), frame.len());
    Parts {
        eight: eight
            .chunks(8)
            .map(|slot| u64::from_le_bytes(slot.try_into().unwrap()))
            .collect(),
        four: four
            .chunks(4)
            .map(|slot| u32::from_le_bytes(slot.try_into().unwrap()))
            .collect(),
        nulls,
        utf16,
        latin1,
        json,
        raw,
    }
}

fn frame(plan: &Plan, rows: &[Vec<u8>]) -> Result<Parts, Error> {
    let mut builder = FrameBuilder::new();
    for row in rows {
        builder.push_row(plan, row)?;
        builder.keep(row);
    }
    Ok(finish(&mut builder))
}

fn is_protocol(result: &Result<Parts, Error>) -> bool {
    matches!(result, Err(Error::Protocol { .. }))
}

#[test]
fn every_area_holds_its_cells_row_by_row() {
    let plan = plan(Preset::Pg, &[23, 25, 701, 3802, 17, 16], true);
    assert_eq!(
        *plan.bind_formats,
        [0, 6, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 1]
    );
    let half = 0.5_f64.to_be_bytes();
    let parts = frame(
        &plan,
        &[
            row(&[
                Some(&7_i32.to_be_bytes()),
                Some("é".as_bytes()),
                Some(&half),
                Some(b"{\"a\":1}"),
                Some(b"\x00\xFF"),
                Some(&[1]),
            ]),
            row(&[None, Some("я".as_bytes()), None, None, None, Some(&[0])]),
        ],
    )
    .unwrap();
    assert_eq!(parts.four, [7, 1, 2, 1, 0, 1 | 1 << 30, 0, 0]);
    assert_eq!(parts.eight, [0.5_f64.to_bits(), 0]);
    assert_eq!(parts.latin1, [0xE9]);
    assert_eq!(parts.utf16, [0x4F, 0x04]);
    assert_eq!(parts.json, [b"[{\"a\":1},null]"]);
    assert_eq!(parts.raw, [0x00, 0xFF]);
    // Second row: columns 0, 2 and 4; a json NULL is in its batch.
    assert_eq!(parts.nulls, [0b0100_0000, 0b0000_0101]);
}

#[test]
fn text_and_binary_rows_give_the_same_frame() {
    let oids = [
        16, 17, 20, 21, 23, 26, 701, 1082, 1083, 1114, 1184, 1186, 1007, 1009,
    ];
    let moment = 833_976_000_500_000_i64;
    let binary: [&[u8]; 14] = [
        &[1],
        b"\x00\xFF",
        &5_i64.to_be_bytes(),
        &(-5_i16).to_be_bytes(),
        &i32::MIN.to_be_bytes(),
        &u32::MAX.to_be_bytes(),
        &0.1_f64.to_be_bytes(),
        &9652_i32.to_be_bytes(),
        &86_400_000_000_i64.to_be_bytes(),
        &moment.to_be_bytes(),
        &moment.to_be_bytes(),
        &[0, 0, 0, 0, 0, 15, 66, 64, 255, 255, 255, 254, 0, 0, 0, 13],
        &[
            0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 23, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 9,
            255, 255, 255, 255,
        ],
        &[
            0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 25, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1, 0,
            0, 0, 1, b'a', 0, 0, 0, 2, b'"', b',',
        ],
    ];
    let text = [
        "t",
        "\\x00ff",
        "5",
        "-5",
        "-2147483648",
        "4294967295",
        "0.1",
        "2026-06-05",
        "24:00:00",
        "2026-06-05 12:00:00.5",
        "2026-06-05 17:30:00.5+05:30",
        "1 year 1 mon -2 days +00:00:01",
        "[0:1]={9,NULL}",
        "{{a,\"\\\",\"}}",
    ];
    for preset in [Preset::Pg, Preset::Lossless] {
        let by_type = plan(preset, &oids, true);
        let all_text = plan(preset, &oids, false);
        assert_eq!(by_type.shape, all_text.shape);
        assert_eq!(*all_text.bind_formats, [0, 0]);
        let values = oids
            .iter()
            .zip(formats(&by_type))
            .zip(text.iter().zip(binary));
        let mixed: Vec<Option<&[u8]>> = values
            .map(|((_, is_binary), (text, binary))| {
                Some(if is_binary { binary } else { text.as_bytes() })
            })
            .collect();
        // int8 and interval are text under the pg preset, so "mixed" holds both forms.
        let from_text = text.map(|text| Some(text.as_bytes()));
        assert_eq!(
            frame(&by_type, &[row(&mixed)]).unwrap(),
            frame(&all_text, &[row(&from_text)]).unwrap()
        );
    }
}

#[test]
fn a_char_of_any_byte_is_the_text_of_the_server() {
    let (by_type, all_text) = (
        plan(Preset::Lossless, &[1002], true),
        plan(Preset::Lossless, &[1002], false),
    );
    assert_eq!(formats(&by_type), [true]);
    for (byte, text) in [
        (0, "{\"\"}"),
        (b'x', "{x}"),
        (127, "{\x7F}"),
        (128, "{\"\\\\200\"}"),
        (0xC3, "{\"\\\\303\"}"),
        (255, "{\"\\\\377\"}"),
    ] {
        let binary = [
            &[
                0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 18, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1,
            ][..],
            &[byte],
        ]
        .concat();
        assert_eq!(
            frame(&by_type, &[row(&[Some(&binary)])]).unwrap(),
            frame(&all_text, &[row(&[Some(text.as_bytes())])]).unwrap(),
            "{byte}"
        );
    }
}

#[test]
fn a_builder_is_used_again_after_a_frame_and_after_an_error() {
    let plan = plan(Preset::Pg, &[23, 114], false);
    let mut builder = FrameBuilder::new();
    let good = row(&[Some(b"1"), Some(b"[]")]);
    assert_eq!((builder.rows(), builder.size()), (0, 0));
    builder.push_row(&plan, &good).unwrap();
    assert_eq!(builder.rows(), 1);
    let first = finish(&mut builder);
    assert_eq!((builder.rows(), builder.size()), (0, 0));
    builder.push_row(&plan, &row(&[None, None])).unwrap();
    assert!(builder.push_row(&plan, &row(&[Some(b"x"), None])).is_err());
    assert_eq!((builder.rows(), builder.size()), (0, 0));
    builder.push_row(&plan, &good).unwrap();
    assert_eq!(finish(&mut builder), first);
}

#[test]
fn sec_w03_field_lengths_are_minus_one_or_what_is_there() {
    let plan = plan(Preset::Pg, &[25], false);
    for length in [-2, i32::MIN, i32::MAX, 4, 100] {
        let mut body = vec![0, 1];
        body.extend_from_slice(&i32::to_be_bytes(length));
        body.extend_from_slice(b"abc");
        assert!(is_protocol(&frame(&plan, &[body])), "{length}");
    }
    for body in [&b""[..], b"\x00", b"\x00\x01", b"\x00\x01\x00\x00\x00"] {
        assert!(is_protocol(&frame(&plan, &[body.to_vec()])), "{body:?}");
    }
    let mut trailing = row(&[Some(b"abc")]);
    trailing.push(0);
    assert!(is_protocol(&frame(&plan, &[trailing])));
    assert!(frame(&plan, &[row(&[Some(b"abc")])]).is_ok());
}

#[test]
fn sec_w04_the_field_count_is_that_of_the_description() {
    let plan = plan(Preset::Pg, &[25, 25], false);
    for count in [0, 1, 3] {
        let values = vec![Some(&b"a"[..]); count];
        assert!(is_protocol(&frame(&plan, &[row(&values)])), "{count}");
    }
}

#[test]
fn sec_w07_arrays_are_checked_down_to_the_last_element() {
    let int = |values: &[i32]| -> Vec<u8> { values.iter().flat_map(|v| v.to_be_bytes()).collect() };
    let of_ints = plan(Preset::Lossless, &[1007], true);
    for (name, bytes) in [
        ("no header", int(&[1, 0])),
        ("seven dimensions", int(&[7, 0, 23])),
        ("negative dimensions", int(&[-1, 0, 23])),
        ("other element type", int(&[1, 0, 25, 1, 1, 4, 9])),
        ("size 0", int(&[1, 0, 23, 0, 1])),
        ("negative size", int(&[1, 0, 23, -1, 1])),
        (
            "sizes that overflow",
            int(&[3, 0, 23, i32::MAX, 1, i32::MAX, 1, i32::MAX, 1]),
        ),
        (
            "more elements than bytes",
            int(&[1, 0, 23, 1_000_000_000, 1, 4, 9]),
        ),
        ("element too long", int(&[1, 0, 23, 1, 1, 5, 9])),
        ("element length −2", int(&[1, 0, 23, 1, 1, -2])),
        ("element of another size", int(&[1, 0, 23, 1, 1, 8, 9, 9])),
        ("trailing bytes", int(&[1, 0, 23, 1, 1, 4, 9, 0])),
        ("empty with trailing bytes", int(&[0, 0, 23, 1])),
    ] {
        assert!(
            is_protocol(&frame(&of_ints, &[row(&[Some(&bytes)])])),
            "{name}"
        );
    }
    let empty = frame(&of_ints, &[row(&[Some(&int(&[0, 0, 23]))])]).unwrap();
    assert_eq!(empty.four, [0]);

    let text = plan(Preset::Lossless, &[1009], false);
    for array in [
        "",
        "{",
        "}",
        "a",
        "{a",
        "{a}}",
        "{{a}",
        "{a,}",
        "{,a}",
        "{,}",
        "{{a},b}",
        "{a,{b}}",
        "{{a},{b,c}}",
        "{\"a}",
        "{\"a\\",
        "{\"a\"b}",
        "{a}x",
        "{}{}",
        "{{}}",
        "{a}{b}",
        "{{{{{{{a}}}}}}}",
        "[0:1]{a,b}",
        "[0:1",
        "[evil]={a}",
    ] {
        assert!(
            is_protocol(&frame(&text, &[row(&[Some(array.as_bytes())])])),
            "{array}"
        );
    }
    let nested = frame(&text, &[row(&[Some(b"[5:6][-1:-1]={{NULL},{\"N\\\\\"}}")])]).unwrap();
    assert_eq!(nested.four, [2 | 0x100, 2, 1, 0, 2, 0b01]);
    assert_eq!(nested.latin1, b"N\\");
}

#[test]
fn the_bitmap_of_a_long_array_has_a_bit_for_every_element() {
    let plan = plan(Preset::Pg, &[1022], false);
    let array = format!("{{{}NULL}}", "1,".repeat(64));
    let parts = frame(&plan, &[row(&[Some(array.as_bytes())])]).unwrap();
    assert_eq!(parts.four, [1 | 0x100, 65, 0, 0, 1]);
    assert_eq!(parts.eight.len(), 65);
}

#[test]
fn text_of_another_date_style_is_null_under_pg_and_stays_text_under_lossless() {
    let value = row(&[Some(b"05/06/2026 12:00:00 UTC")]);
    let pg = frame(
        &plan(Preset::Pg, &[1184], false),
        std::slice::from_ref(&value),
    )
    .unwrap();
    assert_eq!((pg.eight, pg.nulls), (vec![0], vec![1]));
    let lossless = frame(&plan(Preset::Lossless, &[1184], false), &[value]).unwrap();
    assert_eq!(lossless.latin1, b"05/06/2026 12:00:00 UTC");
}

#[test]
fn types_the_user_reads_come_as_their_exact_text() {
    let profile = Profile::new(Preset::Lossless, [1184, 1007, 3802]);
    let plan = Plan::per_type(&SHAPES, &fields(&[1184, 1007, 3802]), &profile);
    assert_eq!(formats(&plan), [false; 3]);
    let values: [Option<&[u8]>; 3] = [
        Some(b"2026-06-05 12:00:00+02"),
        Some(b"{1,2}"),
        Some(b"{} "),
    ];
    let parts = frame(&plan, &[row(&values)]).unwrap();
    assert_eq!(parts.latin1, b"2026-06-05 12:00:00+02{1,2}{} ");
    assert_eq!(parts.json, Vec::<Vec<u8>>::new());
}

#[test]
fn sec_w11_broken_utf8_in_text_and_json_is_replaced() {
    let plan = plan(Preset::Pg, &[25, 114], false);
    let parts = frame(&plan, &[row(&[Some(b"a\xFF"), Some(b"\"\xFF\"")])]).unwrap();
    assert_eq!(parts.utf16, [b'a', 0, 0xFD, 0xFF]);
    let json: Vec<u8> = "[\"\u{FFFD}\"]"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    assert_eq!(parts.json, [json]);
}

/// xorshift64: the same rows on every run.
struct Random(u64);

impl Random {
    fn next(&mut self, below: u64) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % below).unwrap()
    }
}

#[test]
fn sec_w07_no_row_makes_the_builder_panic_or_lose_count() {
    const ALPHABET: &[u8] = b"{}{}\"\\,:-+. 0123456789NULLtTBC\x00\x01\x17\xFF\xC3";
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    for round in 0..200_000 {
        let preset = [Preset::Pg, Preset::Lossless][round % 2];
        let oid = OIDS[random.next(22)];
        let plan = plan(preset, &[oid], random.next(2) == 0);
        let fixed = [1, 2, 4, 8, 16][random.next(5)];
        let length = if random.next(2) == 0 {
            fixed
        } else {
            random.next(40)
        };
        let mut value: Vec<u8> = (0..length).map(|_| ALPHABET[random.next(35)]).collect();
        if formats(&plan)[0] && random.next(2) == 0 {
            let header = [
                0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 23, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0,
            ];
            value.splice(0..0, header);
        }
        let result = frame(&plan, &[row(&[Some(&value)])]);
        assert!(
            result.is_ok() || is_protocol(&result),
            "{oid} {value:?} {result:?}"
        );
    }
}

#[test]
fn rows_of_a_binary_cursor_are_read_as_they_are_described() {
    let shapes = Shapes::new();
    let profile = Profile::new(Preset::Lossless, []);
    let fields = fields(&[23, 25, 20]);
    let plan = Plan::as_described(&shapes, &fields, &[true, true, true], &profile).unwrap();
    let text = Plan::all_text(&shapes, &fields, &profile);
    assert_eq!(plan.shape, text.shape);
    assert_eq!(formats(&plan), [true; 3]);
    let binary = row(&[
        Some(&7_i32.to_be_bytes()),
        Some(b"x"),
        Some(&8_i64.to_be_bytes()),
    ]);
    let as_text = row(&[Some(b"7"), Some(b"x"), Some(b"8")]);
    assert_eq!(
        frame(&plan, &[binary]).unwrap(),
        frame(&text, &[as_text]).unwrap()
    );
    // Without formats everything is text, as a simple query says it.
    let plan = Plan::as_described(&shapes, &fields, &[], &profile).unwrap();
    assert_eq!(formats(&plan), [false; 3]);
    for unread in [1700, 3802, 700, 16_999] {
        let fields = self::fields(&[23, unread]);
        let refused = Plan::as_described(&shapes, &fields, &[true, true], &profile).unwrap_err();
        assert_eq!(refused.type_oid, unread);
    }
}
