//! Settings, connection string and environment joined: defaults, precedence, units.

#[cfg(unix)]
mod files;
mod libpq;
mod refusals;

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::error::Error;

fn surroundings(environment: &[(&str, &str)]) -> Surroundings {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Surroundings {
        environment: environment.iter().map(own).collect(),
        os_user: Some("os-user".into()),
        home: None,
    }
}

fn build_in(options: &Value, surroundings: &Surroundings) -> Result<Built, Error> {
    Settings::from_json(&options.to_string())?.build(surroundings)
}

fn build(options: &Value) -> Result<Built, Error> {
    build_in(options, &surroundings(&[]))
}

fn problem(options: &Value) -> String {
    build(options).map_or_else(
        |error| error.to_string(),
        |built| format!("accepted: {built:?}"),
    )
}

fn hosts(config: &Config) -> String {
    config
        .hosts
        .iter()
        .map(Host::to_string)
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn defaults_are_those_of_the_documents() {
    let Built {
        config,
        pool,
        lease,
        warnings,
    } = build(&json!({})).unwrap();
    assert_eq!(hosts(&config), "localhost:5432");
    assert_eq!((&*config.user, &*config.database), ("os-user", "os-user"));
    assert_eq!(config.connect_timeout, Some(Duration::from_secs(2)));
    assert_eq!(config.tcp_user_timeout, Some(Duration::from_secs(8)));
    let keepalive = Keepalive {
        idle: Some(Duration::from_secs(5)),
        interval: Some(Duration::from_secs(1)),
        count: NonZeroU32::new(3),
    };
    assert_eq!(config.keepalive, Some(keepalive));
    assert_eq!(
        (config.max_message, config.login.scram_max_iterations.get()),
        (1 << 30, 100_000)
    );
    assert_eq!(
        (config.ssl.mode, config.ssl.verify()),
        (SslMode::Prefer, Verify::Nothing)
    );
    assert!(!config.login.allow_cleartext && config.password.is_none() && warnings.is_empty());
    assert!(lease.is_none());
    let expected = PoolConfig {
        max: NonZeroUsize::new(10).unwrap(),
        min_idle: 0,
        acquire_timeout: Duration::from_secs(5),
        idle_timeout: Some(Duration::from_secs(30)),
        max_lifetime: Some(Duration::from_secs(1800)),
        max_uses: None,
        reset_query: None,
        validation_interval: Duration::from_millis(5),
        statement_cache_size: 256,
        prepared: Prepared::Named,
        warm_statements: 8,
        max_statement: None,
        max_result_bytes: None,
        alive_timeout: None,
        rebalance: Some(Duration::from_secs(5)),
        dns_recheck: Some(Duration::from_secs(30)),
        resolve_timeout: Duration::from_secs(10),
        pipeline_depth: NonZeroUsize::new(8).unwrap(),
        driver: Driver::Auto,
        routing: Routing {
            mode: Mode::Any,
            balance: Balance::Listed,
            race_delay: Duration::from_millis(250),
            max_connecting: NonZeroUsize::new(4).unwrap(),
            fence_check: FenceCheck::Auto,
            max_lag: None,
            strict_fence: false,
            fenced_reads: false,
        },
    };
    assert_eq!(pool, expected);
    for (roll, seconds) in [(0, 1620), (100, 1800), (200, 1980), (201, 1620)] {
        assert_eq!(pool.lifetime(roll), Some(Duration::from_secs(seconds)));
    }
}

#[test]
fn cp41_explicit_option_over_connection_string_over_environment_over_default() {
    let environment = surroundings(&[
        ("PGHOST", "env"),
        ("PGPORT", "1"),
        ("PGUSER", "env"),
        ("PGDATABASE", "env"),
        ("PGAPPNAME", "env"),
        ("PGPASSWORD", "env"),
        ("PGCONNECT_TIMEOUT", "7"),
        ("PGTZ", "UTC"),
        ("PGSSLMODE", ""),
    ]);
    let text = "postgres://text:text@text/text";
    let built = build_in(
        &json!({ "connectionString": text, "user": "option" }),
        &environment,
    )
    .unwrap()
    .config;
    assert_eq!(hosts(&built), "text:1");
    assert_eq!((&*built.user, &*built.database), ("option", "text"));
    assert_eq!(built.password.as_ref().map(Secret::expose), Some("text"));
    assert_eq!(built.connect_timeout, Some(Duration::from_secs(7)));
    let expected = [
        ("client_encoding", "UTF8"),
        ("application_name", "env"),
        ("TimeZone", "UTC"),
        ("DateStyle", "ISO"),
    ];
    assert_eq!(
        built.startup_parameters(),
        expected.map(|(name, value)| (name.into(), value.into()))
    );

    let built = build_in(
        &json!({ "hosts": ["a", "b:2"], "connectTimeoutMs": 5 }),
        &environment,
    )
    .unwrap()
    .config;
    assert_eq!(
        (hosts(&built).as_str(), built.connect_timeout),
        ("a:1 b:2", Some(Duration::from_millis(5)))
    );
}

#[test]
fn lists_of_hosts_pair_with_ports_and_addresses_as_in_libpq() {
    for (text, shown) in [
        ("host=a,b port=1", "a:1 b:1"),
        ("host=a,b port=1,2", "a:1 b:2"),
        ("host=a,b port=1,", "a:1 b:5432"),
        ("host=a,,c", "a:5432 localhost:5432 c:5432"),
        ("hostaddr=10.0.0.1", "10.0.0.1:5432"),
        ("hostaddr=::1 port=' 7 '", "[::1]:7"),
        ("host=a,b hostaddr=10.0.0.1,10.0.0.2", "a:5432 b:5432"),
        ("postgres:///?host=/run/pg", "/run/pg/.s.PGSQL.5432"),
        ("host=@pg", "@pg/.s.PGSQL.5432"),
        ("host=''", "localhost:5432"),
    ] {
        let built = build(&json!({ "connectionString": text })).unwrap();
        assert_eq!(hosts(&built.config), shown, "{text}");
    }
    for text in [
        "host=a,b port=1,2,3",
        "host=a,b hostaddr=10.0.0.1",
        "hostaddr=localhost",
        "host=/run/pg hostaddr=10.0.0.1",
        "port=0",
        "port=65536",
        "port=x",
        "port=-1",
    ] {
        assert!(
            build(&json!({ "connectionString": text })).is_err(),
            "{text}"
        );
    }
}

#[test]
fn startup_parameters_carry_what_was_asked_and_nothing_else() {
    let options = json!({
        "applicationName": "app", "options": "-c work_mem=1MB", "statementTimeoutMs": 1500,
        "parameters": { "lock_timeout": "10" }, "user": "u", "database": "d",
    });
    let expected = [
        ("client_encoding", "UTF8"),
        ("application_name", "app"),
        ("options", "-c work_mem=1MB"),
        ("statement_timeout", "1500"),
        ("lock_timeout", "10"),
        ("DateStyle", "ISO"),
    ];
    let config = build(&options).unwrap().config;
    assert_eq!(
        config.startup_parameters(),
        expected.map(|(name, value)| (name.into(), value.into()))
    );
    assert!(problem(&json!({ "user": "" })).contains("\"user\" must not be empty"));
    let nameless = Surroundings {
        os_user: None,
        ..surroundings(&[])
    };
    let error = build_in(&json!({}), &nameless).map(|_| ()).unwrap_err();
    assert!(
        error.to_string().contains("\"user\" is missing, and"),
        "{error}"
    );
}

#[test]
fn dates_come_in_iso_style_unless_somebody_asks_for_another() {
    let styles = |options: &Value, environment: &[(&str, &str)]| {
        let parameters = build_in(options, &surroundings(environment))
            .unwrap()
            .config
            .startup_parameters();
        let mut styles = parameters
            .into_iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case("datestyle"));
        (styles.next().map(|(_, value)| value), styles.next())
    };
    let one = |style: &str| (Some(style.to_owned()), None);
    assert_eq!(styles(&json!({}), &[]), one("ISO"));
    assert_eq!(
        styles(&json!({}), &[("PGDATESTYLE", "German")]),
        one("German")
    );
    let parameters = json!({ "parameters": { "datestyle": "SQL" } });
    assert_eq!(styles(&parameters, &[]), one("SQL"));
    for options in [
        "-c DateStyle=German",
        "--datestyle=SQL",
        "-c date\\style=SQL",
    ] {
        assert_eq!(styles(&json!({ "options": options }), &[]), (None, None));
    }
}

#[test]
fn zero_is_no_limit_of_scram_iterations() {
    let limit = |value: u64| {
        let built = build(&json!({ "scramMaxIterations": value }));
        built.unwrap().config.login.scram_max_iterations.get()
    };
    assert_eq!((limit(0), limit(5)), (u32::MAX, 5));
}

#[test]
fn libpq_timing_keywords_have_their_units_and_zeros() {
    let config = |text: &str| build(&json!({ "connectionString": text })).unwrap().config;
    assert_eq!(config("connect_timeout=0").connect_timeout, None);
    assert_eq!(config("connect_timeout=-1").connect_timeout, None);
    assert_eq!(
        config("tcp_user_timeout=1500").tcp_user_timeout,
        Some(Duration::from_millis(1500))
    );
    assert_eq!(config("keepalives=0").keepalive, None);
    let keepalive =
        config("keepalives=2 keepalives_idle=0 keepalives_interval=9 keepalives_count=4")
            .keepalive
            .unwrap();
    assert_eq!(
        (keepalive.idle, keepalive.interval),
        (None, Some(Duration::from_secs(9)))
    );
    assert_eq!(keepalive.count.map(NonZeroU32::get), Some(4));
    assert_eq!(
        build(&json!({ "keepalive": false }))
            .unwrap()
            .config
            .keepalive,
        None
    );
    let keepalive = build(&json!({ "keepalive": { "count": 9 } }))
        .unwrap()
        .config
        .keepalive
        .unwrap();
    assert_eq!(
        (keepalive.count.map(NonZeroU32::get), keepalive.idle),
        (Some(9), Some(Duration::from_secs(5)))
    );
}

#[test]
fn cp_20_no_source_gives_a_connection_longer_than_who_waits_for_it_has() {
    let limit = |options: Value, variable: &str| {
        let surroundings = surroundings(&[("PGCONNECT_TIMEOUT", variable)]);
        let built = build_in(&options, &surroundings).unwrap();
        built.config.connect_timeout.map(|limit| limit.as_millis())
    };
    for (variable, own, expected) in [
        ("60", Value::Null, 3000),
        ("0", Value::Null, 3000),
        ("1", Value::Null, 1000),
        ("", Value::Null, 2000),
        ("60", json!(0), 3000),
        ("60", json!(9000), 3000),
        ("60", json!(500), 500),
    ] {
        let options = json!({ "connectTimeoutMs": own, "connectLimitMs": 3000 });
        assert_eq!(limit(options, variable), Some(expected), "{variable} {own}");
    }
}
