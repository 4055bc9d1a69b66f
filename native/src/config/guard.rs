//! Session parameters that must not be set from outside: they would go around the fence or the engine's own (CP-8).

use crate::error::Error;

use super::value::check_text;

/// Parameters the engine sets itself, by the option that governs them.
const RESERVED: [(&str, &str); 7] = [
    ("application_name", "applicationName"),
    ("client_encoding", "nothing: it is always UTF8"),
    ("database", "database"),
    ("options", "options"),
    ("replication", "nothing: replication is not supported"),
    ("statement_timeout", "statementTimeoutMs"),
    ("user", "user"),
];

/// Refuses `options` that mention `default_transaction_read_only` in any spelling the server takes.
///
/// The server drops backslashes, ignores case and reads `-` in a name as `_`; a value that merely contains the
/// name is refused too, which costs nobody anything. Source: `pg_split_opts`, `ParseLongOption`, `guc_name_compare`.
pub(super) fn check_options(option: &str, options: &str) -> Result<(), Error> {
    check_text(option, options, 8192)?;
    if plain(options).contains("default_transaction_read_only") {
        return Err(fence(option));
    }
    Ok(())
}

/// Do `options` choose how dates are written?
pub(super) fn sets_date_style(options: &str) -> bool {
    plain(options).contains("datestyle")
}

/// Refuses parameter names that are not names, that the engine owns, or that go around the fence.
pub(super) fn check_parameter(option: &str, name: &str, value: &str) -> Result<(), Error> {
    let named = format!("{option}.{name}");
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'));
    if !is_name || name.len() > 63 {
        return Err(Error::config(
            option,
            "must have parameter names of ASCII letters, digits, \"_\" and \".\"",
        ));
    }
    let lower = plain(name);
    if lower.starts_with("_pq_.") {
        return Err(Error::config(named, "is reserved for protocol extensions"));
    }
    if let Some((_, governs)) = RESERVED.iter().find(|(reserved, _)| *reserved == lower) {
        return Err(Error::config(
            named,
            format!("cannot be set here; use {governs}"),
        ));
    }
    if lower == "default_transaction_read_only" {
        return Err(fence(&named));
    }
    check_text(&named, value, 8192)
}

fn fence(option: &str) -> Error {
    Error::config(
        option,
        "must not set default_transaction_read_only: it would go around the fence of a demoted server",
    )
}

fn plain(text: &str) -> String {
    text.chars()
        .filter(|c| *c != '\\')
        .map(|c| {
            if c == '-' {
                '_'
            } else {
                c.to_ascii_lowercase()
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cp8_no_spelling_of_options_goes_around_the_fence() {
        for options in [
            "-c default_transaction_read_only=off",
            "--default_transaction_read_only=off",
            "--default-transaction-read-only=off",
            "-cDEFAULT_TRANSACTION_READ_ONLY=off",
            "-c default\\_transaction\\_read_only=off",
            "-c work_mem=1MB -c Default-Transaction_read_only=on",
        ] {
            assert!(check_options("options", options).is_err(), "{options}");
        }
        assert!(check_options("options", "-c work_mem=1MB --enable-seqscan=off").is_ok());
    }

    #[test]
    fn cp8_no_parameter_goes_around_the_fence_or_the_engine() {
        for name in [
            "default_transaction_read_only",
            "Default_Transaction_Read_Only",
            "client_encoding",
            "Options",
            "user",
            "replication",
            "_pq_.x",
            "",
            "a b",
            "a-b",
            "1a",
        ] {
            assert!(check_parameter("parameters", name, "x").is_err(), "{name}");
        }
        assert!(check_parameter("parameters", "lock_timeout", "10").is_ok());
        assert!(check_parameter("parameters", "app.tenant", "x").is_ok());
        assert!(check_parameter("parameters", "lock_timeout", "1\n0").is_err());
    }
}
