//! Every tag in every state: what is not in the table is a protocol error, and nothing panics (rules W01, W06).

use super::super::backend::{bounds, split};
use super::*;

/// A plausible message for each tag that exists; for others an empty body.
fn plausible(tag: u8) -> Vec<u8> {
    match tag {
        b'T' => row_description(&[]),
        b'D' => data_row(&[]),
        b'C' => complete("SELECT 0"),
        b'G' | b'H' | b'W' => message(tag, &[0, 0, 0]),
        b'Z' => ready(b'I'),
        b'E' => error_message("XX000"),
        b'N' => fields(tag, &[]),
        b'A' => message(tag, &[0, 0, 0, 0, 0, 0]),
        b't' | b'S' => message(tag, &[0, 0]),
        b'K' | b'R' | b'v' => message(tag, &[0; 8]),
        _ => message(tag, b""),
    }
}

/// What it is called, what is expected, the messages that lead there, and the tags that may come.
type State = (&'static str, Vec<Expect>, Vec<u8>, &'static [u8]);

fn states() -> Vec<State> {
    use Expect::{
        BindComplete, CloseComplete, ParseComplete, PortalDescription, Ready, Simple,
        StatementDescription,
    };
    let result = vec![Expect::Result { tag: 0 }, Ready];
    let simple = vec![Simple, Ready];
    let described = row_description(&[]);
    let out = [plausible(b'H'), message(b'd', b"x")].concat();
    vec![
        ("idle", vec![], vec![], b""),
        ("parse", vec![ParseComplete, Ready], vec![], b"1"),
        ("bind", vec![BindComplete, Ready], vec![], b"2"),
        ("close", vec![CloseComplete, Ready], vec![], b"3"),
        ("statement", vec![StatementDescription, Ready], vec![], b"t"),
        (
            "statement, parameters known",
            vec![StatementDescription, Ready],
            plausible(b't'),
            b"Tn",
        ),
        ("portal", vec![PortalDescription, Ready], vec![], b"Tn"),
        ("result", result.clone(), vec![], b"DCsIGH"),
        ("result, rows seen", result.clone(), data_row(&[]), b"DCs"),
        ("result, copy in", result.clone(), plausible(b'G'), b"C"),
        ("result, copy out", result.clone(), out.clone(), b"dc"),
        (
            "result, copy out done",
            result,
            [out.clone(), message(b'c', b"")].concat(),
            b"C",
        ),
        ("simple", simple.clone(), vec![], b"TCIGH"),
        (
            "simple, described",
            simple.clone(),
            described.clone(),
            b"TDC",
        ),
        (
            "simple, rows seen",
            simple.clone(),
            [described, data_row(&[])].concat(),
            b"TDC",
        ),
        (
            "simple, between",
            simple.clone(),
            complete("SET"),
            b"TCIGHZ",
        ),
        ("simple, copy in", simple.clone(), plausible(b'G'), b"C"),
        ("simple, copy out", simple.clone(), out.clone(), b"dc"),
        (
            "simple, copy out done",
            simple,
            [out, message(b'c', b"")].concat(),
            b"C",
        ),
        ("ready", vec![Ready], vec![], b"Z"),
        ("ready, another behind", vec![Ready, Ready], vec![], b"Z"),
        (
            "failed, no sync sent",
            vec![BindComplete],
            error_message("XX000"),
            b"",
        ),
    ]
}

#[test]
fn sec_w06_each_tag_in_each_state_is_taken_or_a_protocol_error() {
    for (state, expects, before, allowed) in states() {
        for tag in 0..=u8::MAX {
            let mut core = core(&expects);
            feed(&mut core, &before).1.unwrap();
            let (events, outcome) = feed(&mut core, &plausible(tag));
            if allowed.contains(&tag) || b"ENAS".contains(&tag) {
                outcome.unwrap_or_else(|error| panic!("{state}, {}: {error}", tag.escape_ascii()));
                assert_eq!(events.len(), 1, "{state}, {}", tag.escape_ascii());
            } else {
                let problem = problem(&outcome);
                assert!(
                    problem.contains(&format!("'{}'", tag.escape_ascii())),
                    "{state}: {problem}"
                );
                assert!(events.is_empty(), "{state}, {}", tag.escape_ascii());
            }
        }
    }
}

#[test]
fn sec_w01_a_length_below_four_is_a_protocol_error_for_every_tag() {
    for length in [0, 1, 2, 3, -1, i32::MIN] {
        for tag in 0..=u8::MAX {
            let header = [&[tag][..], &length.to_be_bytes()].concat();
            problem(&feed(&mut core(&EXTENDED), &header).1);
        }
    }
}

#[test]
fn sec_w06_an_absurd_length_fails_at_the_header() {
    for (tag, length) in [
        (b'Z', 6),
        (b'1', 5),
        (b'C', 30_001),
        (b'S', 30_001),
        (b't', 300_000),
        (b'D', i32::MAX),
    ] {
        let header = [&[tag][..], &i32::to_be_bytes(length)].concat();
        assert!(problem(&feed(&mut core(&EXTENDED), &header).1).contains(&length.to_string()));
    }
}

#[test]
fn the_longest_message_is_configurable() {
    let mut core = Core::new(100);
    core.expect(Expect::Result { tag: 0 });
    core.expect(Expect::Ready);
    assert!(
        feed(&mut core, &data_row(&[Some(&"x".repeat(90))]))
            .1
            .is_ok()
    );
    let outcome = feed(&mut core, &data_row(&[Some(&"x".repeat(91))])).1;
    assert!(problem(&outcome).contains("4 to 100"));
}

#[test]
fn sec_w05_every_kind_of_message_has_a_longest_one_which_its_header_alone_is_held_to() {
    for (tags, max) in [
        ("DdTEN", MAX_MESSAGE),
        ("A", 1 << 20),
        ("t", 4 + 2 + 4 * 65_535),
        ("CGHWSKRVv", 30_000),
        ("Z", 5),
        ("123cIns", 4),
    ] {
        for tag in tags.bytes() {
            for longest in [MAX_MESSAGE, 10_000] {
                let max = if max > 5 { max.min(longest) } else { max };
                for (announced, is_taken) in [(max, true), (max + 1, false)] {
                    let length = i32::try_from(announced).unwrap().to_be_bytes();
                    let header = [&[tag][..], &length].concat();
                    let outcome = split(&mut &header[..], |tag| bounds(tag, longest));
                    assert_eq!(outcome.is_ok(), is_taken, "{} {announced}", char::from(tag));
                }
            }
        }
    }
}

#[test]
fn sec_w05_an_announced_gigabyte_costs_nothing_until_it_arrives() {
    let mut core = core(&[Expect::Result { tag: 0 }, Expect::Ready]);
    let mut input =
        BytesMut::from(&[&[b'D'][..], &0x3fff_fff0_i32.to_be_bytes(), &[0; 10]].concat()[..]);
    let before = (input.len(), input.capacity());
    core.feed(&mut input, &mut Record::default()).unwrap();
    assert_eq!((input.len(), input.capacity()), before);
}

#[test]
fn sec_w08_a_message_in_many_pieces_costs_time_linear_in_its_size() {
    let body = 32_i32 << 20;
    let mut core = core(&[Expect::Result { tag: 0 }, Expect::Ready]);
    let mut record = Record::default();
    let mut input = BytesMut::from(&[&[b'D'][..], &(body + 4).to_be_bytes()].concat()[..]);
    let started = std::time::Instant::now();
    // quadratic handling would touch half a terabyte here
    for _ in 0..body / 1_024 {
        assert!(record.0.is_empty());
        input.extend_from_slice(&[0; 1_024]);
        core.feed(&mut input, &mut record).unwrap();
    }
    assert_eq!(record.0.len(), 1);
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}
