//! What the words of a statement's text say about it, without parsing it.

use crate::conn::residue::sets_unnamed;

/// What the first keyword says about a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Cannot change the transaction state of its session: may share a connection with neighbours.
    Plain,
    /// COMMIT, END or PREPARE TRANSACTION: its loss leaves a transaction in doubt.
    Commit,
    /// Everything else (BEGIN, SET, DDL, CALL …): has its connection to itself.
    Other,
}

/// Does it begin with a keyword that writes? Texts that begin with something else are not known to.
pub(super) fn writes(text: &str) -> bool {
    let start = text.trim_start();
    ["insert", "update", "delete", "merge"].iter().any(|word| {
        start
            .get(..word.len())
            .is_some_and(|begin| begin.eq_ignore_ascii_case(word))
    })
}

/// Does the text contain that, in whatever case?
fn mentions(text: &str, needle: &str) -> bool {
    text.as_bytes()
        .windows(needle.len())
        .any(|window| window.eq_ignore_ascii_case(needle.as_bytes()))
}

/// May it make a temporary table, which hides another one of the same name?
pub(super) fn hides(text: &str) -> bool {
    classify(text) == Class::Other && mentions(text, "temp")
}

/// `SET default_transaction_read_only`, `BEGIN READ WRITE` and their kin. A text that only mentions them costs no more than
/// a connection that is not used again.
pub(super) fn overrides_fence(text: &str) -> bool {
    let has = |needle: &str| mentions(text, needle);
    has("transaction_read_only")
        || has("set_config") && sets_unnamed(text)
        || has("pg_settings") && has("update")
        || classify(text) == Class::Other && has("read") && has("write")
}

/// Reads the first keyword behind white space, comments and opening parentheses.
pub(super) fn classify(text: &str) -> Class {
    let Some(rest) = skip_comments(text) else {
        return Class::Other;
    };
    let end = rest
        .find(|c: char| !c.is_ascii_alphabetic())
        .unwrap_or(rest.len());
    let word = rest.get(..end).unwrap_or_default();
    let is = |keyword: &str| word.eq_ignore_ascii_case(keyword);
    if [
        "select", "insert", "update", "delete", "with", "values", "table", "merge",
    ]
    .into_iter()
    .any(is)
    {
        Class::Plain
    } else if ["commit", "end", "prepare"].into_iter().any(is) {
        Class::Commit
    } else {
        Class::Other
    }
}

/// Does it show a setting?
pub(super) fn shows(text: &str) -> bool {
    skip_comments(text).is_some_and(|rest| {
        let word = rest.get(..4);
        word.is_some_and(|word| word.eq_ignore_ascii_case("show"))
    })
}

/// COPY is never the plain beginning of a statement, but may follow one in a text of several.
pub(super) fn may_copy(text: &str) -> bool {
    (classify(text) != Class::Plain || text.contains(';')) && mentions(text, "copy")
}

/// What comes behind white space, comments and opening parentheses; `None` when a comment does not end. A COMMIT behind one is
/// still a COMMIT.
pub(super) fn skip_comments(text: &str) -> Option<&str> {
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '(' || c == ';');
        rest = if let Some(comment) = rest.strip_prefix("--") {
            comment.split_once(['\n', '\r'])?.1
        } else if let Some(comment) = rest.strip_prefix("/*") {
            after_comment(comment)?
        } else {
            return Some(rest);
        };
    }
}

/// What follows a comment whose opening was read; they nest.
fn after_comment(mut rest: &str) -> Option<&str> {
    let mut depth = 1_usize;
    while depth > 0 {
        let at = rest.find(['/', '*'])?;
        let (_, from) = rest.split_at_checked(at)?;
        if let Some(after) = from.strip_prefix("/*") {
            depth += 1;
            rest = after;
        } else if let Some(after) = from.strip_prefix("*/") {
            depth -= 1;
            rest = after;
        } else {
            rest = from.get(1..)?;
        }
    }
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_lift_the_fence_is_suspected() {
        for (text, overrides) in [
            ("SET default_transaction_read_only = off", true),
            ("begin read write", true),
            (
                "select set_config('default_transaction_read_only', 'off', false)",
                true,
            ),
            ("select set_config($1, $2, false)", true),
            (
                "select pg_catalog.set_config (name, 'off', false) from names",
                true,
            ),
            ("select \"set_config\"($1, 'off', false)", true),
            (
                "update pg_settings set setting = 'off' where name = $1",
                true,
            ),
            ("select set_config('app.user', $1, false)", false),
            ("select set_config( 'search_path' , $1, $2)", false),
            // It ends with its transaction, and the first snapshot comes before it.
            ("select set_config($1, $2, true)", false),
            ("select setting from pg_settings where name = $1", false),
            ("insert into t (read, write) values (1, 2)", false),
        ] {
            assert_eq!(overrides_fence(text), overrides, "{text}");
        }
    }

    #[test]
    fn a_setting_is_shown_by_show() {
        for (text, shown) in [
            ("show work_mem", true),
            ("-- which\nSHOW all", true),
            ("select 'show'", false),
            ("sho", false),
        ] {
            assert_eq!(shows(text), shown, "{text}");
        }
    }
}
