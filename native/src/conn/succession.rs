//! A COMMIT with the BEGIN of the next session right behind it: when that may be, and what becomes of the latter.
//!
//! ```text
//! packet   COMMIT Sync │ BEGIN, first statement, Sync        two round trips of a transaction are left of three
//! ```
//!
//! The next session never decides about the COMMIT in front of it: that is not cancelled for its sake, whatever it does.

use crate::conn::answers::Answers;
use crate::conn::exchange::Exchange;
use crate::conn::giveup::{Running, fail_where};
use crate::conn::inflight::InFlight;
use crate::conn::request::{Reply, Work};
use crate::conn::{Closing, Connection};
use crate::error::Error;
use crate::wire::TransactionStatus;

impl Exchange {
    /// Is the COMMIT of whoever has the connection all that is unanswered, was it quick when it ran last, and needs the server
    /// no look before it is asked for something else?
    fn is_ending(&self) -> bool {
        let is_quick = |sent: &InFlight| {
            let statement = sent.request.work.statement();
            statement.is_some_and(|statement| statement.is_quick())
        };
        let is_free = |sent: &InFlight| sent.request.timeout.is_none() && !sent.request.exclusive;
        !self.held
            && !self.kept
            && self.limit.is_none()
            && self.pending() == 1
            && self.core.status() == TransactionStatus::InTransaction
            && self.answers.subscriber.is_none()
            && self.answers.guard.lets_succeed()
            && (self.answers.sent.front()).is_some_and(|sent| {
                sent.commits() && sent.ends() && is_free(sent) && is_quick(sent)
            })
    }

    /// Is the COMMIT of somebody else in front of what the session has asked that has the connection?
    fn is_behind_end(&self) -> bool {
        self.answers.sent.front().is_some_and(InFlight::ends)
    }

    /// A session goes that has not asked for its end: what is to be done about its statement that runs.
    fn leave(&mut self, what: &'static str) -> Running {
        if !self.is_behind_end() {
            return self.interrupt_all(what);
        }
        self.answers.finished += fail_where(&mut self.queue, |_| true, |_| Error::Closed { what });
        for sent in self.answers.sent.iter_mut().skip(1) {
            sent.unwanted = true;
        }
        Running::Nothing
    }

    /// The session behind the COMMIT has waited for too long: what it has asked fails, and what was sent of it is given up as
    /// soon as that does not touch the COMMIT.
    fn withdraw(&mut self, error: &Error) -> bool {
        // A COMMIT with nothing behind it is its own.
        if !self.is_behind_end() || self.pending() == 1 {
            return false;
        }
        self.answers.finished += fail_where(&mut self.queue, |_| true, |_| error.clone());
        for sent in self.answers.sent.iter_mut().skip(1) {
            let (nobody, _) = Reply::local();
            sent.unwanted = true;
            // Of its rows nothing is kept.
            sent.request.max_result = Some(0);
            std::mem::replace(&mut sent.request.reply, nobody).fail(error);
        }
        true
    }
}

impl Answers {
    /// A transaction is over, and its portals with it; what was sent behind its COMMIT opens one of the next.
    pub(super) fn end_portals(&mut self) {
        let ahead = &self.sent;
        self.portals.retain(|(name, _)| {
            let opens = |sent: &InFlight| matches!(&sent.request.work, Work::Open { portal, .. } if portal == name);
            ahead.iter().skip(1).any(opens)
        });
    }
}

impl Connection {
    /// May the first statement of the next session be sent, because its user has sent COMMIT and asks for nothing more?
    pub fn is_ending(&self) -> bool {
        let state = self.lock();
        let is_open = matches!(state.closing, Closing::Open);
        is_open && state.cancel.is_none() && state.exchange.is_ending()
    }

    /// A session goes that has not asked for its end. What it runs is cancelled, and the connection ends behind that.
    pub fn leave(&self, what: &'static str) {
        let mut state = self.lock();
        let running = state.exchange.leave(what);
        state.interrupt(running);
        if matches!(state.closing, Closing::Open) {
            state.closing = Closing::Politely(what);
        }
        state.wake();
    }

    /// The session behind a COMMIT gives up. `false`: that one was answered meanwhile. Only while nobody else can come behind
    /// the session's own COMMIT, which looks the same.
    pub fn withdraw(&self, error: &Error) -> bool {
        let mut state = self.lock();
        let is_withdrawn = state.exchange.withdraw(error);
        state.wake();
        is_withdrawn
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::conn::request::{Parameters, Part, Request, Work};
    use crate::conn::statement::{Naming, Statement};
    use crate::conn::tests::server::{Answer, description, exchange, message, of_transaction};
    use crate::error::{Outcome, Phase};

    type Change = fn(&mut Request);

    fn hears(exchange: &mut Exchange, messages: &[&[u8]]) {
        exchange.input.extend_from_slice(&messages.concat());
        exchange.feed().unwrap();
    }

    /// Parse, Bind, Describe, Execute of a statement without rows.
    fn done(tag: &str) -> Vec<u8> {
        let tag = [tag.as_bytes(), b"\0"].concat();
        let [parsed, bound] = [message(b'1', b""), message(b'2', b"")];
        [parsed, bound, message(b'n', b""), message(b'C', &tag)].concat()
    }

    fn begun() -> Vec<u8> {
        let begin = message(b'C', b"BEGIN\0");
        [message(b'1', b""), message(b'2', b""), begin].concat()
    }

    fn refused(code: &str) -> Vec<u8> {
        let words = format!("SERROR\0VERROR\0C{code}\0Mno\0\0");
        message(b'E', words.as_bytes())
    }

    fn ready(status: &[u8]) -> Vec<u8> {
        message(b'Z', status)
    }

    /// Inside the transaction of a session that has sent its COMMIT, last.
    fn ending(change: impl Fn(&mut Request)) -> (Exchange, Answer) {
        let mut exchange = exchange();
        let (first, mut answer) = of_transaction("update a set b = 1", Part::Inside);
        exchange.push(first);
        hears(&mut exchange, &[&begun(), &done("UPDATE 1"), &ready(b"T")]);
        assert!(answer.try_recv().unwrap().is_ok());
        exchange.report();
        exchange.wrote(exchange.output.len());
        exchange.output.clear();
        let (mut commit, end) = of_transaction("COMMIT", Part::Commit);
        change(&mut commit);
        exchange.push(commit);
        (exchange, end)
    }

    /// The same, with the first statement of the next session behind it.
    fn succeeded() -> (Exchange, Answer, Answer) {
        let (mut exchange, end) = ending(|_| {});
        let (next, answer) = of_transaction("update a set b = 2", Part::Inside);
        exchange.push(next);
        (exchange, end, answer)
    }

    fn texts(exchange: &Exchange) -> Vec<&str> {
        let said = std::str::from_utf8(&exchange.output).unwrap();
        let places = ["COMMIT", "BEGIN", "b = 2"].map(|word| (said.find(word), word));
        let mut found: Vec<_> = places.into_iter().filter(|(at, _)| at.is_some()).collect();
        found.sort_unstable();
        found.into_iter().map(|(_, word)| word).collect()
    }

    #[test]
    fn the_next_session_begins_in_the_packet_of_the_commit() {
        let (exchange, _end) = ending(|_| {});
        assert!(exchange.is_ending());
        let (mut exchange, mut end, mut next) = succeeded();
        assert_eq!(texts(&exchange), ["COMMIT", "BEGIN", "b = 2"]);
        assert!(!exchange.is_ending());
        hears(&mut exchange, &[&done("COMMIT"), &ready(b"I")]);
        assert!(end.try_recv().unwrap().is_ok());
        let report = exchange.report();
        assert_eq!((report.sessions_over, report.pending), (1, 1));
        hears(&mut exchange, &[&begun(), &done("UPDATE 1"), &ready(b"T")]);
        assert!(next.try_recv().unwrap().is_ok());
        let report = exchange.report();
        assert_eq!((report.sessions_over, report.in_transaction), (0, true));
    }

    #[test]
    fn a_portal_that_is_opened_behind_a_commit_outlives_that() {
        let (mut exchange, mut end) = ending(|_| {});
        let (mut next, mut rows) = of_transaction("select 1", Part::Inside);
        next.work = Work::Open {
            statement: Statement::intern("select 1").unwrap(),
            params: Parameters::none(),
            naming: Naming::Unnamed,
            begin: Some(Statement::intern("BEGIN").unwrap()),
            portal: "p".into(),
            batch: 1,
        };
        exchange.push(next);
        hears(&mut exchange, &[&done("COMMIT"), &ready(b"I")]);
        assert!(end.try_recv().unwrap().is_ok());
        let [parsed, bound] = [message(b'1', b""), message(b'2', b"")];
        let row = message(b'D', &[0, 1, 0, 0, 0, 1, b'1']);
        let batch = [parsed, bound, description(), row, message(b's', b"")].concat();
        hears(&mut exchange, &[&begun(), &batch, &ready(b"T")]);
        assert!(rows.try_recv().unwrap().is_ok());
        let portals = &exchange.answers.portals;
        assert!(matches!(&portals[..], [(name, Some(_))] if &**name == "p"));
        let (commit, mut end) = of_transaction("COMMIT", Part::Commit);
        exchange.push(commit);
        hears(&mut exchange, &[&done("COMMIT"), &ready(b"I")]);
        assert!(end.try_recv().unwrap().is_ok() && exchange.answers.portals.is_empty());
    }

    #[test]
    fn nothing_comes_behind_a_commit_that_is_limited_slow_or_not_alone() {
        let minute = Some(Duration::from_secs(60));
        let changes: [Change; 5] = [
            |commit| commit.exclusive = true,
            |commit| commit.finish = false,
            |commit| commit.lacks = true,
            |commit| commit.part = Part::Inside,
            |commit| {
                let (slow, _) = of_transaction("commit work", Part::Commit);
                slow.work.statement().unwrap().took(Duration::from_secs(1));
                commit.work = slow.work;
            },
        ];
        for (place, change) in changes.into_iter().enumerate() {
            assert!(!ending(change).0.is_ending(), "{place}");
        }
        assert!(!ending(|commit| commit.timeout = minute).0.is_ending());
        let (mut exchange, _end) = ending(|_| {});
        exchange.hold();
        assert!(!exchange.is_ending(), "a cancel is under way");
        exchange.resume();
        assert!(exchange.is_ending());
        exchange.limit(Duration::from_secs(60));
        assert!(!exchange.is_ending(), "every statement is limited");
    }

    #[test]
    fn what_the_next_session_meets_is_its_own() {
        let (mut exchange, mut end, mut next) = succeeded();
        let deferred = refused("23503");
        hears(&mut exchange, &[&deferred, &ready(b"I")]);
        assert_eq!(end.try_recv().unwrap().unwrap_err().code(), "23503");
        hears(&mut exchange, &[&refused("25006"), &ready(b"I")]);
        assert_eq!(next.try_recv().unwrap().unwrap_err().code(), "25006");
        // Two ends in one report: of the COMMIT, and of the session that could not begin.
        let report = exchange.report();
        assert_eq!(report.sessions_over, 2);
        assert_eq!(report.begin_failed.unwrap().code(), "25006");
    }

    #[test]
    fn behind_a_commit_that_was_not_run_nothing_begins() {
        let (mut exchange, mut end, mut next) = succeeded();
        let aborted = refused("25P02");
        hears(&mut exchange, &[&refused("57014"), &ready(b"E")]);
        hears(&mut exchange, &[&aborted, &ready(b"E")]);
        assert_eq!(end.try_recv().unwrap().unwrap_err().code(), "57014");
        let error = next.try_recv().unwrap().unwrap_err();
        assert!(matches!(error, Error::TransactionLost { .. }), "{error}");
        assert!(error.transient() && error.outcome() == Outcome::Failed);
        let report = exchange.report();
        assert!(report.begin_failed.is_some() && report.in_transaction);
        let (behind, mut lost) = of_transaction("update a set b = 3", Part::Inside);
        exchange.push(behind);
        assert!(lost.try_recv().unwrap().is_err(), "it is in another one");
    }

    #[test]
    fn behind_a_pooler_the_next_transaction_asks_anew_who_its_server_is() {
        let (mut exchange, _end) = ending(|_| {});
        let trail = &mut exchange.answers.trail;
        trail.note_parameter("server_version", "16.1");
        trail.note_backend(1, "host");
        let cells = ["7", "0/10", "00000001", "5", "s", "", "2"].map(|cell| {
            let length = u32::try_from(cell.len()).unwrap().to_be_bytes();
            [&length[..], cell.as_bytes()].concat()
        });
        trail
            .show(&[&[0, 7][..], &cells.concat()].concat())
            .unwrap();
        assert!(trail.pooled && trail.server.is_some());
        let (mut next, _answer) = of_transaction("select 1", Part::Inside);
        next.probes = true;
        exchange.push(next);
        let said = String::from_utf8_lossy(&exchange.output);
        assert!(said.contains("pg_control_system"), "{said}");
    }

    #[test]
    fn of_a_lost_connection_the_commit_is_open_and_what_is_behind_it_is_not() {
        let (mut exchange, mut end, mut next) = succeeded();
        exchange.wrote(exchange.output.len());
        let left = exchange.abandon("host", &Error::protocol("cut"));
        assert!(left.unsent.is_empty() && left.doubts.is_empty());
        let outcome = |answer: &mut Answer| answer.try_recv().unwrap().unwrap_err().outcome();
        assert_eq!(outcome(&mut end), Outcome::Unknown);
        assert_eq!(outcome(&mut next), Outcome::Failed);
    }

    #[test]
    fn a_session_that_goes_cancels_no_commit_in_front_of_it() {
        let (mut exchange, mut end, mut next) = succeeded();
        assert_eq!(exchange.leave("transaction"), Running::Nothing);
        hears(&mut exchange, &[&done("COMMIT"), &ready(b"I")]);
        assert!(end.try_recv().unwrap().is_ok());
        // It runs from here on, for nobody.
        assert!(exchange.next_deadline().unwrap() <= Instant::now());
        assert_eq!(exchange.expire(Instant::now()), Running::Cancel);
        assert_eq!(exchange.next_deadline(), None, "once");
        hears(&mut exchange, &[&begun(), &refused("57014"), &ready(b"E")]);
        let error = next.try_recv().unwrap().unwrap_err();
        assert!(matches!(error, Error::Cancelled { .. }), "{error}");
        // In front of it nothing is left alone.
        let (mut exchange, ..) = succeeded();
        hears(&mut exchange, &[&done("COMMIT"), &ready(b"I")]);
        assert_eq!(exchange.leave("transaction"), Running::Cancel);
        // The end of the pool is not that of a session.
        let (mut exchange, ..) = succeeded();
        assert_eq!(exchange.interrupt_all("pool"), Running::GiveUp);
    }

    #[test]
    fn who_gives_up_behind_a_commit_leaves_it_alone_and_hears_nothing_more() {
        let error = Error::Timeout {
            phase: Phase::Acquire,
            after: Duration::from_secs(1),
            outcome: Outcome::Failed,
        };
        let (mut exchange, mut end, mut next) = succeeded();
        let (behind, mut last) = of_transaction("COMMIT", Part::Commit);
        exchange.push(behind);
        assert!(exchange.withdraw(&error));
        let (mut own, mut end_of_it) = ending(|_| {});
        assert!(!own.withdraw(&error) && end_of_it.try_recv().is_err());
        for answer in [&mut next, &mut last] {
            let heard = answer.try_recv().unwrap().unwrap_err();
            assert!(matches!(heard, Error::Timeout { .. }), "{heard}");
        }
        assert_eq!(exchange.expire(Instant::now()), Running::Nothing);
        hears(&mut exchange, &[&done("COMMIT"), &ready(b"I")]);
        assert!(end.try_recv().unwrap().is_ok());
        assert!(!exchange.withdraw(&error), "nothing is in front any more");
        assert_eq!(exchange.expire(Instant::now()), Running::Cancel);
        // The cancel request comes too late, and nothing is kept of 17 MB.
        let text = vec![b'1'; 1 << 19];
        let length = u32::try_from(text.len()).unwrap().to_be_bytes();
        let row = message(b'D', &[&[0, 1][..], &length, &text].concat());
        let [parsed, bound] = [message(b'1', b""), message(b'2', b"")];
        let selected = [
            parsed,
            bound,
            description(),
            row.repeat(34),
            message(b'C', b"SELECT 34\0"),
        ]
        .concat();
        hears(&mut exchange, &[&begun(), &selected, &ready(b"T")]);
        let report = exchange.report();
        assert!(report.pending == 0 && report.in_transaction);
    }
}
