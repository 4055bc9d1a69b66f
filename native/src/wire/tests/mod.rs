//! Tests of the protocol core: what the server may say, in every state and cut at every byte.

mod copy;
mod decode;
mod encode;
mod hostile;
mod login;
mod params;
mod sasl;
mod scripted;
mod session;
mod states;

use bytes::BytesMut;

use super::{
    CopyFormat, Core, Expect, MAX_MESSAGE, ResultEnd, RowDescription, Sink, TransactionStatus,
};
use crate::error::{Error, ServerError};

/// A message of the server: tag, length, body.
pub(super) fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = i32::try_from(body.len() + 4).unwrap();
    [&[tag][..], &length.to_be_bytes(), body].concat()
}

/// An ErrorResponse or NoticeResponse with these fields.
pub(super) fn fields(tag: u8, fields: &[(u8, &str)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (field, text) in fields {
        body.push(*field);
        body.extend_from_slice(text.as_bytes());
        body.push(0);
    }
    body.push(0);
    message(tag, &body)
}

pub(super) fn error_message(code: &str) -> Vec<u8> {
    fields(
        b'E',
        &[
            (b'S', "FEHLER"),
            (b'V', "ERROR"),
            (b'C', code),
            (b'M', "no"),
        ],
    )
}

pub(super) fn ready(status: u8) -> Vec<u8> {
    message(b'Z', &[status])
}

pub(super) fn complete(tag: &str) -> Vec<u8> {
    message(b'C', format!("{tag}\0").as_bytes())
}

/// A DataRow of text values.
pub(super) fn data_row(values: &[Option<&str>]) -> Vec<u8> {
    let mut body = u16::try_from(values.len()).unwrap().to_be_bytes().to_vec();
    for value in values {
        let length = value.map_or(-1, |value| i32::try_from(value.len()).unwrap());
        body.extend(length.to_be_bytes());
        body.extend(value.unwrap_or_default().as_bytes());
    }
    message(b'D', &body)
}

/// A RowDescription of columns (name, type OID, format).
pub(super) fn row_description(columns: &[(&[u8], u32, u16)]) -> Vec<u8> {
    let mut body = u16::try_from(columns.len()).unwrap().to_be_bytes().to_vec();
    for (name, type_oid, format) in columns {
        body.extend_from_slice(name);
        body.push(0);
        body.extend(1_259_u32.to_be_bytes());
        body.extend(3_i16.to_be_bytes());
        body.extend(type_oid.to_be_bytes());
        body.extend((-1_i16).to_be_bytes());
        body.extend(68_i32.to_be_bytes());
        body.extend(format.to_be_bytes());
    }
    message(b'T', &body)
}

/// Writes down every event as one line.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Record(pub(super) Vec<String>);

impl Record {
    fn note(&mut self, line: impl Into<String>) {
        self.0.push(line.into());
    }
}

impl Sink for Record {
    fn parse_complete(&mut self) {
        self.note("parsed");
    }
    fn close_complete(&mut self) {
        self.note("closed");
    }
    fn bind_complete(&mut self) {
        self.note("bound");
    }
    fn parameter_description(&mut self, oids: Vec<u32>) {
        self.note(format!("parameters {oids:?}"));
    }
    fn row_description(&mut self, description: Option<RowDescription>) {
        self.note(format!("columns {description:?}"));
    }
    fn row(&mut self, body: &[u8]) -> Result<(), Error> {
        self.note(format!("row {body:?}"));
        Ok(())
    }
    fn complete(&mut self, tag: u8, end: ResultEnd<'_>) {
        self.note(format!("complete {tag} {end:?}"));
    }
    fn copy_in(&mut self, format: CopyFormat) {
        self.note(format!("copy in {format:?}"));
    }
    fn copy_out(&mut self, format: CopyFormat) {
        self.note(format!("copy out {format:?}"));
    }
    fn copy_data(&mut self, data: &[u8]) {
        self.note(format!("copy data {data:?}"));
    }
    fn copy_done(&mut self) {
        self.note("copy done");
    }
    fn error(&mut self, error: ServerError) {
        self.note(format!("error {} {}", error.severity, error.code));
    }
    fn ready(&mut self, status: TransactionStatus) {
        self.note(format!("ready {status:?}"));
    }
    fn notice(&mut self, notice: ServerError) {
        self.note(format!("notice {}", notice.message));
    }
    fn notification(&mut self, pid: i32, channel: &str, payload: &str) {
        self.note(format!("notification {pid} {channel} {payload}"));
    }
    fn parameter_status(&mut self, name: &str, value: &str) {
        self.note(format!("parameter {name}={value}"));
    }
}

/// A core that expects these answers.
pub(super) fn core(expects: &[Expect]) -> Core {
    let mut core = Core::new(MAX_MESSAGE);
    for expect in expects {
        core.expect(*expect);
    }
    core
}

/// Feeds everything at once; the events and how it ended.
pub(super) fn feed(core: &mut Core, bytes: &[u8]) -> (Vec<String>, Result<(), Error>) {
    let mut record = Record::default();
    let outcome = core.feed(&mut BytesMut::from(bytes), &mut record);
    (record.0, outcome)
}

/// The sentence of a protocol error.
pub(super) fn problem(outcome: &Result<(), Error>) -> &str {
    match outcome {
        Err(Error::Protocol { problem }) => problem,
        other => panic!("a protocol error was expected, got {other:?}"),
    }
}

/// All expectations of one extended query that is prepared and described first.
pub(super) const EXTENDED: [Expect; 5] = [
    Expect::ParseComplete,
    Expect::StatementDescription,
    Expect::BindComplete,
    Expect::Result { tag: 7 },
    Expect::Ready,
];

/// Its answer, message by message.
pub(super) fn extended_answer() -> Vec<Vec<u8>> {
    vec![
        message(b'1', b""),
        message(b't', &[0, 1, 0, 0, 0, 23]),
        row_description(&[(b"a", 23, 0), (b"b", 25, 1)]),
        message(b'2', b""),
        data_row(&[Some("1"), None]),
        data_row(&[Some(""), Some("x")]),
        complete("SELECT 2"),
        ready(b'I'),
    ]
}
