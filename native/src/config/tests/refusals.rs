//! What is refused, by which name, and that no message shows a secret.

use super::*;

#[test]
fn sec_d02_what_is_not_supported_is_refused_by_its_name() {
    for (text, option) in [
        ("service=x", "service"),
        ("channel_binding=always", "channel_binding"),
        ("gssencmode=require", "gssencmode"),
        ("sslcert=/x", "sslcert"),
        ("sslkey=/x", "sslkey"),
        ("sslcertmode=require", "sslcertmode"),
        ("sslmode=prefer sslnegotiation=direct", "sslnegotiation"),
        ("sslsni=yes", "sslsni"),
        ("ssl_max_protocol_version=TLSv1", "ssl_max_protocol_version"),
        (
            "ssl_min_protocol_version=TLSv1.3 ssl_max_protocol_version=TLSv1.2",
            "ssl_min_protocol_version",
        ),
        (
            "min_protocol_version=3.2 max_protocol_version=3.0",
            "min_protocol_version",
        ),
        ("max_protocol_version=3.1", "max_protocol_version"),
        ("sslkeylogfile=/x", "sslkeylogfile"),
        ("replication=database", "replication"),
        ("target_session_attrs=writable", "target_session_attrs"),
        ("client_encoding=LATIN1", "client_encoding"),
        ("sslmode=strict", "sslmode"),
        ("connect_timeout=soon", "connect_timeout"),
    ] {
        let message = problem(&json!({ "connectionString": text }));
        assert!(
            message.starts_with(&format!("option \"{option}\" ")),
            "{text}: {message}"
        );
    }
    let harmless = "channel_binding=prefer gssencmode=disable client_encoding=utf8 sslsni=1 target_session_attrs=any";
    assert!(build(&json!({ "connectionString": harmless })).is_ok());
    let error = build_in(
        &json!({}),
        &surroundings(&[("PGSERVICE", "x"), ("PGSYSCONFDIR", "/nowhere")]),
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "option \"PGSERVICE\" names a service that no service file defines; looked at /nowhere/pg_service.conf"
    );
    let error = build_in(
        &json!({ "connectionString": "service=x" }),
        &surroundings(&[]),
    )
    .unwrap_err();
    let files = [
        "/etc/postgresql-common",
        "/etc/sysconfig/pgsql",
        "/etc/postgresql",
    ]
    .map(|folder| format!("{folder}/pg_service.conf"))
    .join(", ");
    assert_eq!(
        error.to_string(),
        format!(
            "option \"service\" names a service that no service file defines; looked at {files}"
        )
    );
    let error = build_in(
        &json!({}),
        &surroundings(&[("PGOPTIONS", "-c default_transaction_read_only=off")]),
    );
    assert!(
        error
            .unwrap_err()
            .to_string()
            .starts_with("option \"PGOPTIONS\" must not set")
    );
}

#[test]
fn options_out_of_range_or_of_the_wrong_kind_are_refused_by_their_name() {
    for (options, message) in [
        (json!([]), "option \"options\" must be an object"),
        (
            json!({ "poolsize": 1 }),
            "option \"poolsize\" is not an option of this version",
        ),
        (
            json!({ "poolSize": "5" }),
            "option \"poolSize\" must be a whole number",
        ),
        (
            json!({ "connectTimeoutMs": -1 }),
            "option \"connectTimeoutMs\" must be a whole number, not negative",
        ),
        (
            json!({ "connectTimeoutMs": 1.5 }),
            "option \"connectTimeoutMs\" must be a whole number",
        ),
        (
            json!({ "poolSize": 2, "minIdle": 3 }),
            "option \"minIdle\" must be from 0 to 2, got 3",
        ),
        (
            json!({ "poolSize": 1_000_000 }),
            "option \"poolSize\" must be from 1 to 262143",
        ),
        (
            json!({ "acquireTimeoutMs": 0 }),
            "option \"acquireTimeoutMs\" must be at least 1",
        ),
        (
            json!({ "statementTimeoutMs": 2_147_483_648_u32 }),
            "option \"statementTimeoutMs\" must be at most 2147483647",
        ),
        (
            json!({ "keepalive": { "idleMs": 10 } }),
            "option \"keepalive.idleMs\" must be 0 or at least 1000",
        ),
        (
            json!({ "keepalive": { "idle": 10 } }),
            "option \"keepalive\" has a value of the wrong kind",
        ),
        (
            json!({ "preparedStatements": "off" }),
            "option \"preparedStatements\" must be",
        ),
        (
            json!({ "port": 0 }),
            "option \"port\" must be a number from 1 to 65535",
        ),
        (
            json!({ "hosts": [] }),
            "option \"hosts\" must list 1 to 64 hosts",
        ),
        (
            json!({ "hosts": ["a"], "host": "b" }),
            "option \"hosts\" cannot be combined with host",
        ),
        (
            json!({ "database": "a\u{0}b" }),
            "option \"database\" must not contain control characters",
        ),
        (
            json!({ "password": "a\u{0}b" }),
            "option \"password\" must not contain a NUL character",
        ),
        (
            json!({ "user": "x".repeat(256) }),
            "option \"user\" must not be longer than 255 bytes",
        ),
        (
            json!({ "ssl": { "pfx": "x" } }),
            "option \"ssl\" has a value of the wrong kind or an unknown member",
        ),
        (
            json!({ "ssl": true, "sslmode": "require" }),
            "option \"ssl\" cannot be combined",
        ),
    ] {
        let got = problem(&options);
        assert!(got.starts_with(message), "{options}: {got}");
    }
    assert_eq!(build(&json!({ "poolSize": 0 })).unwrap().pool.max.get(), 1);
    assert_eq!(
        build(&json!({ "poolSize": -3, "user": null }))
            .unwrap()
            .pool
            .max
            .get(),
        1
    );
}

#[test]
fn sec_d03_the_startup_packet_stays_within_its_limit() {
    let options = json!({ "options": "x".repeat(8000), "parameters": { "a.b": "y".repeat(2500) } });
    assert!(problem(&options).contains("within 10000 bytes"));
}

#[test]
fn sec_d04_sec_a06_no_output_of_ours_shows_a_secret() {
    let environment = surroundings(&[("PGPASSWORD", "canary")]);
    let settings = |options: Value| Settings::from_json(&options.to_string());
    let text = "postgres://u:canary@h/d?connect_timeout=canary";
    let mut shown = vec![
        format!("{environment:?}"),
        format!(
            "{:?}",
            settings(json!({ "password": "canary", "connectionString": text })).unwrap()
        ),
        format!(
            "{:?}",
            settings(json!({ "password": ["canary"] })).unwrap_err()
        ),
        format!(
            "{:?}",
            settings(json!({ "ssl": { "canary": "canary" } })).unwrap_err()
        ),
        format!(
            "{:?}",
            settings(json!({ "connectionString": { "a": "canary, expected" } })).unwrap_err()
        ),
        problem(&json!({ "connectionString": text })),
        problem(&json!({ "connectionString": "postgres://u:canary/x@h" })),
        problem(&json!({ "connectionString": "postgres://u:p@canary@h" })),
        problem(&json!({ "connectionString": "sslmode=canary" })),
        problem(&json!({ "connectionString": "sslrootcert=/canary" })),
        problem(&json!({ "connectionString": "hostaddr=canary" })),
        problem(&json!({ "sslmode": "canary" })),
    ];
    let built = build_in(
        &json!({ "options": "-c app.token=canary", "parameters": { "a.b": "canary" } }),
        &environment,
    );
    shown.push(format!("{:?}", built.unwrap()));
    for text in shown {
        assert!(!text.contains("canary"), "{text}");
    }
}
