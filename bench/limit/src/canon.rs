//! One text for equal values and a checksum over rows of them, as in `bench/harness/canon.js`.

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::value::Cell;

/// The line of one row.
pub(crate) fn line(cells: &[Cell]) -> String {
    join(cells, "\u{1f}", cell)
}

/// Lines in the order of their bytes, each ended by a line feed, as SHA-256.
pub(crate) fn checksum(mut lines: Vec<String>) -> String {
    lines.sort_unstable();
    let mut hash = Sha256::new();
    for line in lines {
        hash.update(line);
        hash.update("\n");
    }
    hex(&hash.finalize())
}

fn cell(cell: &Cell) -> String {
    match cell {
        Cell::Null => r"\N".to_owned(),
        Cell::Bool(value) => value.to_string(),
        Cell::Int4(value) => value.to_string(),
        Cell::Int8(value) => value.to_string(),
        Cell::Float8(value) => value.to_string(),
        Cell::Numeric(value) => value.to_string(),
        Cell::Text(value) => value.clone(),
        Cell::Time(value) => value.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
        Cell::Json(value) => json(value),
        Cell::Uuid(value) => value.to_string(),
        Cell::Bytes(value) => hex(&Sha256::digest(value)),
        Cell::Ints(values) => list(values),
        Cell::Floats(values) => list(values),
        Cell::Texts(values) => list(values),
    }
}

fn list<T: ToString>(values: &[T]) -> String {
    format!("[{}]", join(values, ",", T::to_string))
}

fn json(value: &Value) -> String {
    match value {
        Value::Null => r"\N".to_owned(),
        Value::Bool(value) => value.to_string(),
        // as JavaScript writes it: 2.0 is 2
        Value::Number(value) => match value.as_f64() {
            Some(float) if !value.is_i64() => float.to_string(),
            _ => value.to_string(),
        },
        Value::String(value) => value.clone(),
        Value::Array(values) => format!("[{}]", join(values, ",", json)),
        Value::Object(entries) => {
            let mut entries: Vec<_> = entries.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| *key);
            format!(
                "{{{}}}",
                join(&entries, ",", |(key, value)| format!(
                    "{key}:{}",
                    json(value)
                ))
            )
        }
    }
}

fn join<T>(items: &[T], separator: &str, show: impl Fn(&T) -> String) -> String {
    items.iter().map(show).collect::<Vec<_>>().join(separator)
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // writing to a String cannot fail
        let _ = write!(text, "{byte:02x}");
        text
    })
}
