//! The reaper: ends connections whose signed lease has expired, and nobody else's.
//!
//! A pass is one message: search path and time limit for its own transaction, then a statement that takes the fleet's
//! lock and reads `pg_stat_activity` by the server's clock (rules SC-6, SC-7, SC-9, SC-24). Only when there is something
//! to end a second message follows; it takes the lock anew and checks everything again in the statement that ends the
//! backends (SC-11). Between that look and the signal a backend could still be renewed and used, so a verdict is found and
//! carried out under a lock of the victim's, and a renewal is complete only when nobody holds it: however slow the machine
//! is, no statement meets a signal that was meant for the lease before. Both are implicit transactions of a simple query, so whatever fails leaves no transaction open.
//!
//! A row counts only with a right signature over exactly its own service (SC-10), an expiry before the server's time,
//! and a state that lasts for long enough. Source of lock, order and limits: pg-aequor 0.1.4.

use std::fmt::Write as _;
use std::time::Duration;

use crate::config::ReaperConfig;
use crate::conn::keeper::Pass;
use crate::error::Error;
use crate::lease::clock::whole;
use crate::lease::{LeaseSecret, parse_and_verify};

/// First key of the advisory lock: "PGAQ".
const LOCK_NAMESPACE: u32 = 0x5047_4151;

/// First key of the lock under which the verdict about one backend is found and carried out; the second one is its pid.
/// "PGBV".
pub(super) const VERDICT_NAMESPACE: u32 = 0x5047_4256;

/// Whose connections a pass looks for.
#[derive(Clone, Copy, Debug)]
pub struct Service<'a> {
    /// The service as it stands in leases.
    pub token: &'a str,
    /// The key of their signatures.
    pub secret: &'a LeaseSecret,
}

/// A backend of the service.
#[derive(Debug, PartialEq, Eq)]
struct Backend {
    pid: i32,
    /// When it was started and when its state changed, in microseconds.
    started: i64,
    changed: i64,
    name: Box<str>,
    /// Hidden from roles without the right to see it.
    state: Option<Box<str>>,
    idle_ms: i64,
    /// May this role end it?
    allowed: bool,
}

/// What the first message of a pass found.
#[derive(Debug, Default)]
pub struct Scan {
    /// The backend is the one that this connection was opened with: no pooler stands between.
    pub direct: bool,
    /// The fleet's lock was free. If not, the backends are those that hold it.
    pub locked: bool,
    /// The server's clock in milliseconds since 1970.
    pub server_now: u64,
    backends: Vec<Backend>,
}

/// The head of each message of a pass.
fn head(sql: &mut String, timeout: Duration) {
    let ms = whole(timeout).max(1);
    let _ = write!(
        sql,
        "SET LOCAL search_path = pg_catalog; SET LOCAL statement_timeout = {ms}; "
    );
}

/// May the role of this session end the backend of `a`?
const ALLOWED: &str = "coalesce((SELECT me.rolsuper FROM pg_catalog.pg_roles me WHERE me.rolname = current_user) \
    OR (NOT (SELECT t.rolsuper FROM pg_catalog.pg_roles t WHERE t.oid = a.usesysid) \
    AND (pg_has_role(a.usesysid, 'USAGE') OR coalesce(pg_has_role((SELECT s.oid FROM pg_catalog.pg_roles s \
    WHERE s.rolname = 'pg_signal_backend'), 'USAGE'), false))), false)";

/// Moments as whole microseconds, so that they are compared exactly.
const STARTED: &str = "(date_part('epoch', a.backend_start) * 1000000)::int8";
const CHANGED: &str = "(date_part('epoch', a.state_change) * 1000000)::int8";

/// The first message of a pass. `direct`: the backend that this connection was opened with; behind a pooler it is
/// another one, and then nothing is locked or read.
#[must_use]
pub fn scan(service: &Service<'_>, direct: Option<i32>, timeout: Duration) -> String {
    let direct = direct.map_or_else(
        || "clock_timestamp() IS NOT NULL".to_owned(),
        |pid| format!("pg_backend_pid() = {pid}"),
    );
    let (token, namespace) = (service.token, LOCK_NAMESPACE);
    let prefix = token.len() + 3;
    let mut sql = String::with_capacity(2048);
    head(&mut sql, timeout);
    // A CTE with a volatile function is computed once and as a whole, on every version.
    let _ = write!(
        sql,
        "WITH turn AS (SELECT {direct} AS direct, CASE WHEN {direct} \
         THEN pg_try_advisory_xact_lock({namespace}, hashtext('{token}')) ELSE false END AS locked) \
         SELECT turn.direct, turn.locked, (date_part('epoch', clock_timestamp()) * 1000)::int8, \
         a.pid, {STARTED}, {CHANGED}, a.application_name, a.state, \
         (date_part('epoch', clock_timestamp() - a.state_change) * 1000)::int8, {ALLOWED} \
         FROM turn LEFT JOIN pg_catalog.pg_stat_activity a ON turn.direct \
         AND a.datname = current_database() AND a.pid <> pg_backend_pid() \
         AND left(a.application_name, {prefix}) = 's={token};' \
         AND (turn.locked OR a.pid IN (SELECT l.pid FROM pg_catalog.pg_locks l WHERE l.locktype = 'advisory' \
         AND l.classid = {namespace}::oid AND l.objid = hashtext('{token}')::oid AND l.objsubid = 2 AND l.granted \
         AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = current_database())))"
    );
    sql
}

/// Reads the answer to the first message.
///
/// # Errors
/// [`Error::Protocol`] for anything but what the statement selects.
pub fn read(rows: &[Vec<Option<Box<str>>>]) -> Result<Scan, Error> {
    let broken = || Error::protocol("an unexpected answer to a pass of the reaper");
    let mut scan = Scan::default();
    for row in rows {
        let [
            direct,
            locked,
            now,
            pid,
            started,
            changed,
            name,
            state,
            idle,
            allowed,
        ] = row.as_slice()
        else {
            return Err(broken());
        };
        scan.direct = is_true(direct.as_deref());
        scan.locked = is_true(locked.as_deref());
        scan.server_now = number(now.as_deref()).ok_or_else(broken)?;
        if let (Some(pid), Some(name)) = (number(pid.as_deref()), name) {
            scan.backends.push(Backend {
                pid,
                started: number(started.as_deref()).unwrap_or_default(),
                changed: number(changed.as_deref()).unwrap_or_default(),
                name: name.clone(),
                state: state.clone(),
                idle_ms: number(idle.as_deref()).unwrap_or_default(),
                allowed: is_true(allowed.as_deref()),
            });
        }
    }
    if rows.is_empty() {
        return Err(broken());
    }
    Ok(scan)
}

fn is_true(cell: Option<&str>) -> bool {
    cell == Some("t")
}

fn number<T: std::str::FromStr>(cell: Option<&str>) -> Option<T> {
    cell?.parse().ok()
}

/// Decides about what was found: fills in the counts of the pass and gives the second message, if one is needed.
#[must_use]
pub fn judge(
    scan: &Scan,
    service: &Service<'_>,
    config: &ReaperConfig,
    pass: &mut Pass,
) -> Option<String> {
    pass.locked = scan.locked;
    let now = scan.server_now.saturating_sub(whole(config.grace));
    let mut victims: Vec<(u64, &Backend)> = Vec::new();
    for backend in &scan.backends {
        if backend.state.is_none() {
            pass.hidden += 1;
        }
        let Some(expiry) = expired(backend, service, config, now, scan.locked) else {
            continue;
        };
        pass.candidates += 1;
        if backend.allowed {
            victims.push((expiry, backend));
        } else {
            pass.denied += 1;
        }
    }
    victims.sort_by_key(|(expiry, backend)| (*expiry, -backend.idle_ms, backend.pid));
    victims.truncate(config.max_kills);
    if victims.is_empty() {
        return None;
    }
    let mut sql = String::with_capacity(1024 + victims.len() * 128);
    head(&mut sql, config.timeout);
    // A holder of the lock is ended without it: nobody could ever take it otherwise (SC-7).
    let turn = if scan.locked {
        format!(
            "pg_try_advisory_xact_lock({LOCK_NAMESPACE}, hashtext('{}'))",
            service.token
        )
    } else {
        "clock_timestamp() IS NOT NULL".to_owned()
    };
    let _ = write!(
        sql,
        "WITH turn AS (SELECT {turn} AS mine), picked (pid, started, changed, name, state) AS (VALUES "
    );
    for (index, (_, backend)) in victims.iter().enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        let Backend {
            pid,
            started,
            changed,
            name,
            ..
        } = backend;
        let state = backend.state.as_deref().unwrap_or_default();
        let _ = write!(
            sql,
            "{comma}({pid}::int4, {started}::int8, {changed}::int8, '{name}'::text, '{state}'::text)"
        );
    }
    // What is read of a backend is read behind the locks: the function's argument depends on all of them.
    let _ = write!(
        sql,
        "), held AS (SELECT p.*, pg_try_advisory_xact_lock({VERDICT_NAMESPACE}, p.pid) AS ours \
         FROM turn, picked p WHERE turn.mine), \
         ready AS (SELECT count(*) AS n FROM held WHERE ours), \
         living AS (SELECT a.pid, {ALLOWED} AS allowed FROM ready, held p, \
         LATERAL pg_stat_get_activity(CASE WHEN ready.n > 0 THEN p.pid END) a \
         WHERE p.ours AND a.pid = p.pid AND {STARTED} = p.started AND {CHANGED} = p.changed \
         AND a.application_name = p.name AND a.state = p.state OFFSET 0) \
         SELECT CASE WHEN allowed THEN pg_terminate_backend(pid) END FROM living"
    );
    Some(sql)
}

/// The expiry of a backend that may be ended.
fn expired(
    backend: &Backend,
    service: &Service<'_>,
    config: &ReaperConfig,
    now: u64,
    locked: bool,
) -> Option<u64> {
    let threshold = match backend.state.as_deref()? {
        "idle" => config.min_idle,
        "idle in transaction" | "idle in transaction (aborted)" if locked => {
            config.min_idle_in_transaction?
        }
        _ => return None,
    };
    let idle = u64::try_from(backend.idle_ms).ok()?;
    let lease = parse_and_verify(&backend.name, std::slice::from_ref(service.secret), now)?;
    let fits = idle >= whole(threshold)
        && lease.expired
        && *lease.service == *service.token
        // What generates leases never makes others; they go into a statement as they are.
        && backend
            .name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b":_-=;".contains(&byte));
    fits.then_some(lease.expiry)
}

/// How many backends the second message has ended.
#[must_use]
pub fn ended(rows: &[Vec<Option<Box<str>>>]) -> usize {
    let is_ended =
        |row: &&Vec<Option<Box<str>>>| row.first().is_some_and(|cell| is_true(cell.as_deref()));
    rows.iter().filter(is_ended).count()
}
