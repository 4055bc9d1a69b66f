//! Warms a new connection (CP-24): the statements that were used most on lost ones are prepared before anybody has it.

use std::sync::Arc;
use std::time::Duration;

use crate::conn::request::{Parameters, Reply, Request, Work};
use crate::conn::statement::{Naming, NumberedProfile, Statement};
use crate::conn::{Connection, probe};
use crate::error::Error;

impl Connection {
    /// The statements that this connection was asked for most.
    pub fn most_used(&self, count: usize) -> Vec<(Arc<Statement>, u64)> {
        self.lock().exchange.most_used(count)
    }

    /// Prepares statements in one round trip and gives the refusals. Each has its own Sync, so one that the server does not
    /// take leaves the others and the connection as they are.
    ///
    /// Cancel-safe in that a connection whose question was dropped must be dismissed.
    ///
    /// # Errors
    /// The connection is over, or the answers did not come in time: to prepare a statement is to wait for locks on what it names.
    pub async fn warm(
        &mut self,
        statements: &[Arc<Statement>],
        profile: &Arc<NumberedProfile>,
        patience: Duration,
    ) -> Result<Vec<(Arc<Statement>, Error)>, Error> {
        let state = self.exclusive();
        let mut answers = Vec::with_capacity(statements.len());
        for statement in statements {
            let (reply, answer) = Reply::local();
            let work = Work::Execute {
                statement: Arc::clone(statement),
                params: Parameters::none(),
                naming: Naming::Cached,
                begin: None,
            };
            let mut request = Request::new(work, reply, Arc::clone(profile));
            // Nobody's request: it is not counted, and no check goes in front.
            (request.prepares, request.is_upkeep, request.is_checked) = (true, true, true);
            state.exchange.push(request);
            answers.push((Arc::clone(statement), answer));
        }
        probe::converse(state, patience).await?;
        let mut refused = Vec::new();
        for (statement, answer) in answers {
            if let Ok(Err(error)) = answer.await {
                refused.push((statement, error));
            }
        }
        Ok(refused)
    }
}
