//! Start-up: settings, methods, versions and the session that comes of it.

use super::super::{Startup, StartupSettings};
use super::scripted::{Client, authentication, greeting, login, only, refusal, settings};
use super::*;

#[test]
fn the_first_message_is_as_the_protocol_says() {
    let mut startup = Startup::new(StartupSettings {
        database: "shop".into(),
        parameters: vec![("client_encoding".into(), "UTF8".into())],
        minor: 2,
        ..settings(None)
    })
    .unwrap();
    let mut out = BytesMut::new();
    startup.first_message(&mut out).unwrap();
    assert_eq!(
        out,
        &b"\0\0\0\x38\0\x03\0\x02user\0tester\0database\0shop\0client_encoding\0UTF8\0\0"[..]
    );
}

#[test]
fn sec_d03_hostile_settings_are_refused_before_anything_is_sent() {
    let parameter = |name: &str, value: &str| StartupSettings {
        parameters: vec![(name.into(), value.into())],
        ..settings(None)
    };
    let cases = [
        (
            "user",
            StartupSettings {
                user: String::new(),
                ..settings(None)
            },
        ),
        (
            "user",
            StartupSettings {
                user: "a\0b".into(),
                ..settings(None)
            },
        ),
        (
            "database",
            StartupSettings {
                database: "a\nb".into(),
                ..settings(None)
            },
        ),
        (
            "application_name",
            parameter("application_name", "\u{1b}[31m"),
        ),
        (
            "application_name",
            parameter("application_name", "x\0user\0postgres"),
        ),
        ("a\\nb", parameter("a\nb", "x")),
        ("", parameter("", "x")),
        ("user", parameter("user", "postgres")),
        ("database", parameter("database", "postgres")),
        ("options", parameter("search_path", &"x".repeat(10_000))),
        ("password", settings(Some("a\0b"))),
        (
            "protocol version",
            StartupSettings {
                minor: 1,
                ..settings(None)
            },
        ),
    ];
    for (option, settings) in cases {
        let refused = Startup::new(settings).map(|_| ());
        assert!(
            matches!(&refused, Err(Error::Config { option: named, .. }) if **named == *option),
            "{option}: {refused:?}"
        );
    }
    let overhead = "search_path".len() + "user".len() + "tester".len() + 4 + 8 + 1;
    assert!(Startup::new(parameter("search_path", &"x".repeat(10_000 - overhead))).is_ok());
    assert!(Startup::new(parameter("search_path", &"x".repeat(10_001 - overhead))).is_err());
}

#[test]
fn a_trusting_server_gives_a_session() {
    let bytes = [authentication(0, b""), greeting(), complete("left over")].concat();
    let mut client = Client::new(settings(None));
    let session = client.hear(&bytes).unwrap().unwrap();
    assert_eq!(
        (session.pid, &session.key[..], session.minor),
        (0x1234, &b"abcd"[..], 0)
    );
    assert_eq!(
        session.parameters[0],
        ("server_version".into(), "18.4".into())
    );
    assert_eq!(session.status, TransactionStatus::Idle);
    assert_eq!(
        client.input,
        complete("left over"),
        "the rest belongs to the session"
    );
    assert!(client.hear(b"").is_err(), "the attempt is over");
}

#[test]
fn sec_a05_a_password_is_asked_for_once_and_only_when_the_server_wants_one() {
    let may_ask = || StartupSettings {
        may_ask: true,
        encrypted: true,
        ..settings(None)
    };
    let trusting = [authentication(0, b""), greeting()].concat();
    assert!(Client::new(may_ask()).hear(&trusting).unwrap().is_some());
    let mut client = Client::new(may_ask());
    assert!(client.hear(&authentication(3, b"")).unwrap().is_none());
    assert_eq!(client.said(), (b'p', b"asked-for\0".to_vec()));
    assert!(client.hear(&trusting).unwrap().is_some());
}

#[test]
fn sec_t08_an_attempt_knows_nothing_of_the_one_before() {
    let first = login(
        settings(None),
        &[
            authentication(0, b""),
            message(b'S', b"leak\0yes\0"),
            greeting(),
        ],
    );
    assert_eq!(first.unwrap().unwrap().parameters.len(), 3);
    let second = login(settings(None), &[authentication(0, b""), ready(b'I')])
        .unwrap()
        .unwrap();
    assert_eq!(
        (second.parameters.len(), second.pid, second.key.len()),
        (0, 0, 0)
    );
}

#[test]
fn an_md5_login_sends_the_hash_and_never_the_password() {
    let mut client = Client::new(StartupSettings {
        user: "md5_user".into(),
        ..settings(Some("password"))
    });
    assert!(
        client
            .hear(&authentication(5, &[0x2a, 0x3d, 0x8f, 0xe0]))
            .unwrap()
            .is_none()
    );
    assert_eq!(
        client.said(),
        (b'p', b"md562af4dd09bbb41884907a838a3233294\0".to_vec())
    );
    assert!(
        client
            .hear(&[authentication(0, b""), greeting()].concat())
            .unwrap()
            .is_some()
    );
}

#[test]
fn sec_a01_a_clear_text_password_needs_tls_or_permission() {
    let ask = [authentication(3, b"")];
    assert!(refusal(login(settings(Some("secret")), &ask)).contains("clear text"));
    for (encrypted, allow_cleartext) in [(true, false), (false, true)] {
        let mut client = Client::new(StartupSettings {
            encrypted,
            allow_cleartext,
            ..settings(Some("secret"))
        });
        client.hear(&ask[0]).unwrap();
        assert_eq!(client.said(), (b'p', b"secret\0".to_vec()));
    }
}

#[test]
fn sec_a01_require_auth_admits_listed_methods_only() {
    let scram = authentication(10, b"SCRAM-SHA-256\0\0");
    let asks = [
        ("none", authentication(0, b"")),
        ("password", authentication(3, b"")),
        ("md5", authentication(5, b"salt")),
        ("scram-sha-256", scram),
    ];
    for (name, ask) in &asks {
        for (other, _) in &asks {
            for (list, admitted) in [
                ((*other).to_string(), other == name),
                (format!("!{other}"), other != name),
            ] {
                let mut client = Client::new(StartupSettings {
                    methods: only(&list),
                    encrypted: true,
                    ..settings(Some("x"))
                });
                let outcome = client.hear(ask);
                assert_eq!(
                    outcome.is_ok(),
                    admitted,
                    "{name} with requireAuth={list}: {outcome:?}"
                );
                if !admitted {
                    assert!(client.out.is_empty(), "{name} with requireAuth={list}");
                    assert!(refusal(outcome).contains("requireAuth"));
                }
            }
        }
    }
    for list in ["kerberos", "md5,!password", "md5,md5", "md5,", "!"] {
        assert!(
            matches!(
                super::super::AuthMethods::parse(list),
                Err(Error::Config { .. })
            ),
            "{list}"
        );
    }
}

#[test]
fn sec_a07_an_unsupported_method_is_named() {
    for (ask, name) in [
        (authentication(2, b""), "Kerberos"),
        (authentication(7, b""), "GSSAPI"),
        (authentication(9, b""), "SSPI"),
        (authentication(99, b""), "99"),
        (authentication(10, b"OAUTHBEARER\0\0"), "OAUTHBEARER"),
    ] {
        let problem = refusal(login(settings(Some("x")), &[ask]));
        assert!(problem.contains(name), "{problem}");
    }
}

#[test]
fn a_missing_password_is_said_so() {
    for ask in [
        authentication(5, b"salt"),
        authentication(10, b"SCRAM-SHA-256\0\0"),
    ] {
        assert!(refusal(login(settings(None), &[ask])).contains("no password is set"));
    }
}

#[test]
fn the_protocol_version_is_negotiated_downwards_only() {
    let offer = |version: i32, names: &[&str]| {
        let mut body = [
            version.to_be_bytes(),
            i32::try_from(names.len()).unwrap().to_be_bytes(),
        ]
        .concat();
        for name in names {
            body.extend(name.bytes().chain([0]));
        }
        message(b'v', &body)
    };
    let rest = || [authentication(0, b""), ready(b'I')].concat();
    for (asked, version, expected) in [
        (2, 196_608, Some(0)),
        (2, 0, Some(0)),
        (2, 196_610, Some(2)),
        (2, 196_609, None),
        (2, 196_611, None),
        (2, 131_072, None),
        (2, -1, None),
        (0, 196_608, Some(0)),
        (0, 196_610, None),
    ] {
        let settings = StartupSettings {
            minor: asked,
            ..settings(None)
        };
        let minor = login(settings, &[offer(version, &[]), rest()])
            .ok()
            .flatten()
            .map(|session| session.minor);
        assert_eq!(minor, expected, "asked 3.{asked}, offered {version}");
    }
    let with_option = || StartupSettings {
        parameters: vec![("_pq_.shiny".into(), "1".into())],
        ..settings(None)
    };
    assert!(login(with_option(), &[offer(196_608, &["_pq_.shiny"]), rest()]).is_ok());
    assert!(login(with_option(), &[offer(196_608, &["_pq_.other"]), rest()]).is_err());
    assert!(
        login(
            settings(None),
            &[offer(196_608, &[]), offer(196_608, &[]), rest()]
        )
        .is_err()
    );
    let late = [authentication(5, b"salt"), offer(196_608, &[])];
    assert!(login(settings(Some("x")), &late).is_err());
    let endless = message(b'v', &[0, 3, 0, 0, 0x7f, 0xff, 0xff, 0xff]);
    assert!(login(settings(None), &[endless]).is_err());
}

#[test]
fn any_split_of_a_start_up_gives_the_same_session() {
    let notice = fields(b'N', &[(b'M', "collation version mismatch")]);
    let bytes = [
        notice.clone(),
        authentication(5, b"salt"),
        authentication(0, b""),
        notice,
        greeting(),
    ]
    .concat();
    let mut whole = Client::new(settings(Some("x")));
    let session = whole.hear(&bytes).unwrap().unwrap();
    assert_eq!(
        session.notices.len(),
        1,
        "only what was said after authentication is kept"
    );
    for cut in 0..bytes.len() {
        let mut client = Client::new(settings(Some("x")));
        assert_eq!(client.hear(&bytes[..cut]).unwrap(), None, "cut at {cut}");
        assert_eq!(
            client.hear(&bytes[cut..]).unwrap().as_ref(),
            Some(&session),
            "cut at {cut}"
        );
        assert_eq!(client.out, whole.out, "cut at {cut}");
    }
}

#[test]
fn errors_of_a_start_up_are_the_servers_own() {
    let error = fields(
        b'E',
        &[
            (b'S', "FATAL"),
            (b'C', "3D000"),
            (b'M', "database \"x\" does not exist"),
        ],
    );
    for before in [vec![], authentication(0, b"")] {
        let outcome = login(settings(None), &[before, error.clone()]);
        assert!(matches!(outcome, Err(Error::Server(error)) if *error.code == *"3D000"));
    }
}
