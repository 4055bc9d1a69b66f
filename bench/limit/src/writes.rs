//! The operations that write, as in `bench/workloads/writes.js`.

use std::cell::Cell as StdCell;
use std::fmt::Write;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::{SinkExt, pin_mut};

use crate::ops::query;
use crate::session::Session;
use crate::value::Cell;

/// Rows of bench.account for each peer.
const ACCOUNTS: i32 = 1_000;
/// 2025-01-01 in seconds since 1970.
const EPOCH: i64 = 1_735_689_600;

fn row(i: i32) -> Result<(i32, String, f64, DateTime<Utc>)> {
    let epoch = DateTime::from_timestamp(EPOCH, 0).context("no such moment")?;
    let at = epoch + TimeDelta::milliseconds(i64::from(i) * 1_001);
    Ok((i, format!("inserted {i}"), f64::from(i) * 0.5, at))
}

pub(crate) async fn empty(session: &Session) -> Result<()> {
    Ok(session
        .slot(0)?
        .client
        .batch_execute(session.sql("empty")?)
        .await?)
}

pub(crate) async fn insert(session: &Session, strand: usize, i: i32) -> Result<()> {
    let slot = session.slot(strand)?;
    let statement = session.prepare(slot, "insert").await?;
    let (id, name, score, at) = row(i)?;
    slot.client
        .execute(&statement, &[&id, &name, &score, &at])
        .await?;
    Ok(())
}

/// COPY in text format.
pub(crate) async fn bulk(session: &Session) -> Result<()> {
    let sink = session
        .slot(0)?
        .client
        .copy_in::<_, Bytes>(session.sql("copy")?)
        .await?;
    pin_mut!(sink);
    let mut text = String::new();
    for i in 0..i32::try_from(session.size("bulk")?)? {
        let (id, name, score, at) = row(i)?;
        let at = at.format("%Y-%m-%dT%H:%M:%S%.3fZ");
        writeln!(text, "{id}\t{name}\t{score}\t{at}")?;
        if text.len() > 32_768 {
            sink.feed(Bytes::from(std::mem::take(&mut text))).await?;
        }
    }
    sink.feed(Bytes::from(text)).await?;
    sink.finish().await?;
    Ok(())
}

/// `times` times the rows 0 to `each`, or for single inserts the rows 0 to `each` once.
pub(crate) async fn expect_stored(session: &Session, each: u64, times: u64) -> Result<()> {
    let (count, total) = (each * times, each * each.saturating_sub(1) / 2 * times);
    let rows = query(session, 0, "stored", &[]).await?;
    let Some([Cell::Text(found), Cell::Text(sum)]) = rows.first().map(Vec::as_slice) else {
        bail!("wrong content: no count");
    };
    let right = *found == count.to_string() && *sum == total.to_string();
    ensure!(
        right,
        "wrong content: {found} rows stored of {count}, sum {sum} of {total}"
    );
    Ok(())
}

/// BEGIN travels with the first statement; the second waits for its answer, COMMIT for the second's.
pub(crate) async fn transaction(session: &Session, strand: usize, i: i32) -> Result<()> {
    let slot = session.slot(strand)?;
    let update = session.prepare(slot, "update").await?;
    let balance = session.prepare(slot, "balance").await?;
    let id = i % ACCOUNTS;
    let _turn = slot.turn.lock().await;
    let values: [&(dyn tokio_postgres::types::ToSql + Sync); 1] = [&id];
    tokio::try_join!(
        slot.client.batch_execute("BEGIN"),
        slot.client.execute(&update, &values)
    )?;
    let found: i64 = slot.client.query_one(&balance, &values).await?.try_get(0)?;
    ensure!(found > 0, "wrong content: balance");
    slot.client.batch_execute("COMMIT").await?;
    Ok(())
}

/// The sum of the peer's balances, remembered before a round.
#[derive(Default)]
pub(crate) struct Balance(StdCell<u64>);

impl Balance {
    pub(crate) async fn remember(&self, session: &Session) -> Result<()> {
        self.0.set(total(session).await?);
        Ok(())
    }

    pub(crate) async fn expect_grown(&self, session: &Session, count: u64) -> Result<()> {
        let grown = total(session).await? - self.0.get();
        ensure!(
            grown == count,
            "wrong content: {grown} updates stored of {count}"
        );
        Ok(())
    }

    /// What is left of an update that was rolled back.
    pub(crate) async fn undone(&self, session: &Session) -> Result<String> {
        self.remember(session).await?;
        let slot = session.slot(0)?;
        let update = session.prepare(slot, "update").await?;
        slot.client.batch_execute("BEGIN").await?;
        slot.client.execute(&update, &[&1_i32]).await?;
        slot.client.batch_execute("ROLLBACK").await?;
        Ok(format!(
            "undo\u{1f}{}",
            total(session).await? - self.0.get()
        ))
    }
}

async fn total(session: &Session) -> Result<u64> {
    let rows = query(session, 0, "balances", &[]).await?;
    let Some([Cell::Text(total)]) = rows.first().map(Vec::as_slice) else {
        bail!("wrong content: no sum");
    };
    Ok(total.parse()?)
}
