//! The end of a transaction that nobody has heard: what the transaction has shown of itself, and what a server says later.
//!
//! ```text
//! packet   Bind Execute │ probe │ Sync     behind the statement: the position L is behind what the transaction wrote
//! later    who are you, S = end of your last recovery, status of the id ─▶ decide
//! ```
//!
//! The status alone is not enough: after a crash or a failover the same id may have been handed out again, and then belongs to
//! somebody else. S ≥ L says that the transaction's own writes are there, so its id was never free (CP-4).

use std::sync::Arc;

use crate::conn::fate::position;
use crate::conn::request::{Part, Request, Work};
use crate::conn::role::Role;
use crate::conn::statement::Class;
use crate::error::{Error, Outcome, ServerError, Trace};
use crate::wire::Row;

/// The first probe of a connection asks who the server is, too. Functions that every role may call.
pub(super) const FIRST: &str = "select pg_catalog.pg_current_xact_id_if_assigned(), \
    case when not pg_catalog.pg_is_in_recovery() then pg_catalog.pg_current_wal_insert_lsn() end, \
    case when not pg_catalog.pg_is_in_recovery() then \
    pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 1, 8) end, \
    (extract(epoch from pg_catalog.pg_postmaster_start_time()) operator(pg_catalog.*) 1000000)::pg_catalog.int8, \
    system_identifier, pg_catalog.pg_last_wal_replay_lsn(), pg_catalog.pg_backend_pid() \
    from pg_catalog.pg_control_system()";
/// Later probes need not: no connection outlives its server, unless a pooler keeps it, and a server that writes stays on its
/// timeline, outside of recovery. Its two columns come in binary, which costs the server less than to write them as text.
pub(super) const NEXT: &str = "select pg_catalog.pg_current_xact_id_if_assigned(), \
    pg_catalog.pg_current_wal_insert_lsn()";
/// Name of the prepared [`NEXT`].
pub(super) const NAME: &str = "berth_probe";
/// `pg_current_xact_id_if_assigned` came with this version.
const SINCE_VERSION: u32 = 13;

/// Where in its packet a request has its probe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Probing {
    /// It has none.
    #[default]
    None,
    /// In front of a COMMIT, behind statements that could not bring one along.
    Before,
    /// Behind a statement.
    Behind,
}

/// Is [`NEXT`] prepared?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Named {
    /// No.
    #[default]
    No,
    /// Its Parse is on the way.
    Sent,
    /// Yes.
    Yes,
    /// Perhaps, so its name is closed before it is taken again.
    Doubtful,
}

impl Named {
    /// Others of the connection's statements were found lost.
    pub(super) fn doubt(&mut self) {
        if *self == Self::Yes {
            *self = Self::Doubtful;
        }
    }
}

/// What the last probe has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// The transaction had no id: it had written nothing.
    Nothing,
    /// Its id, and where the log was.
    Wrote(Trace),
}

/// The server of a connection, as long as it is a primary.
#[derive(Debug)]
pub(super) struct Server {
    system: Arc<str>,
    /// When it was started, in microseconds since 1970.
    started: i64,
    /// The end of its last recovery. One that survives the crash of a backend recovers without a new start.
    recovered: Option<u64>,
    timeline: u32,
}

/// What the transaction of one connection has shown of itself.
///
/// A pooler may give every transaction another backend, also one of another server: what is known of it ends with the
/// transaction then.
#[allow(clippy::struct_excessive_bools, reason = "independent facts")]
#[derive(Debug, Default)]
pub struct Trail {
    supported: bool,
    /// The backend that the login has named.
    backend: i32,
    /// `host:port` or the socket path.
    host: Option<Box<str>>,
    /// It is another one that answers: a pooler stands in between.
    pub(super) pooled: bool,
    /// Known once it was asked outside of recovery.
    pub(super) server: Option<Server>,
    pub(super) named: Named,
    shown: Option<Shown>,
    /// Something ran behind the last probe.
    stale: bool,
    /// It may have an effect that no id tells of.
    acts_unseen: bool,
    /// The server does not answer probes.
    pub refused: bool,
}

impl Trail {
    /// The backend that the login has named.
    pub fn note_backend(&mut self, pid: i32, host: &str) {
        self.backend = pid;
        self.host = Some(host.into());
    }

    /// What the server has said, with its name.
    pub(super) fn said(&self, mut error: ServerError) -> Error {
        error.host.clone_from(&self.host);
        Error::Server(Box::new(error))
    }

    /// A setting of the session.
    pub fn note_parameter(&mut self, name: &str, value: &str) {
        if name == "server_version" {
            let major = value.split(|c: char| !c.is_ascii_digit()).next();
            let major = major.and_then(|digits| digits.parse::<u32>().ok());
            self.supported = major.is_some_and(|major| major >= SINCE_VERSION);
        }
    }

    /// Where a request has its probe. `is_open`: inside a transaction that has not failed; `is_behind`: others are in flight
    /// in front of it that have none.
    pub(super) fn place(
        &self,
        request: &Request,
        role: Role,
        is_open: bool,
        is_behind: bool,
    ) -> Probing {
        if !request.probes || !self.supported || self.refused || role == Role::Standby {
            return Probing::None;
        }
        match (&request.work, request.part) {
            (Work::Execute { .. }, Part::Commit) if is_open && (self.stale || is_behind) => {
                Probing::Before
            }
            // What is no Plain statement may have to run before the first snapshot of its transaction.
            (Work::Execute { statement, .. }, Part::Inside | Part::Single)
                if statement.class == Class::Plain =>
            {
                Probing::Behind
            }
            _ => Probing::None,
        }
    }

    /// The answer to a probe.
    pub(super) fn show(&mut self, body: &[u8]) -> Result<(), Error> {
        let mut columns = Row::new(body)?;
        let is_first = columns.columns() > 2;
        let mut cells = [None; 7];
        for place in &mut cells {
            *place = columns.next_column()?.flatten();
        }
        let cell = |place: usize| {
            let bytes = cells.get(place).copied().flatten();
            bytes.and_then(|bytes| std::str::from_utf8(bytes).ok())
        };
        let [id, end, ..] = cells;
        let (xid, end) = if is_first {
            let xid = cell(0).and_then(|xid| xid.parse().ok());
            (xid, cell(1).and_then(position))
        } else {
            (id.and_then(number), end.and_then(number))
        };
        if let (Some(timeline), Some(started), Some(system)) = (cell(2), cell(3), cell(4)) {
            self.pooled = cell(6).and_then(|pid| pid.parse().ok()) != Some(self.backend);
            let timeline = u32::from_str_radix(timeline, 16).ok();
            self.server = timeline
                .zip(started.parse().ok())
                .map(|(timeline, started)| Server {
                    system: system.into(),
                    started,
                    recovered: cell(5).and_then(position),
                    timeline,
                });
        }
        self.stale = false;
        self.shown = match (id, &self.server) {
            (None, _) => Some(Shown::Nothing),
            (Some(_), Some(server)) => xid.zip(end).map(|(xid, position)| {
                Shown::Wrote(Trace {
                    xid,
                    position,
                    is_whole: true,
                    timeline: server.timeline,
                    started: server.started,
                    recovered: server.recovered,
                    system: Arc::clone(&server.system),
                    announced: false,
                    status: None,
                })
            }),
            (Some(_), None) => None,
        };
        Ok(())
    }

    /// A request was answered; `probed`: its probe as well.
    pub(super) fn answered(&mut self, request: &Request, probed: bool, is_idle: bool) {
        if is_idle {
            (self.shown, self.stale, self.acts_unseen) = (None, false, false);
            if self.pooled {
                self.server = None;
            }
            return;
        }
        self.stale = !probed;
        let statement = request.work.statement();
        self.acts_unseen |= statement.is_some_and(|statement| statement.acts_unseen);
    }

    /// The probe itself failed, and the transaction with it.
    pub(super) fn refuse(&mut self, code: &str) {
        if code == "26000" {
            // Somebody has deallocated it.
            self.named = Named::No;
        } else {
            self.refused = true;
        }
    }

    /// What is known about a transaction whose COMMIT is lost, or a statement of its own. `probed`: its own probe was
    /// answered; `is_behind`: others in front of it are lost as well.
    pub(super) fn end(&self, request: &Request, probed: bool, is_behind: bool) -> Option<Shown> {
        let is_known = match request.part {
            Part::Commit => probed || !self.stale && !is_behind,
            Part::Single => probed,
            Part::Inside => false,
        };
        let shown = self.shown.as_ref().filter(|_| request.probes)?;
        match shown {
            Shown::Wrote(_) if is_known => Some(shown.clone()),
            // Its id is its own to the end, whatever it has written since.
            Shown::Wrote(trace) if request.part == Part::Commit => Some(Shown::Wrote(Trace {
                is_whole: false,
                ..trace.clone()
            })),
            Shown::Nothing if is_known => {
                let own = request.work.statement();
                let is_own = own.is_some_and(|own| request.part == Part::Single && own.acts_unseen);
                (!self.acts_unseen && !is_own).then_some(Shown::Nothing)
            }
            _ => None,
        }
    }
}

/// A transaction id or a log position in binary.
fn number(bytes: &[u8]) -> Option<u64> {
    bytes.try_into().ok().map(u64::from_be_bytes)
}

/// Would the next probe fail the same way? Otherwise it met what the statement in front of it could have met as well.
pub(super) fn is_refusal(code: &str) -> bool {
    code == "26000"
        || ["42", "0A", "55", "22", "XX"]
            .iter()
            .any(|class| code.starts_with(class))
}

/// A request whose end nobody has heard, and what its transaction has shown.
pub struct Doubt {
    /// It waits for an answer, unless its caller has given up and was told so.
    pub request: Option<Request>,
    /// What its caller hears if nothing can be found out.
    pub error: Error,
    /// What the transaction has shown.
    pub trace: Trace,
}

impl Doubt {
    /// Ends it without an answer.
    pub fn leave_open(self, status: Option<&str>) {
        if let Some(request) = self.request {
            request.fail(&Error::Doubt {
                cause: Box::new(self.error),
                trace: Box::new(Trace {
                    status: status.map(Into::into),
                    ..self.trace
                }),
            });
        }
    }

    /// The transaction is known to have ended this way.
    pub fn settle(self, committed: bool) {
        let Some(request) = self.request else {
            return;
        };
        if committed {
            request.reply.done(&Arc::default());
        } else {
            request.fail(&Error::CommitAborted {
                cause: Box::new(self.error),
            });
        }
    }
}

/// What is left of a connection that is over.
#[derive(Default)]
pub struct Left {
    /// Requests no byte of which was written.
    pub unsent: Vec<Request>,
    /// Requests whose end may be found out.
    pub doubts: Vec<Doubt>,
}

/// The same error, for something that certainly had no effect.
pub(super) fn without_effect(error: Error) -> Error {
    let outcome = Outcome::Failed;
    match error {
        Error::Lost { host, cause, .. } => Error::Lost {
            outcome,
            host,
            cause,
        },
        Error::Timeout { phase, after, .. } => Error::Timeout {
            phase,
            after,
            outcome,
        },
        Error::Cancelled { .. } => Error::Cancelled { outcome },
        other => other,
    }
}
