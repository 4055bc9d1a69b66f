//! SQLSTATE classes: the only list of codes in the project.

use tokio_postgres::error::SqlState;

fn is_one_of(code: &str, states: &[SqlState]) -> bool {
    states.iter().any(|state| state.code() == code)
}

/// May the same statement succeed later without any change by the caller?
///
/// Connection exceptions, resource exhaustion, shutdown and start-up, serialization failures, lock timeouts and a
/// read-only server (a failover in progress). A protocol violation counts where it ends the session, as poolers do that
/// are full or shut down; as the answer to a statement it tells of wrong parameters.
///
/// Source: `src/backend/utils/errcodes.txt` of the server.
#[must_use]
pub fn is_transient(code: &str, severity: &str) -> bool {
    if code == SqlState::PROTOCOL_VIOLATION.code() && severity == "ERROR" {
        return false;
    }
    code.starts_with("08")
        || code.starts_with("53")
        || is_one_of(
            code,
            &[
                SqlState::ADMIN_SHUTDOWN,
                SqlState::CRASH_SHUTDOWN,
                SqlState::CANNOT_CONNECT_NOW,
                SqlState::IDLE_SESSION_TIMEOUT,
                SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
                SqlState::T_R_SERIALIZATION_FAILURE,
                SqlState::T_R_DEADLOCK_DETECTED,
                SqlState::LOCK_NOT_AVAILABLE,
                SqlState::READ_ONLY_SQL_TRANSACTION,
            ],
        )
}

/// Was the password wrong, or may it have been? Then a fresh one may be right (rule A05).
#[must_use]
pub fn rejects_password(code: &str) -> bool {
    matches!(code, "28P01" | "28000")
}

/// Would another attempt to connect with the same settings fail the same way? Authentication failures (class 28) and
/// an unknown database.
#[must_use]
pub fn rejects_login(code: &str) -> bool {
    code.starts_with("28") || code == SqlState::INVALID_CATALOG_NAME.code()
}

/// Is what was asked for unknown to this server, or not allowed to this role? Then it is so next time as well.
#[must_use]
pub fn is_unavailable(code: &str) -> bool {
    // Unknown names and missing rights; what systems like PostgreSQL lack.
    code.starts_with("42") || code.starts_with("0A")
}
