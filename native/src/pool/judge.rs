//! Judges a new connection: what does it lead to, and may the pool use that?

use std::sync::atomic::Ordering;

use crate::config::{FenceCheck, Mode};
use crate::conn::Connection;
use crate::conn::lag;
use crate::conn::role::Role;
use crate::error::Error;
use crate::pool::host::{Fit, Identity, LEFT_BEHIND, Standing, fit};
use crate::pool::router::{Guest, PATIENCE, Seeker};
use crate::sqlstate;

/// The timeline a primary writes. Functions that every role may call.
const IDENTITY: &str = "select system_identifier, \
    pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 1, 8) \
    from pg_catalog.pg_control_system()";
/// For servers that do not report their role.
const IN_RECOVERY: &str = "select pg_catalog.pg_is_in_recovery()";
const READ_ONLY: &str = "show transaction_read_only";

/// A connection's role, and whether it suits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Verdict {
    pub(super) role: Role,
    pub(super) fit: Fit,
}

impl Seeker {
    /// Says what a connection leads to. Costs nothing where the server reports its role and its timeline is known.
    pub(super) async fn judge(&self, guest: &mut Guest, key: &str) -> Result<Verdict, Error> {
        let Some(connection) = &mut guest.0 else {
            return Err(Error::internal("no connection to judge"));
        };
        let limit = self.routing.max_lag;
        if let Some(limit) = limit.filter(|_| connection.role() != Role::Primary) {
            let answer = connection
                .ask(lag::QUESTION, &self.profile, PATIENCE)
                .await?;
            let lag = lag::read(first_cell(&answer.rows, 0));
            self.table.lags(key, lag);
            if lag > limit {
                return Ok(Verdict {
                    role: connection.role(),
                    fit: Fit::Wrong("replays further behind than maxLagMs"),
                });
            }
        }
        let mut role = connection.role();
        let takes_any = self.routing.mode == Mode::Any;
        if takes_any && !self.view.is_left_behind(key) {
            return Ok(Verdict {
                role,
                fit: Fit::Right,
            });
        }
        // A server that does not report its role and is the only one is taken for what is wanted where each read is checked
        // by a query in its packet, and each write by itself.
        let is_checked = self.routing.mode == Mode::ReadWrite
            && matches!(
                self.routing.fence_check,
                FenceCheck::Auto | FenceCheck::Query
            );
        if role == Role::Unknown && self.routes.len() == 1 && is_checked {
            return Ok(Verdict {
                role,
                fit: Fit::Right,
            });
        }
        if role == Role::Unknown && !takes_any {
            role = self.ask_role(connection).await?;
            connection.shown(role);
        }
        if self.has_several()
            && role == Role::Primary
            && !matches!(fit(&self.routing, role), Fit::Wrong(_))
            && self.view.needs_identity(key)
        {
            if let Some(identity) = self.ask_identity(connection).await?
                && self.view.admit(key, identity) == Standing::Later
            {
                self.view.supersede(key);
            }
            // The answer has told whether it still is what it was at login.
            role = connection.role();
        }
        let suits = self.suits(key, role);
        Ok(Verdict { role, fit: suits })
    }

    /// Is there more than one server? A single one cannot be left behind by another.
    fn has_several(&self) -> bool {
        self.routes.len() > 1 || self.several.load(Ordering::Relaxed)
    }

    /// How well a node suits by all that is known. One that the cluster has left is taken by whoever takes any when no other
    /// answers; while it is fenced it still reads where that is enough.
    pub(super) fn suits(&self, key: &str, role: Role) -> Fit {
        let suits = fit(&self.routing, role);
        if role == Role::Standby || !self.view.is_left_behind(key) {
            return suits;
        }
        match (self.routing.mode, role) {
            _ if matches!(suits, Fit::Wrong(_)) => suits,
            (Mode::Any, _) => Fit::Second,
            (Mode::Primary, _) | (_, Role::Primary) => Fit::Wrong(LEFT_BEHIND),
            _ => suits,
        }
    }

    pub(super) async fn ask_role(&self, connection: &mut Connection) -> Result<Role, Error> {
        let standby = connection.ask(IN_RECOVERY, &self.profile, PATIENCE).await?;
        if first_cell(&standby.rows, 0) == Some("t") {
            return Ok(Role::Standby);
        }
        let read_only = connection.ask(READ_ONLY, &self.profile, PATIENCE).await?;
        Ok(match first_cell(&read_only.rows, 0) {
            Some("off") => Role::Primary,
            _ => Role::Fenced,
        })
    }

    /// `None`: the server has no timelines (it is none of PostgreSQL's own), or this role may not ask for them. Whatever else
    /// it refuses for says nothing of the timeline: then it is asked again.
    async fn ask_identity(&self, connection: &mut Connection) -> Result<Option<Identity>, Error> {
        let answer = match connection.ask(IDENTITY, &self.profile, PATIENCE).await {
            Ok(answer) => answer,
            Err(Error::Server(refusal)) if sqlstate::is_unavailable(&refusal.code) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let system = first_cell(&answer.rows, 0);
        let timeline =
            first_cell(&answer.rows, 1).and_then(|hex| u32::from_str_radix(hex, 16).ok());
        Ok(system.zip(timeline).map(|(system, timeline)| Identity {
            system: system.into(),
            timeline,
        }))
    }
}

/// The first row's cell.
fn first_cell(rows: &[Vec<Option<Box<str>>>], column: usize) -> Option<&str> {
    rows.first()?.get(column)?.as_deref()
}

#[cfg(test)]
mod tests;
