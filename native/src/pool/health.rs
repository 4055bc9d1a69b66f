//! The health of a pool's server, asked beside the callers: on a connection of its own, beyond the pool's maximum, and
//! whatever the event loop is doing.
//!
//! There is one such connection per pool at most, opened for the first probe and closed when no probe has come for a while.

use std::sync::Weak;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::config::Mode;
use crate::conn::Connection;
use crate::error::{Error, Outcome, Phase};
use crate::pool::Pool;
use crate::pool::host::{Fit, fit};
use crate::pool::monitor::Monitors;
use crate::pool::router::Guest;

/// The control connection is closed when it was not used for so long.
const KEEP: Duration = Duration::from_secs(60);
/// How often a probe looks at the clock.
const TICK: Duration = Duration::from_millis(100);
/// A look that comes so late means that the whole process was suspended.
const GAP: Duration = Duration::from_millis(500);

/// What a probe has found.
#[derive(Clone, Debug)]
pub struct Probe {
    /// How long it took to have the control connection; next to nothing when it was open.
    pub waited: Duration,
    /// From sending the question to its answer.
    pub round_trip: Duration,
    /// `server_version`.
    pub version: Option<Box<str>>,
    /// `host:port` of the node.
    pub host: Box<str>,
}

/// A probe that is over.
#[derive(Clone, Debug)]
pub struct Report {
    /// What came of it.
    pub result: Result<Probe, Error>,
    /// When it was over.
    pub finished: Instant,
}

/// The control connection, while it is not being used.
struct Control {
    connection: Box<Connection>,
    used: Instant,
}

/// What the probes of a pool share.
#[derive(Default)]
pub(super) struct Health {
    control: tokio::sync::Mutex<Option<Control>>,
    closer: AtomicBool,
    pub(super) monitors: Monitors,
}

impl Health {
    /// The pool has ended.
    pub(super) async fn end(&self) {
        self.monitors.end();
        if let Some(control) = self.control.lock().await.take() {
            control.connection.dismiss();
        }
    }
}

impl Pool {
    /// Asks the server for a sign of life. A probe during which the process was suspended is repeated once.
    ///
    /// Cancel-safe: dropping the future closes the control connection.
    pub async fn probe(&self, patience: Duration) -> Report {
        let (mut result, suspended) = self.probe_once(patience).await;
        if suspended {
            (result, _) = self.probe_once(patience).await;
        }
        Report {
            result,
            finished: Instant::now(),
        }
    }

    async fn probe_once(&self, patience: Duration) -> (Result<Probe, Error>, bool) {
        let work = self.ask_server(patience);
        let late = tokio::time::sleep(patience);
        tokio::pin!(work, late);
        let mut seen = Instant::now();
        let mut suspended = false;
        let result = loop {
            tokio::select! {
                biased;
                result = &mut work => break result,
                () = &mut late => break Err(Error::Timeout {
                    phase: Phase::Statement,
                    after: patience,
                    outcome: Outcome::NotSent,
                }),
                () = self.until_ended() => break Err(Error::Closed { what: "pool" }),
                () = tokio::time::sleep(TICK) => {
                    suspended |= seen.elapsed() > GAP;
                    seen = Instant::now();
                }
            }
        };
        (result, suspended || seen.elapsed() > GAP)
    }

    async fn ask_server(&self, patience: Duration) -> Result<Probe, Error> {
        let began = Instant::now();
        let mut control = self.health.control.lock().await;
        if let Some(kept) = control.take()
            && let Ok((probe, connection)) = self.ask(kept.connection, began, patience).await
        {
            *control = Some(connection);
            return Ok(probe);
        }
        // There was none, it has died while idle, or its server is no longer what the pool looks for.
        let found = Box::new(self.seeker.find().await?);
        let (probe, connection) = self.ask(found, began, patience).await?;
        *control = Some(connection);
        drop(control);
        self.close_when_idle();
        Ok(probe)
    }

    async fn ask(
        &self,
        connection: Box<Connection>,
        began: Instant,
        patience: Duration,
    ) -> Result<(Probe, Control), Error> {
        let waited = began.elapsed();
        let mut guest = Guest(Some(connection));
        let Some(connection) = &mut guest.0 else {
            return Err(Error::internal("no connection to ask"));
        };
        let sent = Instant::now();
        connection.ask("SELECT 1", &self.profile, patience).await?;
        let round_trip = sent.elapsed();
        let mut role = connection.role();
        if self.seeker.routing.mode != Mode::Any && !connection.reports() {
            role = self.seeker.ask_role(connection).await?;
            connection.shown(role);
        }
        if let Fit::Wrong(why) = fit(&self.seeker.routing, role) {
            return Err(Error::Io {
                code: "ECONNABORTED",
                problem: format!("{} {why}", connection.name).into(),
            });
        }
        let version = connection
            .parameters
            .iter()
            .find(|(name, _)| name == "server_version")
            .map(|(_, version)| version.as_str().into());
        let probe = Probe {
            waited,
            round_trip,
            version,
            host: connection.host.clone(),
        };
        match guest.0.take() {
            Some(connection) => Ok((
                probe,
                Control {
                    connection,
                    used: Instant::now(),
                },
            )),
            None => Err(Error::internal("a connection was lost in the house")),
        }
    }

    fn close_when_idle(&self) {
        if self.health.closer.swap(true, Ordering::AcqRel) {
            return;
        }
        let pool = Weak::clone(&self.own);
        self.runtime.spawn(async move {
            let mut pause = KEEP;
            loop {
                tokio::time::sleep(pause).await;
                let Some(pool) = pool.upgrade() else {
                    return;
                };
                let mut control = pool.health.control.lock().await;
                match control.take() {
                    Some(kept) if kept.used.elapsed() < KEEP => {
                        pause = KEEP.saturating_sub(kept.used.elapsed());
                        *control = Some(kept);
                    }
                    kept => {
                        if let Some(kept) = kept {
                            kept.connection.dismiss();
                        }
                        pool.health.closer.store(false, Ordering::Release);
                        return;
                    }
                }
            }
        });
    }
}
