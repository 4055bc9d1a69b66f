//! What a search for a node has met.

use std::fmt;
use std::time::Duration;

use super::Error;

/// What became of one node in a search.
#[derive(Clone, Debug)]
pub struct NodeReport {
    /// `host:port` or the socket path.
    pub host: Box<str>,
    /// What it said it was.
    pub role: Option<&'static str>,
    /// Why that does not suit.
    pub reason: Option<&'static str>,
    /// Why it said nothing.
    pub error: Option<Error>,
    /// How long the last attempt or look took.
    pub took: Duration,
}

/// No node was found that suits.
#[derive(Clone, Debug)]
pub struct Lack {
    /// `no writable primary available` and the like.
    pub what: &'static str,
    /// What was met.
    pub nodes: Vec<NodeReport>,
}

impl fmt::Display for NodeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.error, self.reason) {
            (Some(error @ Error::Connect { .. }), _) => write!(f, "{error}"),
            (Some(error), _) => write!(f, "{}: {error}", self.host),
            (None, Some(reason)) => write!(f, "{} {reason}", self.host),
            (None, None) => write!(f, "{} answered", self.host),
        }
    }
}
