//! The queue of answers the server still owes, in the order in which they were asked for.
//!
//! Every request ends with one Sync, so an error skips to the next [`Expect::Ready`] and no further:
//!
//! ```text
//! sent       Parse Bind Execute Sync │ Bind Execute Sync
//! queue      1     2    result  Z    │ 2    result  Z
//! error at         ×────────────▶    │               the second request is untouched
//! ```
//!
//! What a message means depends on the front of the queue and on how far its answer has come; [`next`] is that table,
//! and what is not in it is out of state (rule W06).

use std::collections::VecDeque;

use super::backend::Tag;
use crate::error::Error;

/// One answer the server owes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// The answer to Parse.
    ParseComplete,
    /// The answer to Close.
    CloseComplete,
    /// The answer to Describe of a statement: ParameterDescription, then RowDescription or NoData.
    StatementDescription,
    /// The answer to Bind.
    BindComplete,
    /// The answer to Describe of a portal: RowDescription or NoData.
    PortalDescription,
    /// The answer to Execute: rows, or a COPY, and how they ended.
    Result {
        /// Given back with the end of the result; means nothing to the core.
        tag: u8,
    },
    /// The answers to a simple query: one or more results, each with its own description. Always followed by
    /// [`Expect::Ready`], which the caller queues too although a simple query needs no Sync.
    Simple,
    /// ReadyForQuery, the answer to Sync and the end of a simple query.
    Ready,
}

impl Expect {
    const fn name(self) -> &'static str {
        match self {
            Self::ParseComplete => "ParseComplete",
            Self::CloseComplete => "CloseComplete",
            Self::StatementDescription => "the description of a statement",
            Self::BindComplete => "BindComplete",
            Self::PortalDescription => "the description of a portal",
            Self::Result { .. } => "a result",
            Self::Simple => "the results of a simple query",
            Self::Ready => "ReadyForQuery",
        }
    }
}

/// How far the answer at the front has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Nothing of it has arrived.
    Start,
    /// ParameterDescription, or the RowDescription of a simple query, or rows have arrived.
    Described,
    /// A result of a simple query is complete; another one or the end follows.
    Between,
    /// The server takes COPY data from us.
    CopyIn,
    /// Our side of that COPY is over.
    CopyInEnded,
    /// The server sends COPY data.
    CopyOut,
    /// The server's COPY data is complete.
    CopyOutEnded,
}

/// What a message that is in state does to the front of the queue.
enum Next {
    /// The answer goes on.
    Stay(Step),
    /// The answer is complete.
    Done,
}

/// The state table. `None`: the message is out of state. Errors and messages that may come at any time are not here.
const fn next(expect: Expect, step: Step, tag: u8) -> Option<Next> {
    use Expect::{
        BindComplete, CloseComplete, ParseComplete, PortalDescription, Ready, Result, Simple,
        StatementDescription,
    };
    use Next::{Done, Stay};
    use Step::{Between, CopyIn, CopyInEnded, CopyOut, CopyOutEnded, Described, Start};
    Some(match (expect, step, tag) {
        (ParseComplete, Start, b'1')
        | (BindComplete, Start, b'2')
        | (CloseComplete, Start, b'3')
        | (StatementDescription, Described, b'T' | b'n')
        | (PortalDescription, Start, b'T' | b'n')
        | (Result { .. }, Start | Described, b'C' | b's')
        | (Result { .. }, Start, b'I')
        | (Result { .. }, CopyIn | CopyInEnded | CopyOutEnded, b'C')
        | (Simple, Between, b'Z')
        | (Ready, Start, b'Z') => Done,
        (StatementDescription, Start, b't')
        | (Result { .. }, Start | Described, b'D')
        // a rule that adds a SELECT sends a second description without ending the first result
        | (Simple, Start | Between | Described, b'T')
        | (Simple, Described, b'D') => Stay(Described),
        (Simple, Start | Between, b'C' | b'I')
        | (Simple, Described | CopyIn | CopyInEnded | CopyOutEnded, b'C') => Stay(Between),
        (Result { .. }, Start, b'G') | (Simple, Start | Between, b'G') => Stay(CopyIn),
        (Result { .. }, Start, b'H')
        | (Simple, Start | Between, b'H')
        | (Result { .. } | Simple, CopyOut, b'd') => Stay(CopyOut),
        (Result { .. } | Simple, CopyOut, b'c') => Stay(CopyOutEnded),
        _ => return None,
    })
}

/// How our side of a COPY must be ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CopyIn {
    /// There is none, or the server ends it by itself: write nothing.
    None,
    /// By CopyDone or CopyFail, and a Sync behind it.
    Extended,
    /// By CopyDone or CopyFail alone.
    Simple,
}

/// The queue and what was learnt about it.
#[derive(Debug)]
pub(super) struct Pipeline {
    queue: VecDeque<Expect>,
    /// Progress of the answer at the front; `Start` when the queue is empty.
    step: Step,
    /// ReadyForQuery messages in the queue.
    readies: usize,
    /// Something was sent after the last Sync.
    open: bool,
    /// The server skips everything up to a Sync that was not sent yet.
    needs_sync: bool,
}

impl Pipeline {
    pub(super) const fn new() -> Self {
        Self {
            queue: VecDeque::new(),
            step: Step::Start,
            readies: 0,
            open: false,
            needs_sync: false,
        }
    }

    pub(super) fn push(&mut self, expect: Expect) {
        if expect == Expect::Ready {
            self.readies += 1;
            self.open = false;
            self.needs_sync = false;
        } else if self.needs_sync {
            // the server skips this message and will not answer it
            return;
        } else {
            self.open = true;
        }
        self.queue.push_back(expect);
    }

    pub(super) const fn readies(&self) -> usize {
        self.readies
    }

    pub(super) const fn needs_sync(&self) -> bool {
        self.needs_sync
    }

    pub(super) fn is_idle(&self) -> bool {
        self.queue.is_empty() && !self.open
    }

    /// Moves on by one message; returns the answer it belongs to.
    pub(super) fn advance(&mut self, tag: u8) -> Result<Expect, Error> {
        let Some(expect) = self.queue.front().copied() else {
            return Err(self.out_of_state(tag));
        };
        match next(expect, self.step, tag) {
            Some(Next::Stay(step)) => self.step = step,
            Some(Next::Done) => self.pop(),
            None => return Err(self.out_of_state(tag)),
        }
        match (expect, tag) {
            (Expect::Simple, b'Z') => self.advance(tag),
            (_, b'G') => self.enter_copy_in().map(|()| expect),
            _ => Ok(expect),
        }
    }

    #[cold]
    fn out_of_state(&self, tag: u8) -> Error {
        Error::protocol(match self.queue.front() {
            None => format!("{} came while nothing was expected", Tag(tag)),
            Some(expect) => format!(
                "{} came while {} was expected (step {:?})",
                Tag(tag),
                expect.name(),
                self.step
            ),
        })
    }

    fn pop(&mut self) {
        self.step = Step::Start;
        if self.queue.pop_front() == Some(Expect::Ready) {
            self.readies = self.readies.saturating_sub(1);
        }
    }

    /// The server reported an error: the rest of the request gets no answer but ReadyForQuery.
    pub(super) fn fail(&mut self) {
        while self
            .queue
            .front()
            .is_some_and(|front| *front != Expect::Ready)
        {
            self.pop();
        }
        self.needs_sync = self.queue.is_empty() && self.open;
    }

    /// While it takes COPY data the server ignores a Sync, and any other message that is not part of the COPY is an
    /// error, after which it closes the connection (tried with 15).
    ///
    /// Source: `CopyGetData` in `src/backend/commands/copyfromparse.c`.
    fn enter_copy_in(&mut self) -> Result<(), Error> {
        let sync_follows = self.queue.get(1) == Some(&Expect::Ready);
        if sync_follows && self.queue.len() > 2 {
            // At best the next request would be swallowed as an error of this one, and from there on the answers would
            // not match the requests.
            return Err(Error::protocol(
                "CopyInResponse ('G') came with other requests sent behind the COPY, which the server takes for its data",
            ));
        }
        if sync_follows && self.queue.front() != Some(&Expect::Simple) {
            self.queue.truncate(1);
            self.readies = 0;
            self.open = true;
        }
        Ok(())
    }

    /// How a COPY that takes our data is to be ended now.
    pub(super) fn copy_in(&self) -> CopyIn {
        match (self.step, self.queue.front(), self.queue.get(1)) {
            (Step::CopyIn, Some(Expect::Simple), _) => CopyIn::Simple,
            (Step::CopyIn, Some(Expect::Result { .. }), None) => CopyIn::Extended,
            // something other than Sync was sent behind the Execute: the server ends the COPY with an error by itself
            _ => CopyIn::None,
        }
    }

    /// CopyDone or CopyFail was written; for an extended query a Sync too.
    pub(super) fn end_copy_in(&mut self) {
        if self.copy_in() == CopyIn::Extended {
            self.push(Expect::Ready);
        }
        self.step = Step::CopyInEnded;
    }
}
