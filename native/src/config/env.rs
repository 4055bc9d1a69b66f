//! The `PG…` environment variables, read from a map that the caller took of the environment (rule CP-42).

use std::collections::BTreeMap;

use super::keyword::{KEYWORDS, Source, Values};
use super::secret::Secret;

/// Variables that become parameters of the session.
///
/// Source: `EnvironmentOptions` in `src/interfaces/libpq/fe-connect.c`.
pub(super) const SESSION_VARIABLES: [(&str, &str); 3] = [
    ("PGDATESTYLE", "DateStyle"),
    ("PGTZ", "TimeZone"),
    ("PGGEQO", "geqo"),
];

/// Offers every variable that stands for a keyword. An empty variable counts as absent, unlike in libpq.
pub(super) fn offer(values: &mut Values, environment: &BTreeMap<String, String>) {
    for keyword in KEYWORDS {
        let value = keyword
            .variable
            .and_then(|variable| environment.get(variable));
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            values.offer(
                keyword.name,
                Secret::new(value.clone()),
                Source::Environment,
            );
        }
    }
    // The variable of old, still read by libpq where there is no mode.
    if environment
        .get("PGREQUIRESSL")
        .is_some_and(|value| value.starts_with('1'))
    {
        values.offer(
            "sslmode",
            Secret::new("require".into()),
            Source::Environment,
        );
    }
}
