//! Passwords that come from a function of the caller's, one for each connection that needs one (rules A05, CP-46).

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

/// A source of passwords.
pub trait Passwords: Send + Sync {
    /// Asks for a password. Dropping the future withdraws the question; the caller has the deadline.
    fn ask(&self, question: Question) -> Answer;
}
