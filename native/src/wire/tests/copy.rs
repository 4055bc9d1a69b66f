//! COPY in both directions, and how a COPY that nobody wants is refused.

use super::*;

const COPY_IN: [u8; 8] = [b'G', 0, 0, 0, 7, 0, 0, 0];

#[test]
fn a_copy_without_data_source_is_refused_and_the_session_lives_on() {
    let mut core = core(&[
        Expect::BindComplete,
        Expect::Result { tag: 0 },
        Expect::Ready,
    ]);
    feed(&mut core, &[message(b'2', b""), COPY_IN.to_vec()].concat())
        .1
        .unwrap();
    assert!(core.takes_copy_data() && !core.is_idle());
    // the Sync that was sent with the COPY is ignored by the server, so nothing is owed for it
    assert_eq!((core.outstanding(), core.needs_sync()), (0, false));
    let mut out = BytesMut::new();
    assert!(core.end_copy_in(&mut out, Err("no data")).unwrap());
    assert_eq!(out, &b"f\0\0\0\x0cno data\0S\0\0\0\x04"[..]);
    assert_eq!(core.outstanding(), 1);
    assert!(!core.end_copy_in(&mut out, Ok(())).unwrap(), "only once");
    let (events, outcome) = feed(&mut core, &[error_message("57014"), ready(b'I')].concat());
    outcome.unwrap();
    assert_eq!(events, ["error ERROR 57014", "ready Idle"]);
    assert!(core.is_idle());
}

#[test]
fn a_copy_of_a_simple_query_ends_without_a_sync() {
    let mut core = core(&[Expect::Simple, Expect::Ready]);
    feed(&mut core, &COPY_IN).1.unwrap();
    let mut out = BytesMut::new();
    assert!(core.end_copy_in(&mut out, Ok(())).unwrap());
    assert_eq!(out, &b"c\0\0\0\x04"[..]);
    let (events, outcome) = feed(&mut core, &[complete("COPY 3"), ready(b'I')].concat());
    outcome.unwrap();
    assert_eq!(events, ["complete 0 Complete(\"COPY 3\")", "ready Idle"]);
}

#[test]
fn an_error_during_a_copy_ends_it() {
    let mut extended = core(&[Expect::Result { tag: 0 }, Expect::Ready]);
    feed(
        &mut extended,
        &[COPY_IN.to_vec(), error_message("22P04")].concat(),
    )
    .1
    .unwrap();
    assert!(!extended.takes_copy_data());
    assert!(extended.needs_sync(), "the server waits for another Sync");
    assert!(!extended.end_copy_in(&mut BytesMut::new(), Ok(())).unwrap());
    let mut simple = core(&[Expect::Simple, Expect::Ready]);
    feed(
        &mut simple,
        &[COPY_IN.to_vec(), error_message("22P04"), ready(b'I')].concat(),
    )
    .1
    .unwrap();
    assert!(simple.is_idle());
}

#[test]
fn a_copy_with_more_of_its_request_behind_it_is_ended_by_the_server() {
    let mut core = core(&[
        Expect::Result { tag: 0 },
        Expect::BindComplete,
        Expect::Result { tag: 1 },
        Expect::Ready,
    ]);
    feed(&mut core, &COPY_IN).1.unwrap();
    assert!(!core.takes_copy_data());
    assert!(
        !core
            .end_copy_in(&mut BytesMut::new(), Err("no data"))
            .unwrap()
    );
    feed(&mut core, &[error_message("08P01"), ready(b'I')].concat())
        .1
        .unwrap();
    assert!(core.is_idle());
}

#[test]
fn a_copy_with_other_requests_behind_it_ends_the_connection() {
    for first in [Expect::Result { tag: 0 }, Expect::Simple] {
        let mut core = core(&[first, Expect::Ready, Expect::BindComplete, Expect::Ready]);
        assert!(problem(&feed(&mut core, &COPY_IN).1).contains("behind the COPY"));
    }
}

#[test]
fn a_reason_that_cannot_be_sent_writes_nothing_and_can_be_replaced() {
    let mut core = core(&[Expect::Result { tag: 0 }, Expect::Ready]);
    feed(&mut core, &COPY_IN).1.unwrap();
    let mut out = BytesMut::new();
    for reason in ["a\0b".to_string(), "x".repeat(10_000)] {
        assert!(matches!(
            core.end_copy_in(&mut out, Err(&reason)),
            Err(Error::Encode { .. })
        ));
        assert!(out.is_empty() && core.takes_copy_data());
    }
    assert!(core.end_copy_in(&mut out, Err(&"x".repeat(9_900))).unwrap());
}

#[test]
fn formats_of_a_copy_are_told() {
    let mut core = core(&[Expect::Result { tag: 0 }, Expect::Ready]);
    let (events, outcome) = feed(&mut core, &message(b'H', &[1, 0, 2, 0, 1, 0, 1]));
    outcome.unwrap();
    assert_eq!(
        events,
        ["copy out CopyFormat { binary: true, columns: [1, 1] }"]
    );
}
