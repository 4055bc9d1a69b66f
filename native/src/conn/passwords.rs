//! What functions of the caller's decide while a connection is opened: its password (rules A05, CP-46), and whether the
//! server's certificate is that of the right server.

use std::future::Future;
use std::pin::Pin;

use crate::config::Secret;
use crate::error::Error;

/// Who asks for a password: what the function is told.
#[derive(Clone, Debug)]
pub struct Question {
    /// Name or address of the host as configured; the folder of a Unix socket.
    pub host: Box<str>,
    /// Port.
    pub port: u16,
    /// Role.
    pub user: Box<str>,
    /// Database.
    pub database: Box<str>,
    /// The server has just refused the password that was given before.
    pub refused: bool,
}

/// The answer under way.
pub type Answer = Pin<Box<dyn Future<Output = Result<Secret, Error>> + Send>>;

/// The verdict under way.
pub type Verdict = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

/// Functions of the caller's. Dropping a future withdraws its question; who asks has the deadline.
pub trait Passwords: Send + Sync {
    /// Asks for a password.
    fn ask(&self, question: Question) -> Answer;

    /// Asks whether the certificate, in DER and with its chain checked, is that of the host.
    fn judge(&self, host: &str, certificate: &[u8]) -> Verdict;
}
