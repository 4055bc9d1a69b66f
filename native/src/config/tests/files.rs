//! Settings that live in files: root certificates and the password file.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::*;

/// A folder of its own for one test.
fn folder(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("pg-berth-{name}-{}", std::process::id()));
    fs::create_dir_all(&path).unwrap();
    path
}

fn write(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn sec_t03_modes_and_roots_decide_what_is_verified() {
    const PEM: &str = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
    let home = folder("roots");
    let file = home.join("ca.pem");
    write(&file, PEM, 0o644);
    let path = file.to_str().unwrap();
    for (options, expected) in [
        (
            json!({ "sslmode": "disable", "sslrootcert": path }),
            Some((SslMode::Disable, Verify::Nothing)),
        ),
        (
            json!({ "sslmode": "require" }),
            Some((SslMode::Require, Verify::Nothing)),
        ),
        (
            json!({ "sslmode": "require", "sslrootcert": path }),
            Some((SslMode::Require, Verify::Chain)),
        ),
        (
            json!({ "sslmode": "prefer", "sslrootcert": PEM }),
            Some((SslMode::Prefer, Verify::Chain)),
        ),
        (
            json!({ "sslmode": "verify-ca", "sslrootcert": path }),
            Some((SslMode::VerifyCa, Verify::Chain)),
        ),
        (
            json!({ "sslmode": "verify-full", "sslrootcert": path }),
            Some((SslMode::VerifyFull, Verify::ChainAndName)),
        ),
        (
            json!({ "sslrootcert": "system" }),
            Some((SslMode::VerifyFull, Verify::ChainAndName)),
        ),
        (
            json!({ "sslmode": "require", "sslrootcert": "system" }),
            None,
        ),
        (json!({ "sslmode": "verify-full" }), None),
        (
            json!({ "sslmode": "require", "sslrootcert": "/nowhere/ca.pem" }),
            None,
        ),
        (json!({ "sslrootcert": home.to_str() }), None),
        (
            json!({ "ssl": true }),
            Some((SslMode::VerifyFull, Verify::ChainAndName)),
        ),
        (
            json!({ "ssl": false }),
            Some((SslMode::Disable, Verify::Nothing)),
        ),
        (
            json!({ "ssl": { "rejectUnauthorized": false } }),
            Some((SslMode::Require, Verify::Nothing)),
        ),
        (
            json!({ "ssl": { "ca": [PEM, PEM], "servername": "x" } }),
            Some((SslMode::VerifyFull, Verify::ChainAndName)),
        ),
        (json!({ "ssl": { "ca": "no pem" } }), None),
    ] {
        let tls = build(&options).ok().map(|built| built.config.ssl);
        assert_eq!(
            tls.map(|tls| (tls.mode, tls.verify())),
            expected,
            "{options}"
        );
    }
    fs::create_dir_all(home.join(".postgresql")).unwrap();
    write(&home.join(".postgresql/root.crt"), PEM, 0o644);
    let at_home = Surroundings {
        home: Some(home.clone()),
        ..surroundings(&[])
    };
    let tls = build_in(&json!({ "sslmode": "require" }), &at_home)
        .unwrap()
        .config
        .ssl;
    assert_eq!(tls.verify(), Verify::Chain);
    fs::remove_dir_all(home).unwrap();
}

#[test]
fn cp43_a_password_file_others_can_read_is_ignored_with_a_warning() {
    let home = folder("pass");
    let at_home = Surroundings {
        home: Some(home.clone()),
        ..surroundings(&[])
    };
    let found = |options: &Value| {
        let Built {
            config, warnings, ..
        } = build_in(options, &at_home).unwrap();
        let password = config
            .password_for(&config.hosts[0])
            .map(|secret| secret.expose().to_owned());
        (password, warnings.len())
    };
    assert_eq!(found(&json!({})), (None, 0));
    for (mode, expected) in [
        (0o600, (Some("canary".to_owned()), 0)),
        (0o640, (None, 1)),
        (0o604, (None, 1)),
    ] {
        write(&home.join(".pgpass"), "*:*:*:*:canary\n", mode);
        assert_eq!(found(&json!({})), expected, "{mode:o}");
    }
    assert_eq!(
        found(&json!({ "password": "own" })),
        (Some("own".to_owned()), 0)
    );
    assert_eq!(found(&json!({ "passfile": "/nowhere" })), (None, 1));
    fs::remove_dir_all(home).unwrap();
}
