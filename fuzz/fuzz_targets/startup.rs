//! A start-up transcript, SCRAM included: no panic, no session without a right to it, no password where it must not be.
//!
//! Input: `u8` flags (bit 0 framed, 1 password, 2 TLS, 3 clear text allowed, 4 protocol 3.2, 5 channel binding data,
//! 6 channel binding required, 7 several methods excluded), `u8` piece size, then the stream. In framed streams `%N`
//! stands for the client's SCRAM nonce.
#![no_main]

mod support;

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use pg_berth::wire::{AuthMethods, Password, Session, Startup, StartupSettings, Step, ssl_answer};

const SECRET: &[u8] = b"correct horse";

/// Feeds one piece until the client needs more.
fn feed(
    startup: &mut Startup,
    input: &mut BytesMut,
    out: &mut BytesMut,
) -> Option<Option<Session>> {
    loop {
        match startup.feed(input, out).ok()? {
            Step::NeedMore => return Some(None),
            Step::Derive(derivation) => startup.derived(derivation.run(), out).ok()?,
            Step::AskPassword => startup.password(Password::new(SECRET)),
            Step::Done(session) => return Some(Some(session)),
        }
    }
}

/// The nonce of the first SCRAM message, when one was written.
fn nonce(out: &[u8]) -> Option<Vec<u8>> {
    let at = out.windows(5).position(|part| part == b"n=,r=")?;
    out.get(at + 5..at + 29).map(<[u8]>::to_vec)
}

/// Everything written must be whole PasswordMessages.
fn check(out: &[u8], secret_allowed: bool) {
    let mut rest = out;
    while let [tag, a, b, c, d, after @ ..] = rest {
        let length = usize::try_from(i32::from_be_bytes([*a, *b, *c, *d])).unwrap();
        assert_eq!(*tag, b'p');
        rest = &after[length - 4..];
    }
    assert!(rest.is_empty());
    assert!(secret_allowed || !out.windows(SECRET.len()).any(|part| part == SECRET));
}

fuzz_target!(|input: &[u8]| {
    let [flags, size, stream @ ..] = input else {
        return;
    };
    let _ = ssl_answer(stream);
    let bit = |number: u8| flags & (1 << number) != 0;
    let settings = StartupSettings {
        password: bit(1).then(|| Password::new(SECRET)),
        may_ask: !bit(1) && bit(2),
        encrypted: bit(2),
        allow_cleartext: bit(3),
        minor: if bit(4) { 2 } else { 0 },
        channel_binding: bit(5).then(|| vec![9; 32]),
        require_channel_binding: bit(6),
        methods: AuthMethods::parse(if bit(7) { "!md5,!none" } else { "" }).unwrap(),
        scram_max_iterations: 64,
        parameters: vec![("_pq_.option".into(), "1".into())],
        ..StartupSettings::new("fuzz")
    };
    let mut startup = Startup::new(settings).unwrap();
    let (mut buffer, mut out) = (BytesMut::new(), BytesMut::new());
    startup.first_message(&mut out).unwrap();
    out.clear();
    let mut known = b"0".to_vec();
    let mut rest = stream;
    while !rest.is_empty() {
        // in pieces, because a framed piece may need the nonce of the answer before it
        let (piece, next) = rest.split_at(piece_length(bit(0), rest, *size));
        buffer.extend_from_slice(&support::stream(bit(0), piece, &known));
        rest = next;
        let outcome = feed(&mut startup, &mut buffer, &mut out);
        check(&out, (bit(2) || bit(3)) && !bit(6));
        match outcome {
            None => {
                assert!(buffer.is_empty() || startup.feed(&mut buffer, &mut out).is_err());
                return;
            }
            Some(Some(session)) => {
                assert!(session.key.is_empty() || (4..=256).contains(&session.key.len()));
                assert!(session.minor == 2 || session.key.len() <= 4);
                assert!(session.minor == 0 || bit(4));
                // nobody can forge the proof that bound SCRAM takes, nor the server's signature
                assert!(!bit(6) && nonce(&out).is_none());
                assert!(!bit(7) || !out.is_empty());
                return;
            }
            Some(None) => {}
        }
        if let Some(nonce) = nonce(&out) {
            known = nonce;
        }
    }
});

/// Framed streams are fed record by record, others by the piece size.
fn piece_length(framed: bool, rest: &[u8], size: u8) -> usize {
    let wanted = match rest {
        [_, count, ..] if framed => 2 + usize::from(*count),
        _ => usize::from(size).max(1),
    };
    wanted.min(rest.len())
}
