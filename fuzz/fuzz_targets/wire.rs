//! A backend stream in every state: no panic, and the same events however the stream is cut.
//!
//! Input: `u8` flags (bit 0: the stream is framed here, see `support::framed`; bit 1: a small limit), `u8` piece size,
//! `u8` n, n expectations, then the stream.
#![no_main]

mod support;

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use pg_berth::error::{Error, ServerError};
use pg_berth::wire::{
    CopyFormat, Core, Expect, MAX_MESSAGE, ResultEnd, Row, RowDescription, Sink, TransactionStatus,
};

/// Writes every event down.
#[derive(Default)]
struct Events(Vec<String>);

impl Sink for Events {
    fn parse_complete(&mut self) {
        self.0.push("parse".into());
    }
    fn close_complete(&mut self) {
        self.0.push("close".into());
    }
    fn bind_complete(&mut self) {
        self.0.push("bind".into());
    }
    fn parameter_description(&mut self, oids: Vec<u32>) {
        self.0.push(format!("{oids:?}"));
    }
    fn row_description(&mut self, description: Option<RowDescription>) {
        if let Some(RowDescription { fields, binary }) = &description {
            assert!(binary.is_empty() || binary.len() == fields.len());
        }
        self.0.push(format!("{description:?}"));
    }
    fn row(&mut self, body: &[u8]) -> Result<(), Error> {
        let mut row = Row::new(body)?;
        let mut columns = 0;
        while row.next_column()?.is_some() {
            columns += 1;
        }
        assert_eq!(columns, row.columns());
        self.0.push(format!("{body:?}"));
        Ok(())
    }
    fn complete(&mut self, tag: u8, end: ResultEnd<'_>) {
        self.0.push(format!("{tag} {end:?}"));
    }
    fn copy_in(&mut self, format: CopyFormat) {
        self.0.push(format!("in {format:?}"));
    }
    fn copy_out(&mut self, format: CopyFormat) {
        self.0.push(format!("out {format:?}"));
    }
    fn copy_data(&mut self, data: &[u8]) {
        self.0.push(format!("data {data:?}"));
    }
    fn copy_done(&mut self) {
        self.0.push("done".into());
    }
    fn error(&mut self, error: ServerError) {
        self.0.push(format!("{error:?}"));
    }
    fn ready(&mut self, status: TransactionStatus) {
        self.0.push(format!("{status:?}"));
    }
    fn notice(&mut self, notice: ServerError) {
        self.0.push(format!("notice {notice:?}"));
    }
    fn notification(&mut self, pid: i32, channel: &str, payload: &str) {
        self.0.push(format!("{pid} {channel:?} {payload:?}"));
    }
    fn parameter_status(&mut self, name: &str, value: &str) {
        self.0.push(format!("{name:?} {value:?}"));
    }
}

const EXPECTS: [Expect; 8] = [
    Expect::ParseComplete,
    Expect::CloseComplete,
    Expect::StatementDescription,
    Expect::BindComplete,
    Expect::PortalDescription,
    Expect::Result { tag: 7 },
    Expect::Simple,
    Expect::Ready,
];

/// Feeds the pieces; the events, and whether the stream was accepted.
fn run<'a>(
    expects: &[u8],
    max: usize,
    pieces: impl Iterator<Item = &'a [u8]>,
) -> (Vec<String>, bool) {
    let mut core = Core::new(max);
    let expects: Vec<Expect> = expects
        .iter()
        .map(|code| EXPECTS[usize::from(*code) % EXPECTS.len()])
        .collect();
    expects.iter().for_each(|expect| core.expect(*expect));
    let (mut input, mut events) = (BytesMut::new(), Events::default());
    for piece in pieces {
        input.extend_from_slice(piece);
        let before = input.len();
        if core.feed(&mut input, &mut events).is_err() {
            assert!(core.feed(&mut input, &mut events).is_err());
            return (events.0, false);
        }
        assert!(input.len() <= before);
        assert!(core.outstanding() <= expects.len());
        assert!(!(core.is_idle() && (core.needs_sync() || core.takes_copy_data())));
    }
    // whatever was left open, the driver's two ways out must work
    let mut out = BytesMut::new();
    if core.takes_copy_data() {
        assert!(core.end_copy_in(&mut out, Err("refused")).unwrap());
        assert!(!core.takes_copy_data());
    }
    if core.needs_sync() {
        core.expect(Expect::Ready);
        assert!(!core.needs_sync() && core.outstanding() == 1);
    }
    (events.0, true)
}

fuzz_target!(|input: &[u8]| {
    let [flags, size, count, rest @ ..] = input else {
        return;
    };
    let Some((expects, stream)) = rest.split_at_checked(usize::from(count % 24)) else {
        return;
    };
    let stream = support::stream(flags & 1 != 0, stream, b"");
    let max = if flags & 2 != 0 { 64 } else { MAX_MESSAGE };
    let whole = run(expects, max, std::iter::once(&stream[..]));
    let cut = run(expects, max, stream.chunks(usize::from(*size).max(1)));
    assert_eq!(whole, cut);
});
