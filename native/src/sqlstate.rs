//! SQLSTATE classes: the only list of codes in the project.

/// May the same statement succeed later without any change by the caller?
///
/// Connection exceptions, resource exhaustion, shutdown and start-up, serialization failures, lock timeouts and a
/// read-only server (a failover in progress).
///
/// Source: `src/backend/utils/errcodes.txt` of the server.
#[must_use]
pub fn is_transient(code: &str) -> bool {
    code.starts_with("08")
        || code.starts_with("53")
        || matches!(
            code,
            "57P01" | "57P02" | "57P03" | "57P05" | "40001" | "40P01" | "55P03" | "25006" | "25P03"
        )
}

/// Does the code say that the session itself has ended or never began?
#[must_use]
pub fn ends_session(code: &str) -> bool {
    code.starts_with("08")
        || matches!(
            code,
            "57P01" | "57P02" | "57P03" | "57P04" | "57P05" | "25P03" | "25P04"
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
    code.starts_with("28") || code == "3D000"
}
