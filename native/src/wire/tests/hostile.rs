//! A start-up with somebody hostile: floods, wrong keys, text before TLS, and what must not be shown.

use super::super::{Password, StartupSettings, ssl_answer};
use super::scripted::{Client, authentication, greeting, login, settings};
use super::*;

#[test]
fn sec_w02_before_authentication_only_four_short_messages_are_accepted() {
    for tag in 0..=u8::MAX {
        let announced = |length: i32| [&[tag][..], &length.to_be_bytes()].concat();
        let outcome = login(settings(None), &[announced(0x4000_0000)]);
        assert!(outcome.is_err(), "a gigabyte of {}", tag.escape_ascii());
        let outcome = login(settings(None), &[announced(100)]);
        assert_eq!(
            outcome.is_ok(),
            b"RvEN".contains(&tag),
            "{}",
            tag.escape_ascii()
        );
    }
    for (tag, length, accepted) in [
        (b'R', 2_000, true),
        (b'R', 2_001, false),
        (b'N', 30_000, true),
        (b'N', 30_001, false),
    ] {
        let header = [&[tag][..], &i32::to_be_bytes(length)].concat();
        assert_eq!(
            login(settings(None), &[header]).is_ok(),
            accepted,
            "{length}"
        );
    }
}

#[test]
fn sec_w06_after_authentication_only_the_messages_of_a_start_are_accepted() {
    for tag in 0..=u8::MAX {
        let outcome = login(settings(None), &[authentication(0, b""), vec![tag]]);
        assert_eq!(
            outcome.is_ok(),
            b"SKZEN".contains(&tag),
            "{}",
            tag.escape_ascii()
        );
    }
    let endless: Vec<Vec<u8>> = (0..1_100)
        .map(|number| message(b'S', format!("p{number}\0v\0").as_bytes()))
        .collect();
    let script = [vec![authentication(0, b"")], endless].concat();
    assert!(matches!(
        login(settings(None), &script),
        Err(Error::Protocol { .. })
    ));
}

#[test]
fn sec_w10_the_cancel_key_has_the_length_of_the_protocol_agreed_on() {
    for (length, old, new) in [
        (0, false, false),
        (3, false, false),
        (4, true, true),
        (5, false, true),
        (256, false, true),
        (257, false, false),
    ] {
        let key = message(b'K', &[&[0, 0, 0, 9][..], &vec![1; length]].concat());
        for (minor, accepted) in [(0, old), (2, new)] {
            let settings = StartupSettings {
                minor,
                ..settings(None)
            };
            let outcome = login(
                settings,
                &[authentication(0, b""), key.clone(), ready(b'I')],
            );
            assert_eq!(outcome.is_ok(), accepted, "{length} bytes in 3.{minor}");
        }
    }
    let key = message(b'K', &[0; 8]);
    assert!(
        login(settings(None), &[authentication(0, b""), key.clone(), key]).is_err(),
        "twice"
    );
}

#[test]
fn sec_t01_a_byte_behind_the_tls_answer_aborts_the_attempt() {
    assert_eq!(ssl_answer(b"").unwrap(), None);
    assert_eq!(ssl_answer(b"S").unwrap(), Some(true));
    assert_eq!(ssl_answer(b"N").unwrap(), Some(false));
    for bytes in [
        &b"Sx"[..],
        b"S\x16\x03\x01",
        b"NE",
        b"X",
        b"\0",
        b"R\0\0\0\x08\0\0\0\0",
    ] {
        let refused = ssl_answer(bytes);
        assert!(
            matches!(refused, Err(Error::Protocol { .. })),
            "{refused:?}"
        );
    }
}

#[test]
fn sec_t04_text_heard_before_tls_or_authentication_is_marked_and_not_interpreted() {
    let proper = fields(
        b'E',
        &[(b'S', "FATAL"), (b'C', "28P01"), (b'M', "give\x1b[2J up")],
    );
    let bare = b"Ecould not fork new process for connection: \x1b[2JNo memory\n\0".to_vec();
    for (bytes, text) in [
        (proper, "give\\u{1b}[2J up"),
        (bare.clone(), "could not fork"),
        (b"E".to_vec(), "\"\""),
    ] {
        let Err(error) = ssl_answer(&bytes) else {
            panic!("accepted")
        };
        assert_eq!(error.code(), "ERR_TLS");
        let shown = error.to_string();
        assert!(
            shown.contains("not trusted") && shown.contains(text) && !shown.contains('\x1b'),
            "{shown}"
        );
    }
    let Err(error) = login(settings(None), &[bare]) else {
        panic!("accepted")
    };
    assert!(
        error.transient() && error.to_string().contains("not trusted"),
        "{error}"
    );
    let long = [b"E".to_vec(), vec![b'x'; 5_000]].concat();
    assert!(ssl_answer(&long).unwrap_err().to_string().len() < 400);
}

#[test]
fn sec_a06_secrets_are_not_shown() {
    let settings = settings(Some("canary"));
    let mut client = Client::new(settings.clone());
    client
        .hear(&authentication(10, b"SCRAM-SHA-256\0\0"))
        .unwrap();
    let shown = format!(
        "{settings:?} {:?} {:?}",
        client.startup,
        Password::new("canary")
    );
    let bytes = format!("{:?}", b"canary");
    assert!(
        !shown.contains("canary") && !shown.contains(&bytes),
        "{shown}"
    );
    let session = login(
        super::scripted::settings(None),
        &[authentication(0, b""), greeting()],
    )
    .unwrap();
    let shown = format!("{session:?}");
    assert!(
        !shown.contains("abcd") && !shown.contains(&format!("{:?}", b"abcd")),
        "{shown}"
    );
}
