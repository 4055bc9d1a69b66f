//! SCRAM exchanges: channel binding, iteration counts, and servers that do not prove themselves (A02 to A04).

use super::super::{Password, StartupSettings, Step};
use super::scripted::{Client, Distort, ScramServer, authentication, login, refusal, settings};
use super::*;

#[test]
fn scram_logs_in_with_plain_prepared_and_raw_passwords() {
    // U+2168 is normalised to "IX"; control characters and bytes that are not UTF-8 stay as they are
    for (stored, given) in [
        (&b"pencil"[..], &b"pencil"[..]),
        ("\u{2168}".as_bytes(), b"IX"),
        (b"IX", "\u{2168}".as_bytes()),
        (b"a\x07b", b"a\x07b"),
        (b"\xff\xfe", b"\xff\xfe"),
    ] {
        let settings = StartupSettings {
            password: Some(Password::new(given)),
            ..settings(None)
        };
        let (header, session) = ScramServer::honest(stored).run(settings).unwrap();
        assert_eq!((header.as_str(), session.pid), ("n,,", 0x1234));
    }
    let wrong = ScramServer::honest(b"pencil").run(settings(Some("pen")));
    assert!(matches!(wrong, Err(Error::Server(error)) if *error.code == *"28P01"));
}

#[test]
fn sec_a02_channel_binding_is_used_where_it_can_be_and_enforced_where_it_must() {
    const BOTH: &[u8] = b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0";
    const PLAIN: &[u8] = b"SCRAM-SHA-256\0\0";
    let hash = Some(vec![7; 32]);
    for (mechanisms, channel_binding, require, expected) in [
        (BOTH, hash.clone(), false, Some("p=tls-server-end-point,,")),
        (BOTH, hash.clone(), true, Some("p=tls-server-end-point,,")),
        (PLAIN, hash.clone(), false, Some("y,,")),
        (PLAIN, hash.clone(), true, None),
        (BOTH, None, false, Some("n,,")),
        (BOTH, None, true, None),
        (BOTH, Some(Vec::new()), true, None),
        (b"SCRAM-SHA-256-PLUS\0\0", None, false, None),
        (b"SCRAM-SHA-512\0\0", hash.clone(), false, None),
        (b"SCRAM-SHA-512\0\0", None, false, None),
    ] {
        let settings = StartupSettings {
            channel_binding: channel_binding.clone(),
            require_channel_binding: require,
            encrypted: true,
            ..settings(Some("pencil"))
        };
        let outcome = ScramServer {
            mechanisms,
            ..ScramServer::honest(b"pencil")
        }
        .run(settings);
        let header = outcome.as_ref().map(|(header, _)| header.as_str()).ok();
        assert_eq!(
            header,
            expected,
            "{} {channel_binding:?} {require}: {outcome:?}",
            mechanisms.escape_ascii()
        );
    }
    let stripped = ScramServer {
        mechanisms: BOTH,
        ..ScramServer::honest(b"pencil")
    }
    .run(settings(Some("pencil")));
    assert!(refusal(stripped.map(|_| None)).contains("without TLS"));
    for ask in [
        authentication(0, b""),
        authentication(3, b""),
        authentication(5, b"salt"),
    ] {
        let mut client = Client::new(StartupSettings {
            channel_binding: hash.clone(),
            require_channel_binding: true,
            encrypted: true,
            ..settings(Some("x"))
        });
        assert!(refusal(client.hear(&ask)).contains("channel binding is required"));
        assert!(client.out.is_empty());
    }
}

#[test]
fn sec_a03_the_iteration_count_is_checked_before_deriving() {
    for (count, max, derives) in [
        ("0", 100_000, false),
        ("1", 100_000, true),
        ("4096", 100_000, true),
        ("100000", 100_000, true),
        ("100001", 100_000, false),
        ("100001", 0, true),
        ("4294967295", 100_000, false),
        ("4294967296", 0, false),
        ("-1", 100_000, false),
        ("+1", 100_000, false),
        ("", 100_000, false),
        ("many", 100_000, false),
    ] {
        let mut client = Client::new(StartupSettings {
            scram_max_iterations: max,
            ..settings(Some("x"))
        });
        client
            .hear(&authentication(10, b"SCRAM-SHA-256\0\0"))
            .unwrap();
        let (_, body) = client.said();
        let first = String::from_utf8_lossy(&body).into_owned();
        let nonce = first.rsplit("r=").next().unwrap();
        let challenge = format!("r={nonce}x,s=c2FsdA==,i={count}");
        client
            .input
            .extend_from_slice(&authentication(11, challenge.as_bytes()));
        match client.startup.feed(&mut client.input, &mut client.out) {
            Ok(step) => assert!(derives && matches!(step, Step::Derive(_)), "{count}"),
            Err(Error::Connect { problem, .. }) => {
                assert!(!derives, "{count}: {problem}");
                assert!(
                    problem.starts_with("SASL: SCRAM-SERVER-FIRST-MESSAGE: iteration count"),
                    "{problem}"
                );
            }
            Err(other) => panic!("{count}: {other:?}"),
        }
    }
}

#[test]
fn sec_a03_a_derivation_stops_when_the_attempt_is_dropped() {
    let mut client = Client::new(StartupSettings {
        scram_max_iterations: 0,
        ..settings(Some("x"))
    });
    client
        .hear(&authentication(10, b"SCRAM-SHA-256\0\0"))
        .unwrap();
    let (_, body) = client.said();
    let first = String::from_utf8_lossy(&body).into_owned();
    let challenge = format!(
        "r={}x,s=c2FsdA==,i=4294967295",
        first.rsplit("r=").next().unwrap()
    );
    client
        .input
        .extend_from_slice(&authentication(11, challenge.as_bytes()));
    let Ok(Step::Derive(derivation)) = client.startup.feed(&mut client.input, &mut client.out)
    else {
        panic!("no derivation");
    };
    client
        .input
        .extend_from_slice(b"whatever comes meanwhile stays");
    assert!(matches!(
        client.startup.feed(&mut client.input, &mut client.out),
        Ok(Step::NeedMore)
    ));
    assert_eq!(client.input.len(), 30);
    // four thousand million iterations would take the better part of an hour
    let worker = std::thread::spawn(|| derivation.run());
    drop(client);
    assert!(worker.join().unwrap().0.is_err());
}

#[test]
fn sec_a04_a_server_that_does_not_prove_itself_is_refused() {
    let distortions: [(&str, Distort); 12] = [
        ("foreign nonce", |name, text| {
            if name == "first" {
                text.replacen("r=", "r=x", 1)
            } else {
                text
            }
        }),
        ("nonce not continued", |name, text| {
            if name == "first" {
                text.replace("serverpart", "")
            } else {
                text
            }
        }),
        ("no salt", |name, text| {
            if name == "first" {
                text.replace(",s=", ",t=")
            } else {
                text
            }
        }),
        ("bad salt", |name, text| {
            if name == "first" {
                text.replace(",s=", ",s=!")
            } else {
                text
            }
        }),
        ("empty salt", |name, text| {
            if name == "first" {
                format!("{},s=,i=1", text.split(',').next().unwrap())
            } else {
                text
            }
        }),
        ("order of attributes", |name, text| {
            if name == "first" {
                text.replacen("r=", "i=1,r=", 1)
            } else {
                text
            }
        }),
        ("mandatory extension", |name, text| {
            if name == "first" {
                format!("m=x,{text}")
            } else {
                text
            }
        }),
        ("no proof at all", |name, text| {
            if name == "final" { String::new() } else { text }
        }),
        ("wrong signature", |name, text| {
            if name == "final" {
                format!("v={}", "A".repeat(43) + "=")
            } else {
                text
            }
        }),
        ("short signature", |name, text| {
            if name == "final" {
                "v=AAAA".into()
            } else {
                text
            }
        }),
        ("no base64", |name, text| {
            if name == "final" {
                "v=%%%%".into()
            } else {
                text
            }
        }),
        ("error", |name, text| {
            if name == "final" {
                "e=other-error".into()
            } else {
                text
            }
        }),
    ];
    for (name, distort) in distortions {
        let outcome = ScramServer {
            distort,
            ..ScramServer::honest(b"pencil")
        }
        .run(settings(Some("pencil")));
        assert!(
            matches!(outcome, Err(Error::Connect { .. } | Error::Protocol { .. })),
            "{name}: {outcome:?}"
        );
    }
}

#[test]
fn sec_a04_authentication_messages_out_of_order_are_refused() {
    let scram = authentication(10, b"SCRAM-SHA-256\0\0");
    let scripts: [(&str, Vec<Vec<u8>>); 8] = [
        ("continue first", vec![authentication(11, b"r=x")]),
        ("final first", vec![authentication(12, b"v=x")]),
        (
            "success after SCRAM began",
            vec![scram.clone(), authentication(0, b"")],
        ),
        (
            "final before continue",
            vec![scram.clone(), authentication(12, b"v=AAAA")],
        ),
        ("SCRAM twice", vec![scram.clone(), scram.clone()]),
        (
            "password asked twice",
            vec![authentication(5, b"salt"), authentication(5, b"salt")],
        ),
        (
            "another method after the password",
            vec![authentication(5, b"salt"), scram],
        ),
        (
            "success twice",
            vec![authentication(0, b""), authentication(0, b"")],
        ),
    ];
    for (name, script) in scripts {
        let outcome = login(settings(Some("x")), &script);
        assert!(
            matches!(outcome, Err(Error::Connect { .. } | Error::Protocol { .. })),
            "{name}: {outcome:?}"
        );
    }
}
