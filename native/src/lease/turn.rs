//! One turn of a keeper on its connection: its requests, and what follows from their answers.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::config::{Pooler, ReaperConfig, RenewalFailure};
use crate::conn::Connection;
use crate::conn::keeper::{News, Pass, Stay};
use crate::conn::request::{LocalResult, Parameters, Request, Work};
use crate::conn::statement::{Naming, Statement};
use crate::error::Error;
use crate::lease::clock::whole;
use crate::lease::reaper;
use crate::lease::renew::{Answer, Leasing, Tenant};

/// Sets the name, unless a reaper decides about this backend by the name it has ([`reaper`]), and reads the clock. The
/// second parameter says to set it in any case.
fn naming() -> String {
    let namespace = reaper::VERDICT_NAMESPACE;
    format!(
        "select case when $2::pg_catalog.bool \
         or pg_catalog.pg_try_advisory_xact_lock_shared({namespace}, pg_catalog.pg_backend_pid()) \
         then pg_catalog.set_config('application_name', $1, false) end, \
         (pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()) operator(pg_catalog.*) 1000)::pg_catalog.int8"
    )
}

/// How long the verdict of a reaper is awaited: an honest one takes milliseconds. Whoever holds the lock for longer is no
/// reaper, and must not hold up the connection.
const VERDICT: Duration = Duration::from_millis(250);
/// Time between two looks for it.
const GLANCE: Duration = Duration::from_millis(5);

/// A job under way; dropping it ends it however it ended, and lets the callers go on.
pub(super) struct Turn {
    pub(super) tenant: Arc<Tenant>,
    pub(super) connection: Arc<Connection>,
    pub(super) stay: Stay,
}

impl Drop for Turn {
    fn drop(&mut self) {
        // Before the stay ends: the owner then asks for the next job.
        self.tenant.working.store(false, Ordering::Release);
    }
}

/// A request with the simple protocol.
pub(super) fn simple(
    sql: &str,
    leasing: &Leasing,
    timeout: Duration,
) -> Result<(Request, Answer), Error> {
    let statement = Statement::intern(sql)?;
    Ok(leasing.ask(
        Work::Simple {
            statement,
            keep: false,
        },
        Some(timeout),
    ))
}

/// The deadline of a renewal is the keeper's own: a connection that does not answer is given up, not asked to cancel.
pub(super) fn set_name(
    name: &str,
    in_any_case: bool,
    leasing: &Leasing,
) -> Result<(Request, Answer), Error> {
    let mut section = vec![0, 0, 0, 2];
    for text in [name, if in_any_case { "t" } else { "f" }] {
        let length = u32::try_from(text.len()).map_err(|_| Error::internal("a name of 4 GiB"))?;
        section.extend_from_slice(&length.to_be_bytes());
        section.extend_from_slice(text.as_bytes());
    }
    let work = Work::Execute {
        statement: Statement::intern(&naming())?,
        params: Parameters {
            section: section.into(),
            either: false,
        },
        naming: Naming::Unnamed,
        begin: None,
    };
    Ok(leasing.ask(work, None))
}

/// The answer of the engine's own request; one that can never come is a closed connection.
async fn answered(answer: Answer) -> Result<LocalResult, Error> {
    answer
        .await
        .unwrap_or(Err(Error::Closed { what: "connection" }))
}

fn cell(result: &LocalResult, column: usize) -> Option<&str> {
    result.rows.first()?.get(column)?.as_deref()
}

fn is_gone(error: &Error) -> bool {
    matches!(error, Error::Lost { .. } | Error::Closed { .. })
}

impl Turn {
    fn leasing(&self) -> &Leasing {
        &self.tenant.leasing
    }

    /// Takes the server's time from the second cell of an answer.
    fn learn(&self, result: &LocalResult, asked: Instant) {
        if let Some(now) = cell(result, 1).and_then(|cell| cell.parse().ok()) {
            self.tenant.clock.learn(now, asked);
        }
    }

    /// Looks at the server once.
    pub(super) async fn look(self, answer: Answer) {
        let asked = Instant::now();
        // A failure to look is found again by whatever comes next.
        let Ok(result) = answered(answer).await else {
            return;
        };
        self.learn(&result, asked);
        let pid = self.connection.pid.to_string();
        if self.leasing().config.pooler == Pooler::Auto && cell(&result, 0) != Some(&*pid) {
            self.pooled().await;
        }
    }

    /// Behind a pooler the server's connections are not ours to lease (SC-12).
    async fn pooled(self) {
        self.tenant.leased.store(false, Ordering::Relaxed);
        self.connection.tell(&News::Pooled);
        let plain = set_name(&self.leasing().config.plain_name, true, self.leasing());
        if let Ok((request, answer)) = plain
            && self.stay.then(request).is_ok()
        {
            drop(answered(answer).await);
        }
    }

    /// Takes the new lease for good once the server has confirmed it.
    pub(super) async fn renew(self, name: &str, answer: Answer, expiry: u64, blind: bool) {
        let config = &self.leasing().config;
        let answer = tokio::time::timeout(config.timeout, self.named(name, answer)).await;
        let error = match answer {
            Ok(Ok(())) => {
                let mut state = self.tenant.state();
                state.expiry = expiry;
                state.blind = blind;
                drop(state);
                self.connection.tell(&News::Renewed);
                return;
            }
            // The end of a connection is announced by itself.
            Ok(Err(error)) if is_gone(&error) => return,
            Ok(Err(error)) => error,
            Err(_) => Error::Io {
                code: "ETIMEDOUT",
                problem: "the lease was not renewed in time".into(),
            },
        };
        self.tenant.used.store(true, Ordering::Relaxed);
        let refused = match config.on_failure {
            RenewalFailure::Throw => self.stay.refuse(&error),
            RenewalFailure::Reconnect | RenewalFailure::Swallow => 0,
        };
        self.connection.tell(&News::NotRenewed(error, refused));
        if config.on_failure == RenewalFailure::Reconnect {
            self.connection
                .discard(Error::Closed { what: "connection" });
        }
    }

    /// Completes when the name is set; until then a reaper may end the backend for the name it has.
    async fn named(&self, name: &str, mut answer: Answer) -> Result<(), Error> {
        let began = Instant::now();
        loop {
            let asked = Instant::now();
            let result = answered(answer).await?;
            self.learn(&result, asked);
            if cell(&result, 0).is_some() {
                return Ok(());
            }
            tokio::time::sleep(GLANCE).await;
            let is_stuck = began.elapsed() > VERDICT;
            let (request, next) = set_name(name, is_stuck, self.leasing())?;
            let closed = Error::Closed { what: "connection" };
            self.stay.then(request).map_err(|_| closed)?;
            answer = next;
        }
    }

    /// One pass of the reaper.
    pub(super) async fn reap(self, answer: Answer, reaper: &ReaperConfig) {
        let began = Instant::now();
        let mut pass = Pass::default();
        let outcome = self.pass(answer, reaper, &mut pass, began).await;
        if matches!(outcome, Ok(false)) {
            self.tenant.cooldown.give_back();
            self.pooled().await;
            return;
        }
        if let Err(error) = outcome {
            pass.refused = if reaper.throws && !is_gone(&error) {
                self.stay.refuse(&error)
            } else {
                0
            };
            pass.locked = false;
            pass.killed = 0;
            pass.error = Some(error);
        }
        pass.duration = whole(began.elapsed());
        self.tenant
            .cooldown
            .finish(began, pass.locked && pass.error.is_none());
        self.connection.tell(&News::Reaped(pass));
    }

    /// `false`: nothing was done, because a pooler stands between.
    async fn pass(
        &self,
        answer: Answer,
        reaper: &ReaperConfig,
        pass: &mut Pass,
        began: Instant,
    ) -> Result<bool, Error> {
        let leasing = self.leasing();
        let scan = reaper::read(&answered(answer).await?.rows)?;
        self.tenant.clock.learn(scan.server_now, began);
        if !scan.direct {
            return Ok(false);
        }
        if let Some(sql) = reaper::judge(&scan, &leasing.service(), reaper, pass) {
            let (request, answer) = simple(&sql, leasing, reaper.timeout)?;
            let closed = Error::Closed { what: "connection" };
            self.stay.then(request).map_err(|_| closed)?;
            pass.killed = reaper::ended(&answered(answer).await?.rows);
        }
        Ok(true)
    }
}
