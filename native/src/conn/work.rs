//! What the server is to do: the kinds of requests, and what follows from each.

use std::sync::Arc;

use crate::conn::statement::{Class, Naming, Statement};

/// Work for the server.
#[derive(Debug)]
pub enum Work {
    /// Extended protocol, all rows at once.
    Execute {
        /// The text.
        statement: Arc<Statement>,
        /// The parameters.
        params: Parameters,
        /// How it is kept.
        naming: Naming,
        /// A BEGIN that travels in the same packet and in front of the statement.
        begin: Option<Arc<Statement>>,
    },
    /// Simple protocol: one or several statements without parameters.
    Simple {
        /// The text.
        statement: Arc<Statement>,
        /// A statement that comes again may be kept prepared instead, where nobody can tell the difference.
        keep: bool,
    },
    /// Simple protocol: a COPY that was asked for as one. Its data goes beside it, as [`CopyStep`]s and [`CopyNews`].
    Copy {
        /// The text.
        statement: Arc<Statement>,
        /// FROM STDIN, else TO STDOUT.
        incoming: bool,
    },
    /// Extended protocol without a Sync: a portal that stays open, with or without a transaction around it, while
    /// everything else on the connection waits.
    CursorOpen {
        /// The text.
        statement: Arc<Statement>,
        /// The parameters.
        params: Parameters,
        /// Rows of the first batch; 0 asks for the columns only.
        batch: i32,
    },
    /// The next batch of that portal.
    CursorFetch {
        /// Rows.
        batch: i32,
    },
    /// Closes that portal; closing one that is closed is no error.
    CursorClose,
    /// Extended protocol inside a transaction: a portal whose rows come in batches.
    Open {
        /// The text.
        statement: Arc<Statement>,
        /// The parameters.
        params: Parameters,
        /// How it is kept.
        naming: Naming,
        /// A BEGIN in front, as in [`Work::Execute`].
        begin: Option<Arc<Statement>>,
        /// The portal's name.
        portal: Box<str>,
        /// Rows of the first batch.
        batch: i32,
    },
    /// The next batch of an open portal.
    Fetch {
        /// The portal's name.
        portal: Box<str>,
        /// Rows.
        batch: i32,
    },
    /// Closes a portal; closing one that does not exist is no error.
    Close {
        /// The portal's name.
        portal: Box<str>,
    },
}

impl Work {
    /// Does it begin a transaction in front?
    #[must_use]
    pub fn begins(&self) -> bool {
        self.begin().is_some()
    }

    /// The BEGIN in front.
    pub(super) const fn begin(&self) -> Option<&Arc<Statement>> {
        match self {
            Self::Execute { begin, .. } | Self::Open { begin, .. } => begin.as_ref(),
            _ => None,
        }
    }

    /// The transaction is begun: what follows needs no BEGIN any more.
    pub fn begun(&mut self) {
        if let Self::Execute { begin, .. } | Self::Open { begin, .. } = self {
            *begin = None;
        }
    }

    /// Has its statement parsed for itself alone, unless the caller has named it.
    pub(super) fn unname(&mut self) {
        if let Self::Execute { naming, .. } | Self::Open { naming, .. } = self
            && *naming == Naming::Cached
        {
            *naming = Naming::Unnamed;
        }
    }

    /// The statement this is about, if it names one.
    #[must_use]
    pub fn statement(&self) -> Option<&Arc<Statement>> {
        match self {
            Self::Execute { statement, .. }
            | Self::Simple { statement, .. }
            | Self::Copy { statement, .. }
            | Self::CursorOpen { statement, .. }
            | Self::Open { statement, .. } => Some(statement),
            Self::Fetch { .. }
            | Self::Close { .. }
            | Self::CursorFetch { .. }
            | Self::CursorClose => None,
        }
    }

    /// Was it asked for as a COPY TO STDOUT?
    #[must_use]
    pub const fn copies_out(&self) -> bool {
        matches!(
            self,
            Self::Copy {
                incoming: false,
                ..
            }
        )
    }

    /// May its text be one of several statements?
    #[must_use]
    pub const fn may_be_several(&self) -> bool {
        matches!(self, Self::Simple { .. } | Self::Copy { .. })
    }

    /// Does it leave the session as it was, outside a transaction?
    #[must_use]
    pub fn is_plain(&self) -> bool {
        match self {
            Self::Execute {
                statement,
                begin: None,
                ..
            } => statement.class == Class::Plain,
            // The simple protocol may carry something else behind the first statement.
            Self::Simple { statement, .. } => {
                statement.class == Class::Plain && !statement.text.contains(';')
            }
            _ => false,
        }
    }

    /// Does it leave the session as it was, and was it quick when it ran last?
    #[must_use]
    pub fn is_quick(&self) -> bool {
        self.is_plain()
            && self
                .statement()
                .is_some_and(|statement| statement.is_quick())
    }

    /// How its statement is kept is known now: whether no transaction is open (`may_cache`).
    pub fn decide(&mut self, may_cache: bool) {
        match self {
            Self::Execute { naming, .. } | Self::Open { naming, .. } => naming.decide(may_cache),
            Self::Simple { keep: true, .. } if may_cache && self.is_plain() => self.keep(),
            _ => {}
        }
    }

    /// A single statement without parameters that has run before is as well asked by the extended protocol, which sends
    /// its values in binary. One that names a parameter is refused in other words there.
    fn keep(&mut self) {
        if let Self::Simple { statement, .. } = self
            && statement.has_run()
            && !statement.text.contains('$')
        {
            *self = Self::Execute {
                statement: Arc::clone(statement),
                params: Parameters::none(),
                naming: Naming::Cached,
                begin: None,
            };
        }
    }

    /// Does it go on with the cursor that is open, in front of everything that waits?
    #[must_use]
    pub const fn continues_cursor(&self) -> bool {
        matches!(self, Self::CursorFetch { .. } | Self::CursorClose)
    }

    /// Is it a step of a cursor that ends with its answer, not with a Sync?
    #[must_use]
    pub const fn is_cursor(&self) -> bool {
        matches!(self, Self::CursorOpen { .. } | Self::CursorFetch { .. })
    }

    /// Must nothing be sent behind it, because the server would take that for COPY data, or because of a cursor?
    #[must_use]
    pub fn stands_alone(&self) -> bool {
        self.is_cursor() || self.statement().is_some_and(|statement| statement.may_copy)
    }
}

/// The parameters of a statement.
#[derive(Clone, Debug)]
pub struct Parameters {
    /// The body of Bind from the formats to the last value (layout in `wire/params.rs`).
    pub section: Box<[u8]>,
    /// Some come as array literal and as JSON, to be chosen by the server's parameter type.
    pub either: bool,
}

impl Parameters {
    /// No parameters.
    #[must_use]
    pub fn none() -> Self {
        Self {
            section: Box::new([0; 4]),
            either: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn simple(text: &str) -> Work {
        Work::Simple {
            statement: Statement::intern(text).unwrap(),
            keep: true,
        }
    }

    #[test]
    fn a_single_statement_that_comes_again_is_kept() {
        let ran = |text: &str, may_cache: bool| {
            let mut work = simple(text);
            work.statement()
                .unwrap()
                .took(std::time::Duration::from_micros(5));
            work.decide(may_cache);
            matches!(work, Work::Execute { .. })
        };
        assert!(ran("select 'kept 1'", true));
        assert!(!ran("select 'kept 2'", false));
        for text in [
            "select 'kept 3'; select 2",
            "select $1",
            "begin",
            "set x = 1",
        ] {
            assert!(!ran(text, true), "{text}");
        }
        let mut first = simple("select 'kept 4'");
        first.decide(true);
        assert!(matches!(first, Work::Simple { .. }));
    }

    #[test]
    fn plain_is_what_leaves_the_session_as_it_was() {
        assert!(simple("select 1").is_plain());
        for text in ["select 1; begin", "begin", "set x = 1", "copy t from stdin"] {
            assert!(!simple(text).is_plain(), "{text}");
        }
    }
}
