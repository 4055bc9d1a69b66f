//! The connection keywords of libpq: which exist, where else they can be set, and which this version acts on.

use std::collections::BTreeMap;

use crate::error::Error;

use super::pem::is_pem;
use super::secret::Secret;
use super::value::check_text;

/// Longest value of a keyword: a startup packet has 10 000 bytes for all of them.
const MAX_VALUE_BYTES: usize = 8_192;

/// What this version does with a keyword.
#[derive(Clone, Copy, Debug)]
pub(super) enum Support {
    /// It is read and obeyed.
    Obeyed,
    /// Only these values are accepted: they describe what is done anyway.
    Only(&'static [&'static str]),
    /// Any value is an error: ignoring it would change what the user asked for.
    Refused,
}

use Support::{Obeyed, Only, Refused};

/// One keyword.
#[derive(Debug)]
pub(super) struct Keyword {
    /// Its name in connection strings.
    pub(super) name: &'static str,
    /// Its environment variable.
    pub(super) variable: Option<&'static str>,
    /// The name of the explicit option with the same meaning, when there is one.
    pub(super) option: Option<&'static str>,
    /// What is done with it.
    pub(super) support: Support,
}

const fn keyword(
    name: &'static str,
    variable: Option<&'static str>,
    option: Option<&'static str>,
    support: Support,
) -> Keyword {
    Keyword {
        name,
        variable,
        option,
        support,
    }
}

/// All keywords up to PostgreSQL 18.
///
/// Source: `PQconninfoOptions` in `src/interfaces/libpq/fe-connect.c`.
#[rustfmt::skip]
pub(super) const KEYWORDS: &[Keyword] = &[
    keyword("application_name", Some("PGAPPNAME"), Some("applicationName"), Obeyed),
    keyword("channel_binding", Some("PGCHANNELBINDING"), Some("channelBinding"), Obeyed),
    keyword("client_encoding", Some("PGCLIENTENCODING"), None, Only(&["utf8", "utf-8", "unicode"])),
    keyword("connect_timeout", Some("PGCONNECT_TIMEOUT"), None, Obeyed),
    keyword("dbname", Some("PGDATABASE"), Some("database"), Obeyed),
    keyword("fallback_application_name", None, Some("fallbackApplicationName"), Obeyed),
    keyword("gssdelegation", None, None, Only(&["0"])),
    // There is no GSS here, so "prefer" is what happens without a ticket.
    keyword("gssencmode", Some("PGGSSENCMODE"), None, Only(&["disable", "prefer"])),
    keyword("gsslib", None, None, Refused),
    keyword("host", Some("PGHOST"), Some("host"), Obeyed),
    keyword("hostaddr", Some("PGHOSTADDR"), Some("hostaddr"), Obeyed),
    keyword("keepalives", None, None, Obeyed),
    keyword("keepalives_count", None, None, Obeyed),
    keyword("keepalives_idle", None, None, Obeyed),
    keyword("keepalives_interval", None, None, Obeyed),
    keyword("krbsrvname", None, None, Refused),
    keyword("load_balance_hosts", Some("PGLOADBALANCEHOSTS"), None, Only(&["disable", "random"])),
    keyword("max_protocol_version", Some("PGMAXPROTOCOLVERSION"), Some("maxProtocolVersion"), Obeyed),
    keyword("min_protocol_version", Some("PGMINPROTOCOLVERSION"), Some("minProtocolVersion"), Obeyed),
    keyword("oauth_client_id", None, None, Refused),
    keyword("oauth_client_secret", None, None, Refused),
    keyword("oauth_issuer", None, None, Refused),
    keyword("oauth_scope", None, None, Refused),
    keyword("options", Some("PGOPTIONS"), Some("options"), Obeyed),
    keyword("passfile", Some("PGPASSFILE"), Some("passfile"), Obeyed),
    keyword("password", Some("PGPASSWORD"), Some("password"), Obeyed),
    keyword("port", Some("PGPORT"), Some("port"), Obeyed),
    keyword("replication", None, None, Refused),
    keyword("require_auth", Some("PGREQUIREAUTH"), Some("requireAuth"), Obeyed),
    keyword("requirepeer", Some("PGREQUIREPEER"), None, Refused),
    keyword("scram_client_key", None, None, Refused),
    keyword("scram_server_key", None, None, Refused),
    keyword("service", Some("PGSERVICE"), Some("service"), Obeyed),
    keyword("servicefile", None, Some("servicefile"), Obeyed),
    keyword("ssl_max_protocol_version", Some("PGSSLMAXPROTOCOLVERSION"), Some("ssl_max_protocol_version"), Obeyed),
    keyword("ssl_min_protocol_version", Some("PGSSLMINPROTOCOLVERSION"), Some("ssl_min_protocol_version"), Obeyed),
    keyword("sslcert", Some("PGSSLCERT"), Some("sslcert"), Obeyed),
    keyword("sslcertmode", Some("PGSSLCERTMODE"), Some("sslcertmode"), Obeyed),
    keyword("sslcompression", Some("PGSSLCOMPRESSION"), None, Only(&["0"])),
    keyword("sslcrl", Some("PGSSLCRL"), Some("sslcrl"), Obeyed),
    keyword("sslcrldir", Some("PGSSLCRLDIR"), Some("sslcrldir"), Obeyed),
    keyword("sslkey", Some("PGSSLKEY"), Some("sslkey"), Obeyed),
    keyword("sslkeylogfile", None, None, Refused),
    keyword("sslmode", Some("PGSSLMODE"), Some("sslmode"), Obeyed),
    keyword("sslnegotiation", Some("PGSSLNEGOTIATION"), Some("sslnegotiation"), Obeyed),
    keyword("sslpassword", None, Some("sslpassword"), Obeyed),
    keyword("sslrootcert", Some("PGSSLROOTCERT"), Some("sslrootcert"), Obeyed),
    keyword("sslsni", Some("PGSSLSNI"), Some("sslsni"), Obeyed),
    keyword("target_session_attrs", Some("PGTARGETSESSIONATTRS"), None, Only(&["any", "read-write", "read-only", "primary", "standby", "prefer-standby"])),
    keyword("tcp_user_timeout", None, None, Obeyed),
    keyword("user", Some("PGUSER"), Some("user"), Obeyed),
];

/// The keyword of that name.
pub(super) fn find(name: &str) -> Option<&'static Keyword> {
    KEYWORDS.iter().find(|keyword| keyword.name == name)
}

/// The known keyword that `name` was most likely meant to be: at most two edits away.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    KEYWORDS
        .iter()
        .map(|keyword| (edits(name, keyword.name), keyword.name))
        .min()
        .filter(|(edits, _)| *edits <= 2)
        .map(|(_, name)| name)
}

/// Levenshtein distance in bytes; texts longer than any keyword are not worth the work.
fn edits(from: &str, to: &str) -> usize {
    if from.len() > 64 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.bytes().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, b) in row.iter_mut().skip(1).zip(to.bytes()) {
            let here = (diagonal + usize::from(a != b))
                .min(*cell + 1)
                .min(left + 1);
            diagonal = *cell;
            *cell = here;
            left = here;
        }
    }
    row.last().copied().unwrap_or(usize::MAX)
}

/// Where a value was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// An option of its own.
    Option,
    /// The connection string.
    Text,
    /// A section of the service file.
    Service,
    /// An environment variable.
    Environment,
}

/// Keyword values of all sources; the first source that has a value wins (rule CP-41).
#[derive(Debug, Default)]
pub(super) struct Values(BTreeMap<&'static str, (Secret, Source)>);

impl Values {
    /// Takes a value unless an earlier source had one.
    pub(super) fn offer(&mut self, name: &'static str, value: Secret, source: Source) {
        self.0.entry(name).or_insert((value, source));
    }

    /// The value of a keyword; an empty one counts.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|(value, _)| value.expose())
    }

    /// The value of a keyword, `None` when it is empty.
    pub(super) fn filled(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// All values with the name to use in messages.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static Keyword, &str)> {
        self.0
            .iter()
            .filter_map(|(name, (value, _))| Some((find(name)?, value.expose())))
    }

    /// The name of a keyword's value as the user wrote it: option, keyword or environment variable.
    pub(super) fn label(&self, name: &'static str) -> &'static str {
        let source = self.0.get(name).map(|(_, source)| *source);
        let label = find(name).and_then(|keyword| match source {
            Some(Source::Environment) => keyword.variable,
            Some(Source::Text | Source::Service) => None,
            Some(Source::Option) | None => keyword.option,
        });
        label.unwrap_or(name)
    }

    /// An error about the value of a keyword. Never shows the value.
    pub(super) fn error(&self, name: &'static str, problem: impl AsRef<str>) -> Error {
        Error::config(self.label(name), problem)
    }

    /// Refuses values with control characters or of absurd length (rule D03), and every keyword, or value of one,
    /// that this version would have to ignore.
    pub(super) fn check(&self) -> Result<(), Error> {
        for (keyword, value) in self.iter() {
            // Passwords may hold anything but NUL, and certificates may be given as text with line ends.
            let may_be_pem = matches!(
                keyword.name,
                "sslrootcert" | "sslcert" | "sslkey" | "sslcrl"
            );
            let is_password = matches!(keyword.name, "password" | "sslpassword");
            let is_free = is_password || (may_be_pem && is_pem(value));
            if !is_free {
                check_text(self.label(keyword.name), value, MAX_VALUE_BYTES)?;
            }
            match keyword.support {
                Obeyed => {}
                Only(values) if values.contains(&value) => {}
                // The server reads the names of encodings in any case.
                Only(values)
                    if keyword.name == "client_encoding"
                        && values.iter().any(|known| known.eq_ignore_ascii_case(value)) => {}
                Only(values) => {
                    let problem =
                        format!("must be {}: nothing else is supported", values.join(" or "));
                    return Err(self.error(keyword.name, problem));
                }
                Refused => return Err(self.error(keyword.name, "is not supported")),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_keyword_finds_its_neighbour() {
        for (typo, meant) in [
            ("sslmod", Some("sslmode")),
            ("db_name", Some("dbname")),
            ("users", Some("user")),
            ("pasword", Some("password")),
            ("hunter2", None),
        ] {
            assert_eq!(nearest(typo), meant, "{typo}");
        }
    }

    #[test]
    fn keywords_are_sorted_and_unique() {
        assert!(KEYWORDS.is_sorted_by(|a, b| a.name < b.name));
    }

    #[test]
    fn cp41_the_first_source_wins_and_names_the_error() {
        let mut values = Values::default();
        values.offer("sslmode", Secret::new("x".into()), Source::Environment);
        values.offer("sslmode", Secret::new("y".into()), Source::Text);
        assert_eq!(values.get("sslmode"), Some("x"));
        assert_eq!(
            values.error("sslmode", "is bad").to_string(),
            "option \"PGSSLMODE\" is bad"
        );
    }
}
