//! What is asked of a connection, and where the answer goes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

pub use crate::conn::account::Account;
pub use crate::conn::copying::{CopyNews, CopyStep};
pub use crate::conn::event::{Event, Subscriber};
pub use crate::conn::local::{LocalReply, LocalResult};
use crate::conn::statement::{Class, Naming, NumberedProfile, Prepared, Statement};
use crate::conn::wording::shows;
pub use crate::conn::work::{Parameters, Work};
use crate::error::{Error, Outcome};
use crate::frame::{FrameBuilder, Shape};

/// What a statement is to a transaction that the driver manages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Part {
    /// Nothing: it stands for itself, or in a transaction that the caller manages by hand.
    #[default]
    Single,
    /// A statement of it: its loss is certainly no commit.
    Inside,
    /// The COMMIT: never cancelled, and its tag is checked.
    Commit,
}

/// One request of a caller.
#[allow(clippy::struct_excessive_bools, reason = "independent facts")]
pub struct Request {
    /// What to do.
    pub work: Work,
    /// Where the answer goes.
    pub reply: Reply,
    /// How rows become frames.
    pub profile: Arc<NumberedProfile>,
    /// How long the caller wants to wait, counted from `since`.
    pub timeout: Option<Duration>,
    /// When the caller asked.
    pub since: Instant,
    /// May be cancelled: nothing else travels with it.
    pub exclusive: bool,
    /// May be sent ahead of the answers to others that may, however many the connection sends ahead by itself.
    pub pipelined: bool,
    /// What it is to a transaction of the driver.
    pub part: Part,
    /// A COMMIT behind a statement of its transaction that was given up before it was sent: it becomes a ROLLBACK.
    pub(super) lacks: bool,
    /// The most bytes of rows that are taken.
    pub max_result: Option<usize>,
    /// The last request of a session: its connection goes back afterwards.
    pub finish: bool,
    /// The caller wants to hear which connection it got, and when.
    pub told: bool,
    /// The time limit is not the caller's: an answer that is found out later is welcome.
    pub may_outlast: bool,
    /// Its outcome is to be known even if its answer is lost (CP-4, CP-6).
    pub probes: bool,
    /// The caller's own name of the statement was given up by him: it is parsed anew.
    pub renews_name: bool,
    /// The data of a COPY TO STDOUT may be left out, as `pg` does.
    pub leaves_copy: bool,
    /// Removes what earlier statements have left in the session.
    pub resets: bool,
    /// The keeper's: for this connection only, and in no caller's count.
    pub(super) is_upkeep: bool,
    /// Its statement is only prepared, not run.
    pub(super) prepares: bool,
    /// Its parameter types, where its statement is kept under no name.
    pub(super) described: Option<Arc<Prepared>>,
    /// Sent again once after its prepared statement was found stale.
    pub(super) repeated: bool,
    /// Behind a check of what the server is.
    pub(super) is_checked: bool,
    /// Among what its session asks.
    pub place: Place,
}

/// Where a request stands among those of its session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// It has none: nobody relies on the connection it runs on.
    #[default]
    Free,
    /// The first one on its connection: nothing is lost with that.
    First,
    /// Behind others, which may have left something there that it needs.
    Behind,
}

impl Request {
    /// A request without deadline, outside a transaction.
    #[must_use]
    pub fn new(work: Work, reply: Reply, profile: Arc<NumberedProfile>) -> Self {
        Self::asked(work, reply, profile, Instant::now())
    }

    /// The same, of a caller who asked at that time.
    #[must_use]
    pub fn asked(work: Work, reply: Reply, profile: Arc<NumberedProfile>, since: Instant) -> Self {
        Self {
            work,
            reply,
            profile,
            timeout: None,
            since,
            exclusive: false,
            pipelined: false,
            part: Part::Single,
            lacks: false,
            max_result: None,
            finish: false,
            told: false,
            may_outlast: false,
            probes: false,
            renews_name: false,
            leaves_copy: false,
            resets: false,
            is_upkeep: false,
            prepares: false,
            described: None,
            repeated: false,
            is_checked: false,
            place: Place::Free,
        }
    }

    /// May it travel behind and in front of requests of other callers on one connection?
    #[must_use]
    pub fn may_share(&self) -> bool {
        self.timeout.is_none() && !self.exclusive && self.work.is_plain()
    }

    /// The moment at which the caller gives up.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.timeout
            .and_then(|timeout| self.since.checked_add(timeout))
    }

    /// Gives it no more than that from now on. The server's own limit does not end a COMMIT either.
    pub(super) fn limit_to(&mut self, limit: Duration) {
        if self.part != Part::Commit && !self.is_upkeep {
            let until = self.since.elapsed() + limit;
            self.timeout = Some(self.timeout.map_or(until, |timeout| timeout.min(until)));
        }
    }

    /// May it end a transaction with a COMMIT?
    #[must_use]
    pub fn may_commit(&self) -> bool {
        self.part == Part::Commit
            || match &self.work {
                // The simple protocol may carry a COMMIT behind the first statement.
                Work::Copy { statement, .. } => {
                    statement.class == Class::Commit || statement.text.contains(';')
                }
                Work::Simple { statement, .. } => {
                    statement.class != Class::Plain || statement.text.contains(';')
                }
                Work::Execute { statement, .. }
                | Work::CursorOpen { statement, .. }
                | Work::Open { statement, .. } => statement.class == Class::Commit,
                Work::Fetch { .. }
                | Work::Close { .. }
                | Work::CursorFetch { .. }
                | Work::CursorClose => false,
            }
    }

    /// What its loss without an answer means. `in_transaction`: the server was inside a transaction before it;
    /// `is_followed`: behind it something was sent that may commit.
    #[must_use]
    pub fn outcome_when_lost(&self, in_transaction: bool, is_followed: bool) -> Outcome {
        let is_inside = self.part == Part::Inside || in_transaction;
        if is_inside && !is_followed && !self.may_commit() {
            Outcome::Failed
        } else {
            Outcome::Unknown
        }
    }

    /// Is it a COPY FROM STDIN and nothing else? What was asked for as one may be another statement, which takes effect
    /// without any data of ours.
    #[must_use]
    pub fn is_incoming_copy(&self) -> bool {
        matches!(&self.work, Work::Copy { statement, incoming: true } if copies_stdin(&statement.text))
    }

    /// A statement of its transaction, in front of it, will not be sent.
    pub(super) fn miss(&mut self) {
        self.lacks |= self.part == Part::Commit;
    }

    /// Turns a COMMIT that must not be sent into a ROLLBACK.
    pub(super) fn roll_back(&mut self) {
        if let Ok(rollback) = Statement::intern("ROLLBACK") {
            self.work = Work::Execute {
                statement: rollback,
                params: Parameters::none(),
                naming: Naming::Unnamed,
                begin: None,
            };
            self.part = Part::Inside;
        }
    }

    /// Does it stand for itself, so that it has no effect where it is refused, and none at all if it reads?
    #[must_use]
    pub fn is_alone(&self) -> bool {
        let is_plain =
            |statement: &Statement| statement.class == Class::Plain || shows(&statement.text);
        self.part == Part::Single
            && matches!(&self.work, Work::Execute { statement, begin: None, .. } if is_plain(statement))
            && !self.is_upkeep
    }

    /// Ends the request with an error.
    pub fn fail(self, error: &Error) {
        self.reply.fail(error);
    }
}

/// Is a text certainly a COPY FROM STDIN? Of one with comments or quoted texts in front of these words nobody knows.
fn copies_stdin(text: &str) -> bool {
    // Names may be anything.
    let unquoted: Vec<_> = text.split('"').step_by(2).collect();
    let text = unquoted.join("\"").to_ascii_lowercase();
    let alone = text.trim_end_matches([';', ' ', '\n', '\t', '\r']);
    let Some((head, _)) = alone.trim_start().split_once("stdin") else {
        return false;
    };
    let from = head.trim_end();
    let before = from.strip_suffix("from").unwrap_or_default();
    !alone.contains(';')
        && !["'", "--", "/*"].iter().any(|mark| head.contains(mark))
        && from.len() < head.len()
        && before.starts_with("copy")
        && before.ends_with(|c: char| c.is_whitespace() || c == ')' || c == '"')
}

/// The first word of a command tag and its number of rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// The tag as the server sent it, for example `INSERT 0 1`; empty for an empty statement.
    pub tag: Box<str>,
}

impl Command {
    /// The first word: `SELECT`, `INSERT`, `CREATE` …
    #[must_use]
    pub fn word(&self) -> &str {
        self.tag.split(' ').next().unwrap_or_default()
    }

    /// Rows returned or affected; `None` when the tag has no number.
    #[must_use]
    pub fn rows(&self) -> Option<u64> {
        self.tag.rsplit(' ').next()?.parse().ok()
    }
}

/// One piece of an answer.
pub struct Completion<'a> {
    /// The request's number in its environment.
    pub id: u32,
    /// Rows, if any: the frame is taken out of the builder, together with the body of the last row.
    pub rows: Option<(&'a Arc<Shape>, &'a mut FrameBuilder, &'a [u8])>,
    /// Columns of a result that is complete, even without rows.
    pub shape: Option<&'a Arc<Shape>>,
    /// A result is complete.
    pub command: Option<&'a Command>,
    /// A portal has more rows.
    pub suspended: bool,
    /// News of a COPY; nothing else comes with it.
    pub copy: Option<CopyNews<'a>>,
    /// The request is over.
    pub last: bool,
    /// It may travel among others from now on: it leaves the session as it was, and was quick (together with `last`).
    pub quick: bool,
    /// The request failed (implies `last`).
    pub error: Option<&'a Error>,
    /// Where undelivered bytes are counted.
    pub account: &'a Arc<Account>,
}

/// Receives what belongs to one JS environment, from any thread; always short, never with a lock of the pool held.
pub trait Outlet: Send + Sync {
    /// Takes one piece of an answer; [`Outlet::announce`] follows.
    fn deliver(&self, completion: Completion<'_>);
    /// Has what was delivered looked at. A connection calls it once per turn, after its owner knows that the
    /// connection is free again: otherwise the next request could come before, and find the pool busy.
    fn announce(&self) {}
    /// A request that is told has its connection, after so long, on this host and address.
    fn placed(&self, _id: u32, _waited: Duration, _host: &str, _address: &str) {}
    /// Takes an event of a session, named by slot and generation of its handle; what a server can send without being asked
    /// is counted in `account` until it is taken.
    fn event(&self, slot: u32, generation: u32, event: &Event<'_>, account: Option<&Arc<Account>>);
    /// The environment is gone: nobody reads any more.
    fn is_closed(&self) -> bool;
    /// Completes when the environment's thread is free to run something; never while it is blocked.
    fn ping(&self) -> oneshot::Receiver<()>;
}

/// Where the answer goes.
pub enum Reply {
    /// To JS, through the environment's mailbox.
    Outlet {
        /// The environment.
        outlet: Arc<dyn Outlet>,
        /// The request's number there.
        id: u32,
    },
    /// To the engine itself.
    Local(LocalReply),
}

impl Reply {
    /// A reply to the engine, and the future that waits for it.
    #[must_use]
    pub fn local() -> (Self, oneshot::Receiver<Result<LocalResult, Error>>) {
        let (sender, receiver) = oneshot::channel();
        (
            Self::Local(LocalReply {
                result: LocalResult::default(),
                sender,
            }),
            receiver,
        )
    }

    /// Ends the request with an error.
    pub fn fail(self, error: &Error) {
        if let Some(outlet) = self.fail_quietly(error) {
            outlet.announce();
        }
    }

    /// The same; whom it concerns is told by the caller, who gets him back.
    pub(super) fn fail_quietly(self, error: &Error) -> Option<Arc<dyn Outlet>> {
        match self {
            Self::Outlet { outlet, id } => {
                outlet.deliver(Completion {
                    id,
                    rows: None,
                    shape: None,
                    command: None,
                    suspended: false,
                    copy: None,
                    last: true,
                    quick: false,
                    error: Some(error),
                    account: &Arc::default(),
                });
                Some(outlet)
            }
            Self::Local(local) => {
                // The waiting side has given up: it sees its own cancellation instead.
                drop(local.sender.send(Err(error.clone())));
                None
            }
        }
    }

    /// Ends the request without a result.
    pub(super) fn done(self, account: &Arc<Account>) {
        match self {
            Self::Outlet { outlet, id } => {
                outlet.deliver(Completion {
                    id,
                    rows: None,
                    shape: None,
                    command: None,
                    suspended: false,
                    copy: None,
                    last: true,
                    quick: false,
                    error: None,
                    account,
                });
                outlet.announce();
            }
            // The waiting side may have given up meanwhile.
            Self::Local(local) => drop(local.sender.send(Ok(local.result))),
        }
    }

    /// The request has its connection.
    pub(super) fn placed(&self, waited: Duration, host: &str, address: &str) {
        if let Self::Outlet { outlet, id } = self {
            outlet.placed(*id, waited, host, address);
        }
    }

    /// Does this answer go to that request of that environment?
    pub fn is(&self, environment: &Arc<dyn Outlet>, number: u32) -> bool {
        matches!(self, Self::Outlet { outlet, id } if *id == number && Arc::ptr_eq(outlet, environment))
    }

    /// Does this answer go to that environment?
    pub fn is_of(&self, environment: &Arc<dyn Outlet>) -> bool {
        matches!(self, Self::Outlet { outlet, .. } if Arc::ptr_eq(outlet, environment))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_reads_our_data_is_a_copy_of_it() {
        for text in [
            "copy t from stdin",
            " COPY s.t (a, b)\nFROM  STDIN with (delimiter ',') ",
            "copy \"T\"(a)from stdin;\n",
            "copy \"it's; a -- table\" (\"/* column\") from stdin (format binary)",
        ] {
            assert!(copies_stdin(text), "{text}");
        }
        for text in [
            "insert into t values (1)",
            "commit",
            "copy t from '/tmp/from stdin'",
            "copy t from program 'cat' -- from stdin",
            "copy t /* from stdin */ from '/tmp/t'",
            "copy stdin from '/tmp/t'",
            "copy \"a from stdin\" from '/tmp/t'",
            "copy t from stdin; insert into t values (1)",
            "with x as (select 1) insert into t select * from stdin",
        ] {
            assert!(!copies_stdin(text), "{text}");
        }
    }

    #[test]
    fn a_tag_gives_its_first_word_and_its_last_number() {
        for (tag, word, rows) in [
            ("SELECT 5", "SELECT", Some(5)),
            ("INSERT 0 3", "INSERT", Some(3)),
            ("CREATE TABLE", "CREATE", None),
            ("COMMIT", "COMMIT", None),
            ("", "", None),
        ] {
            let command = Command { tag: tag.into() };
            assert_eq!((command.word(), command.rows()), (word, rows), "{tag}");
        }
    }
}
