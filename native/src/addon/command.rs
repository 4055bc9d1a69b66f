//! First words of command tags, which cross to JS as numbers.

/// Every first word PostgreSQL 18 uses; 0 is none, so a word's number is its place plus one.
///
/// Source: `src/include/tcop/cmdtaglist.h`.
// table: one word per command
pub(super) const WORDS: [&str; 46] = [
    "SELECT",
    "INSERT",
    "UPDATE",
    "DELETE",
    "MERGE",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "START",
    "SAVEPOINT",
    "RELEASE",
    "PREPARE",
    "EXECUTE",
    "DEALLOCATE",
    "SET",
    "RESET",
    "SHOW",
    "DISCARD",
    "DECLARE",
    "FETCH",
    "MOVE",
    "CLOSE",
    "COPY",
    "LISTEN",
    "NOTIFY",
    "UNLISTEN",
    "CREATE",
    "ALTER",
    "DROP",
    "TRUNCATE",
    "COMMENT",
    "GRANT",
    "REVOKE",
    "LOCK",
    "VACUUM",
    "ANALYZE",
    "CLUSTER",
    "REINDEX",
    "REFRESH",
    "CHECKPOINT",
    "LOAD",
    "CALL",
    "DO",
    "EXPLAIN",
    "IMPORT",
    "REASSIGN",
];

/// The number of a word; `None` when it is not in the table.
pub(super) fn number(word: &str) -> Option<u32> {
    if word.is_empty() {
        return Some(0);
    }
    let place = WORDS.iter().position(|known| *known == word)?;
    u32::try_from(place + 1).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_have_numbers_and_unknown_ones_have_none() {
        assert_eq!(number(""), Some(0));
        assert_eq!(number("SELECT"), Some(1));
        assert_eq!(number("REASSIGN"), Some(46));
        assert_eq!(number("FROBNICATE"), None);
    }
}
