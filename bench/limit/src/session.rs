//! The connections of one process, with every statement prepared on each of them.

use std::collections::HashMap;

use anyhow::{Context, Result};
use serde_json::Value;
use tokio::sync::Mutex;
use tokio_postgres::{Client, NoTls, Statement};

use crate::{number, text};

/// One connection; `turn` is held by a transaction, autocommit statements share the connection.
pub(crate) struct Slot {
    pub(crate) client: Client,
    pub(crate) turn: Mutex<()>,
    prepared: Mutex<HashMap<String, Statement>>,
}

/// What the operations see.
pub(crate) struct Session {
    slots: Vec<Slot>,
    statements: HashMap<String, String>,
    size: Value,
    expected: Value,
}

impl Session {
    pub(crate) async fn open(message: &Value) -> Result<Self> {
        let url = text(message, "url")?;
        let mut slots = Vec::new();
        for _ in 0..number(message, "max")? {
            let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
            tokio::spawn(connection);
            slots.push(Slot {
                client,
                turn: Mutex::default(),
                prepared: Mutex::default(),
            });
        }
        let statements = message.get("statements").and_then(Value::as_object);
        let statements = statements.context("statements are missing")?;
        let statements = statements
            .iter()
            .map(|(name, statement)| Ok((name.clone(), text(statement, "text")?.to_owned())))
            .collect::<Result<_>>()?;
        let part = |key| message.get(key).cloned().unwrap_or_default();
        Ok(Self {
            slots,
            statements,
            size: part("size"),
            expected: part("expected"),
        })
    }

    /// The connection of a strand: its own up to the pool's size, pipelined beyond.
    pub(crate) fn slot(&self, strand: usize) -> Result<&Slot> {
        let index = strand
            .checked_rem(self.slots.len())
            .context("no connections")?;
        self.slots.get(index).context("no such connection")
    }

    pub(crate) fn sql(&self, name: &str) -> Result<&str> {
        self.statements
            .get(name)
            .map(String::as_str)
            .with_context(|| format!("no statement {name}"))
    }

    pub(crate) async fn prepare(&self, slot: &Slot, name: &str) -> Result<Statement> {
        let mut prepared = slot.prepared.lock().await;
        if let Some(statement) = prepared.get(name) {
            return Ok(statement.clone());
        }
        let statement = slot.client.prepare(self.sql(name)?).await?;
        prepared.insert(name.to_owned(), statement.clone());
        Ok(statement)
    }

    /// One of the sizes of `workloads/data.js`.
    pub(crate) fn size(&self, key: &str) -> Result<u64> {
        number(&self.size, key)
    }

    /// How many rows a statement must give.
    pub(crate) fn expected(&self, statement: &str) -> Result<u64> {
        number(&self.expected, statement)
    }
}
