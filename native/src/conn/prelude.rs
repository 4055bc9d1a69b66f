//! BEGIN in front of the first statement of a transaction, in the same packet and the same Sync.
//!
//! Kept prepared it costs a server some microseconds less. One that the server has lost fails with nothing behind it run, so
//! the request is sent again; and as whoever has ended it has hardly spared the others, all of them are prepared anew then.

use std::sync::Arc;

use bytes::BytesMut;

use crate::conn::answers::{Answers, PRELUDE};
use crate::conn::encode::{ALL_TEXT, NO_PARAMETERS, prepare};
use crate::conn::statement::{Prepared, Statement};
use crate::error::Error;
use crate::wire::{Expect, frontend};

/// Appends it. `keep`: as a prepared statement, which is noted in `prepared`.
///
/// # Errors
/// [`Error::Encode`] for what no message can carry.
pub(super) fn append(
    begin: &Arc<Statement>,
    keep: bool,
    prepared: &mut Option<Arc<Prepared>>,
    expected: &mut Vec<Expect>,
    out: &mut BytesMut,
    answers: &mut Answers,
) -> Result<(), Error> {
    let mut fresh = true;
    let kept = keep.then(|| prepare(begin, prepared, &mut fresh, answers));
    let name = kept.as_ref().map_or("", |kept| &kept.name);
    if fresh {
        frontend::parse(out, name, &begin.text, &[])?;
        expected.push(Expect::ParseComplete);
    }
    frontend::bind(out, "", name, NO_PARAMETERS, ALL_TEXT)?;
    frontend::execute(out, "", 0)?;
    expected.extend([Expect::BindComplete, Expect::Result { tag: PRELUDE }]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conn::exchange::Exchange;
    use crate::conn::request::{Part, Request, Work};
    use crate::conn::statement::Naming;
    use crate::conn::tests::server::{Answer, exchange, message, of_transaction};

    const UPDATE: &str = "update a set b = 1";

    fn kept(part: Part) -> (Request, Answer) {
        let text = if part == Part::Commit {
            "COMMIT"
        } else {
            UPDATE
        };
        let (mut request, answer) = of_transaction(text, part);
        if let Work::Execute { naming, .. } = &mut request.work {
            *naming = Naming::Cached;
        }
        (request, answer)
    }

    fn hears(exchange: &mut Exchange, messages: &[&[u8]]) {
        exchange.wrote(exchange.output.len());
        exchange.output.clear();
        exchange.input.extend_from_slice(&messages.concat());
        exchange.feed().unwrap();
    }

    fn says(exchange: &Exchange, word: &str) -> bool {
        let word = word.as_bytes();
        exchange.output.windows(word.len()).any(|at| at == word)
    }

    /// Parse of what is new, Describe of a statement that is new, Bind, Execute.
    fn done(tag: &str, parsed: bool, described: bool) -> Vec<u8> {
        let [one, bound] = [message(b'1', b""), message(b'2', b"")];
        let parsed = if parsed { one } else { Vec::new() };
        let columns = [message(b't', &[0, 0]), message(b'n', b"")].concat();
        let described = if described { columns } else { Vec::new() };
        let tag = message(b'C', &[tag.as_bytes(), b"\0"].concat());
        [parsed, described, bound, tag].concat()
    }

    fn ready(status: &[u8]) -> Vec<u8> {
        message(b'Z', status)
    }

    fn lost() -> Vec<u8> {
        message(b'E', b"SERROR\0VERROR\0C26000\0Mno\0\0")
    }

    /// A connection on which a transaction has ended.
    fn used() -> Exchange {
        let mut exchange = exchange();
        let (first, mut answer) = kept(Part::Inside);
        exchange.push(first);
        assert!(says(&exchange, "\0BEGIN\0"));
        let begun = done("BEGIN", true, false);
        let updated = done("UPDATE 1", true, true);
        hears(&mut exchange, &[&begun, &updated, &ready(b"T")]);
        assert!(answer.try_recv().unwrap().is_ok());
        let (commit, mut end) = kept(Part::Commit);
        exchange.push(commit);
        hears(&mut exchange, &[&done("COMMIT", true, true), &ready(b"I")]);
        assert!(end.try_recv().unwrap().is_ok());
        exchange
    }

    #[test]
    fn begin_is_parsed_once() {
        let mut exchange = used();
        let (next, mut answer) = kept(Part::Inside);
        exchange.push(next);
        assert!(!says(&exchange, "BEGIN") && !exchange.output.is_empty());
        let begun = done("BEGIN", false, false);
        let updated = done("UPDATE 1", false, false);
        hears(&mut exchange, &[&begun, &updated, &ready(b"T")]);
        assert!(answer.try_recv().unwrap().is_ok());
    }

    #[test]
    fn one_that_is_not_to_be_kept_has_no_name() {
        let mut exchange = exchange();
        let (first, _answer) = of_transaction(UPDATE, Part::Inside);
        exchange.push(first);
        assert!(says(&exchange, "P\0\0\0\x0D\0BEGIN\0"));
    }

    #[test]
    fn one_that_the_server_has_lost_is_sent_again_with_what_is_behind_it() {
        let mut exchange = used();
        let (next, mut answer) = kept(Part::Inside);
        exchange.push(next);
        hears(&mut exchange, &[&lost(), &ready(b"I")]);
        assert!(answer.try_recv().is_err(), "nobody hears of it");
        assert!(exchange.report().begin_failed.is_none());
        assert!(says(&exchange, "\0BEGIN\0") && says(&exchange, UPDATE));
        let closed = message(b'3', b"").repeat(3);
        let begun = done("BEGIN", true, false);
        let updated = done("UPDATE 1", true, true);
        hears(&mut exchange, &[&closed, &begun, &updated, &ready(b"T")]);
        assert!(answer.try_recv().unwrap().is_ok());
        // All others are prepared anew.
        let (commit, _end) = kept(Part::Commit);
        exchange.push(commit);
        assert!(says(&exchange, "\0COMMIT\0"));
    }

    #[test]
    fn one_that_is_lost_behind_a_commit_that_was_not_run_is_not_sent_again() {
        let mut exchange = used();
        let (next, mut answer) = kept(Part::Inside);
        exchange.push(next);
        hears(&mut exchange, &[&lost(), &ready(b"E")]);
        let error = answer.try_recv().unwrap().unwrap_err();
        assert!(matches!(error, Error::TransactionLost { .. }), "{error}");
    }
}
