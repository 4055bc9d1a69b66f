//! Whole conversations: pipelines, errors in them, and messages that nobody asked for.

use bytes::BytesMut;

use super::*;

/// A conversation with everything in it: extended, failed, simple and COPY requests.
fn conversation() -> (Vec<Expect>, Vec<Vec<u8>>) {
    let mut expects = EXTENDED.to_vec();
    let mut messages = extended_answer();
    expects.extend(EXTENDED);
    messages.extend([message(b'1', b""), error_message("42703"), ready(b'E')]);
    expects.extend([Expect::Simple, Expect::Ready]);
    messages.extend([
        row_description(&[(b"x", 25, 0)]),
        data_row(&[Some("y")]),
        complete("SELECT 1"),
        message(b'I', b""),
        complete("SET"),
        message(b'H', &[0, 0, 1, 0, 0]),
        message(b'd', b"1\n"),
        message(b'c', b""),
        complete("COPY 1"),
        ready(b'T'),
    ]);
    expects.extend([
        Expect::BindComplete,
        Expect::PortalDescription,
        Expect::Result { tag: 1 },
        Expect::Result { tag: 2 },
        Expect::CloseComplete,
        Expect::Ready,
    ]);
    messages.extend([
        message(b'2', b""),
        message(b'n', b""),
        message(b's', b""),
        message(b'I', b""),
        message(b'3', b""),
        ready(b'I'),
    ]);
    (expects, messages)
}

#[test]
fn any_split_of_the_input_gives_the_same_events() {
    let (expects, messages) = conversation();
    let bytes = messages.concat();
    let (whole, outcome) = feed(&mut core(&expects), &bytes);
    outcome.unwrap();
    assert_eq!(whole.len(), messages.len());
    for cut in 0..=bytes.len() {
        let (mut core, mut record, mut input) =
            (core(&expects), Record::default(), BytesMut::new());
        for part in [&bytes[..cut], &bytes[cut..]] {
            input.extend_from_slice(part);
            core.feed(&mut input, &mut record).unwrap();
        }
        assert_eq!(record.0, whole, "cut at byte {cut}");
        assert!(input.is_empty() && core.is_idle(), "cut at byte {cut}");
    }
    let (mut core, mut record, mut input) = (core(&expects), Record::default(), BytesMut::new());
    for byte in bytes {
        input.extend_from_slice(&[byte]);
        core.feed(&mut input, &mut record).unwrap();
    }
    assert_eq!(record.0, whole, "byte by byte");
}

#[test]
fn sec_w09_notices_notifications_and_parameters_may_come_between_any_two_messages() {
    let (expects, messages) = conversation();
    let plain = feed(&mut core(&expects), &messages.concat()).0;
    let unasked = [
        fields(b'N', &[(b'M', "careful")]),
        message(b'A', b"\0\0\0\x07channel\0payload\0"),
        message(b'S', b"TimeZone\0UTC\0"),
    ]
    .concat();
    for position in 0..=messages.len() {
        let mut injected = messages.clone();
        injected.insert(position, unasked.clone());
        let (mut events, outcome) = feed(&mut core(&expects), &injected.concat());
        outcome.unwrap();
        let extra: Vec<String> = events.drain(position..position + 3).collect();
        assert_eq!(
            extra,
            [
                "notice careful",
                "notification 7 channel payload",
                "parameter TimeZone=UTC"
            ],
            "before message {position}"
        );
        assert_eq!(events, plain, "before message {position}");
    }
}

#[test]
fn an_error_skips_to_the_end_of_its_request_and_no_further() {
    let answer = extended_answer();
    for before in 0..answer.len() {
        let mut core = core(&[EXTENDED, EXTENDED].concat());
        let mut bytes = answer[..before].concat();
        bytes.extend(error_message("57014"));
        bytes.extend(ready(b'I'));
        bytes.extend(answer.concat());
        let (events, outcome) = feed(&mut core, &bytes);
        outcome.unwrap();
        assert_eq!(
            events[before], "error ERROR 57014",
            "after {before} messages"
        );
        assert_eq!(events[before + 1], "ready Idle", "after {before} messages");
        assert_eq!(
            events.len(),
            before + 2 + answer.len(),
            "after {before} messages"
        );
        assert!(core.is_idle());
    }
}

#[test]
fn an_error_before_the_sync_was_sent_asks_for_it() {
    let mut core = core(&[Expect::BindComplete, Expect::Result { tag: 0 }]);
    let bytes = [message(b'2', b""), data_row(&[]), message(b's', b"")].concat();
    assert_eq!(feed(&mut core, &bytes).0.len(), 3);
    assert!(!core.is_idle(), "the request has no Sync yet");
    core.expect(Expect::Result { tag: 0 });
    assert!(!core.needs_sync());
    feed(&mut core, &error_message("22012")).1.unwrap();
    assert!(core.needs_sync() && !core.is_idle());
    core.expect(Expect::Result { tag: 0 });
    core.expect(Expect::Ready);
    assert!(!core.needs_sync());
    assert_eq!(core.outstanding(), 1);
    assert_eq!(feed(&mut core, &ready(b'E')).0, ["ready Failed"]);
    assert!(core.is_idle());
    assert_eq!(core.status(), TransactionStatus::Failed);
}

#[test]
fn last_words_outside_any_request_reach_the_sink() {
    let mut core = core(&[]);
    let bytes = fields(b'E', &[(b'S', "FATAL"), (b'C', "57P01"), (b'M', "bye")]);
    assert_eq!(feed(&mut core, &bytes).0, ["error FATAL 57P01"]);
    assert!(core.is_idle() && !core.needs_sync());
}

#[test]
fn an_error_at_commit_time_belongs_to_the_request_whose_result_was_complete() {
    let mut core = core(&[
        Expect::Result { tag: 0 },
        Expect::Ready,
        Expect::Result { tag: 1 },
        Expect::Ready,
    ]);
    let first = [complete("INSERT 0 1"), error_message("23503"), ready(b'I')].concat();
    feed(&mut core, &first).1.unwrap();
    assert_eq!(core.outstanding(), 1);
    let (events, _) = feed(&mut core, &[complete("SELECT 0"), ready(b'I')].concat());
    assert_eq!(events, ["complete 1 Complete(\"SELECT 0\")", "ready Idle"]);
}

#[test]
fn after_a_violation_the_core_stays_broken() {
    let mut core = core(&EXTENDED);
    problem(&feed(&mut core, &ready(b'I')).1);
    let (events, outcome) = feed(&mut core, &message(b'1', b""));
    assert!(events.is_empty());
    assert!(problem(&outcome).contains("given up"));
}

#[test]
fn an_error_of_the_sink_ends_the_connection() {
    struct Refusing(Record);
    impl Sink for Refusing {
        fn parse_complete(&mut self) {}
        fn close_complete(&mut self) {}
        fn bind_complete(&mut self) {}
        fn parameter_description(&mut self, _: Vec<u32>) {}
        fn row_description(&mut self, _: Option<RowDescription>) {}
        fn row(&mut self, body: &[u8]) -> Result<(), Error> {
            self.0.row(body)?;
            Err(Error::protocol("three columns, two described"))
        }
        fn complete(&mut self, _: u8, _: ResultEnd<'_>) {}
        fn copy_in(&mut self, _: CopyFormat) {}
        fn copy_out(&mut self, _: CopyFormat) {}
        fn copy_data(&mut self, _: &[u8]) {}
        fn copy_done(&mut self) {}
        fn error(&mut self, _: ServerError) {}
        fn ready(&mut self, _: TransactionStatus) {}
        fn notice(&mut self, _: ServerError) {}
        fn notification(&mut self, _: i32, _: &str, _: &str) {}
        fn parameter_status(&mut self, _: &str, _: &str) {}
    }
    let mut sink = Refusing(Record::default());
    let mut core = core(&[Expect::Result { tag: 0 }, Expect::Ready]);
    let mut input = BytesMut::from(&[data_row(&[]), data_row(&[])].concat()[..]);
    assert!(problem(&core.feed(&mut input, &mut sink)).starts_with("three columns"));
    assert!(core.feed(&mut input, &mut sink).is_err());
    assert_eq!(sink.0.0.len(), 1, "no row after the refused one");
}

/// Wants no row of ten bytes or more.
#[derive(Default)]
struct Picky {
    rows: usize,
    passed: usize,
    ready: bool,
}

impl Sink for Picky {
    fn parse_complete(&mut self) {}
    fn close_complete(&mut self) {}
    fn bind_complete(&mut self) {}
    fn parameter_description(&mut self, _oids: Vec<u32>) {}
    fn row_description(&mut self, _description: Option<RowDescription>) {}
    fn row(&mut self, _body: &[u8]) -> Result<(), Error> {
        self.rows += 1;
        Ok(())
    }
    fn passes(&mut self, length: usize) -> bool {
        self.passed += usize::from(length >= 10);
        length >= 10
    }
    fn complete(&mut self, _tag: u8, _end: ResultEnd<'_>) {}
    fn copy_in(&mut self, _format: CopyFormat) {}
    fn copy_out(&mut self, _format: CopyFormat) {}
    fn copy_data(&mut self, _data: &[u8]) {}
    fn copy_done(&mut self) {}
    fn error(&mut self, _error: ServerError) {}
    fn ready(&mut self, _status: TransactionStatus) {
        self.ready = true;
    }
    fn notice(&mut self, _notice: ServerError) {}
    fn notification(&mut self, _pid: i32, _channel: &str, _payload: &str) {}
    fn parameter_status(&mut self, _name: &str, _value: &str) {}
}

#[test]
fn sec_f08_an_unwanted_row_passes_without_being_collected() {
    let row = data_row(&[Some(&"x".repeat(1000))]);
    let bytes = [data_row(&[None]), row, complete("SELECT 2"), ready(b'I')].concat();
    for step in 1..40 {
        let mut core = core(&[Expect::Result { tag: 0 }, Expect::Ready]);
        let (mut picky, mut input) = (Picky::default(), BytesMut::new());
        for piece in bytes.chunks(step) {
            input.extend_from_slice(piece);
            core.feed(&mut input, &mut picky).unwrap();
            // A header and the piece that just came are all that is ever held.
            assert!(
                input.len() <= 30 + step,
                "{} bytes in pieces of {step}",
                input.len()
            );
        }
        assert_eq!(
            (picky.rows, picky.passed, picky.ready),
            (1, 1, true),
            "{step}"
        );
        assert!(core.is_idle());
    }
}
