//! The service file (`pg_service.conf`): a named section of settings, read as libpq reads it (rule CP-44).
//!
//! Source: `parseServiceInfo` and `parseServiceFile` in `src/interfaces/libpq/fe-connect.c`.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::error::Error;

use super::build::Surroundings;
use super::keyword::{Source, Values, find, nearest};
use super::secret::Secret;

/// Where packages of PostgreSQL look for the file of the whole system: it was fixed when their libpq was built.
const SYSTEM_FOLDERS: [&str; 3] = [
    "/etc/postgresql-common",
    "/etc/sysconfig/pgsql",
    "/etc/postgresql",
];

/// Largest file that is read.
const MAX_BYTES: u64 = 1_048_576;

/// Offers the settings of the section that `service` or `PGSERVICE` names; nothing when neither is given.
///
/// The user's file counts before the system's; in one file the first section of that name, in it the first line of a
/// keyword.
pub(super) fn offer(values: &mut Values, surroundings: &Surroundings) -> Result<(), Error> {
    let variable = |name: &str| {
        let value = surroundings.environment.get(name);
        value.filter(|value| !value.is_empty()).cloned()
    };
    let Some(service) = values
        .filled("service")
        .map(str::to_owned)
        .or_else(|| variable("PGSERVICE"))
    else {
        return Ok(());
    };
    let label = if values.filled("service").is_some() {
        values.label("service")
    } else {
        "PGSERVICE"
    };
    let named = values
        .filled("servicefile")
        .map(str::to_owned)
        .or_else(|| variable("PGSERVICEFILE"));
    let own = match (&named, &surroundings.home) {
        (Some(path), _) => Some(PathBuf::from(path)),
        (None, Some(home)) => Some(home.join(".pg_service.conf")),
        (None, None) => None,
    };
    let system = variable("PGSYSCONFDIR").map_or_else(
        || SYSTEM_FOLDERS.map(PathBuf::from).to_vec(),
        |folder| vec![PathBuf::from(folder)],
    );
    let system = system
        .into_iter()
        .map(|folder| folder.join("pg_service.conf"));
    let mut looked_at = Vec::new();
    for (path, must_exist) in own
        .into_iter()
        .map(|path| (path, named.is_some()))
        .chain(system.map(|path| (path, false)))
    {
        looked_at.push(path.display().to_string());
        let Some(text) =
            read(&path, must_exist).map_err(|problem| Error::config(label, problem))?
        else {
            continue;
        };
        if take_section(values, text.expose(), &service)
            .map_err(|problem| Error::config(label, problem))?
        {
            return Ok(());
        }
    }
    let files = looked_at.join(", ");
    Err(Error::config(
        label,
        format!("names a service that no service file defines; looked at {files}"),
    ))
}

/// The text of a service file; `None` when it does not exist and need not.
fn read(path: &Path, must_exist: bool) -> Result<Option<Secret>, String> {
    let problem = |what: &str| format!("needs a service file: {} {what}", path.display());
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return if must_exist {
                Err(problem("does not exist"))
            } else {
                Ok(None)
            };
        }
        Err(error) => return Err(problem(&format!("cannot be read ({})", error.kind()))),
    };
    if !metadata.is_file() || metadata.len() > MAX_BYTES {
        return Err(problem("is no regular file of sensible size"));
    }
    fs::read_to_string(path)
        .map(|text| Some(Secret::new(text)))
        .map_err(|error| problem(&format!("cannot be read ({})", error.kind())))
}

/// Offers what the section holds; `false` when the text has no such section.
fn take_section(values: &mut Values, text: &str, service: &str) -> Result<bool, String> {
    let mut is_inside = false;
    for (number, line) in (1_u32..).zip(text.lines()) {
        let line = line.trim_matches(|c| matches!(c, ' ' | '\t'..='\r'));
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(section) = line.strip_prefix('[') {
            if is_inside {
                return Ok(true);
            }
            // As libpq: what follows the bracket is not looked at.
            is_inside = section
                .strip_prefix(service)
                .is_some_and(|rest| rest.starts_with(']'));
            continue;
        }
        if !is_inside {
            continue;
        }
        let wrong = |what: &str| format!("has a service whose definition {what} in line {number}");
        if line.starts_with("ldap") {
            return Err(wrong("looks settings up by LDAP, which is not supported,"));
        }
        let Some((name, value)) = line.split_once('=') else {
            return Err(wrong("lacks a \"=\""));
        };
        if matches!(name, "service" | "servicefile") {
            return Err(wrong("names a service itself"));
        }
        let Some(keyword) = find(name) else {
            let hint = nearest(name).map_or(String::new(), |known| {
                format!(" (did you mean \"{known}\"?)")
            });
            return Err(wrong(&format!("has an unknown keyword{hint}")));
        };
        values.offer(keyword.name, Secret::new(value.to_owned()), Source::Service);
    }
    Ok(is_inside)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(text: &str, service: &str) -> Result<Option<Vec<(String, String)>>, String> {
        let mut values = Values::default();
        let found = take_section(&mut values, text, service)?;
        let pairs = values
            .iter()
            .map(|(keyword, value)| (keyword.name.to_owned(), value.to_owned()));
        Ok(found.then(|| pairs.collect()))
    }

    #[test]
    fn cp44_a_section_is_read_as_libpq_reads_it() {
        let text = "# comment\n[one]\nhost=h1\nport=1\r\n\n  [two] rest\n \thost = not a name\n";
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            taken(text, "one"),
            Ok(Some(vec![pair("host", "h1"), pair("port", "1")]))
        );
        assert!(
            taken(text, "two").is_err(),
            "blanks around = belong to the name"
        );
        assert_eq!(taken(text, "on"), Ok(None));
        assert_eq!(taken("[a]\nhost=x\nhost=y", "a").unwrap().unwrap().len(), 1);
        assert_eq!(
            taken("[a]\ndbname= x y", "a").unwrap().unwrap(),
            [pair("dbname", " x y")]
        );
        assert_eq!(taken("[a]\n[a]\nhost=x", "a"), Ok(Some(Vec::new())));
    }

    #[test]
    fn cp44_nested_services_unknown_keywords_and_ldap_are_refused_without_showing_a_value() {
        for (line, says) in [
            ("service=canary", "names a service itself"),
            ("servicefile=canary", "names a service itself"),
            ("pasword=canary", "did you mean \"password\"?"),
            ("canary", "lacks a \"=\""),
            ("ldap://canary", "LDAP"),
        ] {
            let problem = taken(&format!("[a]\n{line}"), "a").unwrap_err();
            assert!(problem.contains(says), "{line}: {problem}");
            assert!(!problem.contains("canary"), "{problem}");
            assert!(problem.contains("line 2"), "{problem}");
        }
    }
}
