//! What the words of a statement's text say about it, without parsing it.

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
    has("transaction_read_only") || classify(text) == Class::Other && has("read") && has("write")
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
