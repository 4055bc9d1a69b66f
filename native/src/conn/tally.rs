//! What one connection counts for its pool; a connection outside a pool counts nothing.

use std::sync::Arc;
use std::time::Duration;

use crate::error::Error;
use crate::metrics::{Ending, Metrics};

/// Counts on the way to the pool's figures.
#[derive(Debug, Default)]
pub struct Tally {
    /// Where to.
    pub metrics: Option<Arc<Metrics>>,
    /// Rows of the oldest request.
    pub rows: u64,
    /// How long the server took to begin its answer to the oldest request.
    pub trip: Option<Duration>,
    /// Of the bytes ever written, those that were counted.
    counted: u64,
}

impl Tally {
    /// The oldest request was answered.
    pub fn answered(&mut self, took: Duration, error: Option<&Error>) {
        let rows = std::mem::take(&mut self.rows);
        let trip = self.trip.take();
        let ending = match error {
            None => Ending::Well,
            Some(Error::Server(server)) => Ending::Refused(&server.code),
            // The server stopped it because it was asked to.
            Some(_) => Ending::Refused("57014"),
        };
        if let Some(metrics) = &self.metrics {
            metrics.statement(took, trip, rows, ending);
        }
    }

    /// A request was given up while it ran.
    pub fn cancelled(&self) {
        if let Some(metrics) = &self.metrics {
            metrics.cancelled();
        }
    }

    /// A request that was sent will have no answer.
    pub fn lost(&self, took: Duration) {
        if let Some(metrics) = &self.metrics {
            metrics.statement(took, None, 0, Ending::Lost);
        }
    }

    /// So many bytes came, and so many were ever written.
    pub fn traffic(&mut self, received: usize, written: u64) {
        if let Some(metrics) = &self.metrics {
            let received = u64::try_from(received).unwrap_or(u64::MAX);
            metrics.traffic(received, written - self.counted);
            self.counted = written;
        }
    }
}
