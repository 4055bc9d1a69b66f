//! Finds out what became of transactions whose COMMIT was never answered, by asking the primary of now (CP-4).

use std::future::Future;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::conn::doubt::Doubt;
use crate::conn::fate::{CONFIRMATION, Fate, Testimony, question};
use crate::conn::request::{Event, LocalResult, Outlet, Parameters, Reply, Request, Work};
use crate::conn::statement::{Naming, NumberedProfile, Statement};
use crate::conn::{Connection, Origin};
use crate::error::{Error, Outcome, Trace};
use crate::pool::{Pool, answered};

/// Between two questions about a transaction that has not ended yet, or while nobody answers.
const PAUSE: Duration = Duration::from_millis(25);
/// The longest wait for one answer: a server that is silent may have been replaced meanwhile.
const PATIENCE: Duration = Duration::from_secs(1);

/// What was found out, and the word for it.
pub type Finding = (Fate, &'static str);

/// Someone who can be asked.
pub trait Witness: Send + Sync {
    /// Runs a statement and gives its rows as text, within the time.
    fn ask(
        &self,
        text: &str,
        within: Duration,
    ) -> impl Future<Output = Result<LocalResult, Error>> + Send;
}

/// A statement of the engine's own, to be given up after a time.
fn inquiry(
    text: &str,
    within: Duration,
    profile: &Arc<NumberedProfile>,
) -> Result<
    (
        Request,
        tokio::sync::oneshot::Receiver<Result<LocalResult, Error>>,
    ),
    Error,
> {
    let (reply, answer) = Reply::local();
    let work = Work::Execute {
        statement: Statement::intern(text)?,
        params: Parameters::none(),
        naming: Naming::Unnamed,
        begin: None,
    };
    let mut request = Request::new(work, reply, Arc::clone(profile));
    request.timeout = Some(within);
    Ok((request, answer))
}

impl Witness for Pool {
    async fn ask(&self, text: &str, within: Duration) -> Result<LocalResult, Error> {
        let (request, answer) = inquiry(text, within, &self.profile)?;
        self.submit(request, Origin::Engine);
        answered(answer).await
    }
}

/// A connection outside a pool, opened for this.
pub struct Only<'a> {
    /// The connection.
    pub connection: &'a Arc<Connection>,
    /// The profile of the engine's own statements.
    pub profile: &'a Arc<NumberedProfile>,
}

impl Witness for Only<'_> {
    async fn ask(&self, text: &str, within: Duration) -> Result<LocalResult, Error> {
        let (request, answer) = inquiry(text, within, self.profile)?;
        match self.connection.submit(request, Origin::Engine) {
            Ok(()) => answered(answer).await,
            Err(_) => Err(Error::Closed { what: "client" }),
        }
    }
}

/// One answer of a witness.
async fn ask(
    witness: &impl Witness,
    trace: &Trace,
    within: Duration,
) -> Result<Option<Testimony>, Error> {
    let read = |result: LocalResult| result.rows.first().and_then(|row| Testimony::read(row));
    match witness.ask(&question(trace, true), within).await {
        // The id lies in the server's future: it says nothing else then, so it is asked who it is.
        Err(Error::Server(refusal)) if &*refusal.code == "22023" => {
            let known = read(witness.ask(&question(trace, false), within).await?);
            Ok(known.map(Testimony::before_it))
        }
        answer => Ok(read(answer?)),
    }
}

/// What one answer comes to. Committed is only what would have been acknowledged.
async fn judge(
    witness: &impl Witness,
    trace: &Trace,
    within: Duration,
) -> Result<Option<Fate>, Error> {
    let Some(testimony) = ask(witness, trace, within).await? else {
        return Ok(None);
    };
    let fate = testimony.fate(trace);
    if fate == Fate::Committed && testimony.has_recovered(trace) {
        witness.ask(CONFIRMATION, within).await?;
    }
    Ok(Some(fate))
}

/// Asks until there is an answer, or the time is over.
///
/// Cancel-safe: dropping the future leaves nothing but a statement that only reads.
pub async fn find_out(witness: &impl Witness, trace: &Trace, until: Instant) -> Finding {
    let mut last = "nobody could be asked in time";
    loop {
        let within = until
            .saturating_duration_since(Instant::now())
            .min(PATIENCE);
        if within.is_zero() {
            return (Fate::Unknown, last);
        }
        match judge(witness, trace, within).await {
            Ok(Some(fate)) => match fate {
                Fate::Committed => return (Fate::Committed, "committed"),
                Fate::Aborted => return (Fate::Aborted, "aborted"),
                Fate::Unknown => return (Fate::Unknown, "the server cannot know"),
                Fate::Open => last = "in progress",
            },
            Err(Error::Closed { .. }) => return (Fate::Unknown, "closed before it was known"),
            Err(Error::Server(error))
                if !crate::sqlstate::is_transient(&error.code, &error.severity) =>
            {
                return (Fate::Unknown, "the server refuses to say");
            }
            Err(Error::NotReplicated) => last = "committed, and no standby has confirmed it",
            Ok(None) | Err(_) => {}
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// The doubts that are being looked into. No number is given twice, or one would hear what became of another.
#[derive(Default)]
pub(super) struct Doubts {
    open: Vec<(u64, Doubt)>,
    numbered: u64,
}

impl Doubts {
    /// One more; gives its number.
    fn enter(&mut self, doubt: Doubt) -> u64 {
        self.numbered += 1;
        self.open.push((self.numbered, doubt));
        self.numbered
    }

    /// That one is resolved.
    fn leave(&mut self, number: u64) -> Option<Doubt> {
        let at = self.open.iter().position(|(known, _)| *known == number)?;
        Some(self.open.swap_remove(at).1)
    }
}

impl Pool {
    fn open_doubts(&self) -> MutexGuard<'_, Doubts> {
        self.doubts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks into a doubt: its request is answered when it is resolved, or when the time for that is over.
    pub(super) fn resolve(&self, doubt: Doubt) {
        let Some(pool) = self.own.upgrade() else {
            return doubt.leave_open(Some("closed before it was known"));
        };
        let trace = doubt.trace.clone();
        let now = Instant::now();
        let until = now + self.settings.resolve_timeout;
        let waiting = doubt
            .request
            .as_ref()
            .filter(|request| !request.may_outlast);
        let deadline = waiting.and_then(Request::deadline);
        let until = deadline.map_or(until, |deadline| deadline.min(until));
        let number = self.open_doubts().enter(doubt);
        self.runtime.spawn(async move {
            let (fate, status) = find_out(&*pool, &trace, until).await;
            pool.resolved(number, fate, status, now.elapsed());
        });
    }

    fn resolved(&self, number: u64, fate: Fate, status: &'static str, took: Duration) {
        let found = self.open_doubts().leave(number);
        let Some(doubt) = found else {
            return;
        };
        self.seeker.tell(&Event::Resolved {
            xid: doubt.trace.xid,
            status,
            took,
        });
        match fate {
            Fate::Committed => doubt.settle(true),
            Fate::Aborted => doubt.settle(false),
            Fate::Open | Fate::Unknown => doubt.leave_open(Some(status)),
        }
    }

    /// The caller of a request in doubt gives it up; its outcome is still looked for.
    pub(super) fn leave_doubt(&self, environment: &Arc<dyn Outlet>, id: u32) -> bool {
        let mut doubts = self.open_doubts();
        let waits = |doubt: &Doubt| {
            let request = doubt.request.as_ref();
            request.is_some_and(|request| request.reply.is(environment, id))
        };
        let Some((_, doubt)) = doubts.open.iter_mut().find(|(_, doubt)| waits(doubt)) else {
            return false;
        };
        let request = doubt.request.take();
        let told = Doubt {
            request,
            error: Error::Cancelled {
                outcome: Outcome::Unknown,
            },
            trace: doubt.trace.clone(),
        };
        drop(doubts);
        told.leave_open(None);
        true
    }
}
