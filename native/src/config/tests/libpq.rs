//! Everything that libpq was asked about, read as it reads it (rules D01, CP-42 to CP-44).
//!
//! The answers are libpq's own; `test/vectors/settings.py` made the file. What it says about single values is checked
//! through the whole package, in `test/conformance/settings-libpq.test.js`.

use std::collections::BTreeMap;
use std::fs;

use serde::Deserialize;

use super::super::url::parse_connection_string;
use super::*;

const VECTORS: &str = include_str!("../../../../test/vectors/settings.json");

type Map = BTreeMap<String, String>;

#[derive(Deserialize)]
struct Vectors {
    strings: Vec<(String, Option<Map>)>,
    environments: Vec<(Map, Map)>,
    services: Vec<ServiceCase>,
    questions: Vec<Question>,
    passwords: Vec<(String, Vec<Option<String>>)>,
}

#[derive(Deserialize)]
struct ServiceCase {
    own: Option<String>,
    system: Option<String>,
    environment: Map,
    result: Option<Map>,
}

#[derive(Deserialize)]
struct Question {
    host: Option<String>,
    hostaddr: Option<String>,
    port: String,
    dbname: String,
    user: String,
}

fn vectors() -> Vectors {
    serde_json::from_str(VECTORS).unwrap()
}

/// What is known after all sources were asked.
fn gathered(environment: &Map) -> Result<Map, Error> {
    let values = Settings::default().gather(&Surroundings {
        environment: environment.clone(),
        os_user: None,
        home: None,
    })?;
    let own = values
        .iter()
        .map(|(keyword, value)| (keyword.name.to_owned(), value.to_owned()));
    let mut map: Map = own.collect();
    // libpq settles this where it collects, we where TLS is read; `sec_t03_modes_and_roots…` tests it.
    if map.get("sslrootcert").is_some_and(|root| root == "system") {
        map.entry("sslmode".into()).or_insert("verify-full".into());
    }
    Ok(map)
}

#[test]
fn sec_d01_random_texts_are_read_as_libpq_reads_them() {
    let cases = vectors().strings;
    assert!(cases.len() >= 400);
    for (text, expected) in cases {
        let pairs = parse_connection_string(&text).ok();
        let values = pairs.map(|pairs| {
            let own = |(name, value): (&str, Secret)| (name.to_owned(), value.expose().to_owned());
            pairs.into_iter().map(own).collect::<Map>()
        });
        assert_eq!(values, expected, "{text:?}");
    }
}

#[test]
fn cp42_variables_mean_what_they_mean_to_libpq() {
    let cases = vectors().environments;
    assert!(cases.len() > 60);
    for (environment, expected) in cases {
        assert_eq!(gathered(&environment).unwrap(), expected, "{environment:?}");
    }
}

#[test]
fn cp44_service_files_are_read_as_libpq_reads_them() {
    let folder = std::env::temp_dir().join(format!("pg-berth-services-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let (own, system) = (folder.join("own.conf"), folder.join("pg_service.conf"));
    let cases = vectors().services;
    assert!(cases.len() > 50);
    for case in cases {
        for (path, text) in [(&own, &case.own), (&system, &case.system)] {
            drop(fs::remove_file(path));
            if let Some(text) = text {
                fs::write(path, text).unwrap();
            }
        }
        let mut environment = case.environment.clone();
        environment.insert("PGSERVICE".into(), "one".into());
        environment.insert("PGSYSCONFDIR".into(), folder.to_str().unwrap().into());
        if case.own.is_some() {
            environment.insert("PGSERVICEFILE".into(), own.to_str().unwrap().into());
        }
        let found = gathered(&environment).ok();
        assert_eq!(found, case.result, "{:?} {:?}", case.own, case.system);
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn cp43_password_files_are_read_as_libpq_reads_them() {
    let Vectors {
        questions,
        passwords,
        ..
    } = vectors();
    assert!(passwords.len() > 60);
    for (text, answers) in passwords {
        let file = PassFile::parse(&text);
        for (question, expected) in questions.iter().zip(answers) {
            let port = question.port.parse().unwrap();
            let name = question.host.as_ref().or(question.hostaddr.as_ref());
            let name = name.unwrap().as_str();
            let host = if name.starts_with('/') {
                Host::Unix {
                    dir: name.into(),
                    port,
                }
            } else {
                Host::Tcp {
                    name: name.into(),
                    address: None,
                    port,
                }
            };
            let found = file
                .find(&host, &question.dbname, &question.user)
                // libpq takes an empty password for none
                .filter(|password| !password.expose().is_empty());
            let found = found.as_ref().map(Secret::expose);
            assert_eq!(found, expected.as_deref(), "{text:?} {name}");
        }
    }
}
