//! The operations that read, as in `bench/workloads/ops.js`, and the way to find any operation.

use std::hint::black_box;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use futures_util::{TryStreamExt, pin_mut};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::canon::line;
use crate::session::Session;
use crate::value::{Cell, decode};
use crate::writes;

/// An operation with the statement it runs on.
pub(crate) enum Op {
    Point,
    One,
    Rows(String),
    Bytea,
    Stream,
    Insert,
    Bulk,
    Tx(writes::Balance),
}

/// The operation of that name.
pub(crate) fn find(name: &str, statement: &str) -> Result<Op> {
    Ok(match name {
        "point" => Op::Point,
        "one" => Op::One,
        "rows" => Op::Rows(statement.to_owned()),
        "bytea" => Op::Bytea,
        "stream" => Op::Stream,
        "insert" => Op::Insert,
        "bulk" => Op::Bulk,
        "tx" => Op::Tx(writes::Balance::default()),
        other => bail!("unknown operation {other}"),
    })
}

impl Op {
    pub(crate) async fn before(&self, session: &Session) -> Result<()> {
        match self {
            Self::Insert | Self::Bulk => writes::empty(session).await,
            Self::Tx(balance) => balance.remember(session).await,
            _ => Ok(()),
        }
    }

    /// Runs it once; `i` counts the operations of a round.
    pub(crate) async fn run(&self, session: &Session, strand: usize, i: i32) -> Result<()> {
        match self {
            Self::Point => {
                let id = key(i, session)?;
                let rows = query(session, strand, "point", &[&id]).await?;
                let [row] = rows.as_slice() else {
                    bail!("wrong content: {} rows", rows.len())
                };
                ensure!(
                    matches!(row.first(), Some(Cell::Int4(found)) if *found == id),
                    "wrong content"
                );
            }
            Self::One => {
                black_box(query(session, strand, "select1", &[]).await?);
            }
            Self::Rows(statement) => {
                let found = query(session, strand, statement, &[]).await?.len();
                let expected = session.expected(statement)?;
                ensure!(
                    u64::try_from(found)? == expected,
                    "wrong content: {found} of {expected} rows"
                );
            }
            Self::Bytea => {
                let sent = payload(session)?;
                let rows = query(session, strand, "echo", &[&sent]).await?;
                let right = matches!(
                    rows.first().and_then(|row| row.first()),
                    Some(Cell::Bytes(bytes)) if bytes.len() == sent.len(),
                );
                ensure!(right, "wrong content: bytea");
            }
            Self::Stream => {
                let (count, ..) = drain(session, Duration::from_millis(2)).await?;
                ensure!(
                    count == session.expected("stream")?,
                    "wrong content: {count} rows streamed"
                );
            }
            Self::Insert => writes::insert(session, strand, i).await?,
            Self::Bulk => writes::bulk(session).await?,
            Self::Tx(_) => writes::transaction(session, strand, i).await?,
        }
        Ok(())
    }

    pub(crate) async fn after(&self, session: &Session, count: usize) -> Result<()> {
        let count = u64::try_from(count)?;
        match self {
            Self::Insert => writes::expect_stored(session, count, 1).await,
            Self::Bulk => writes::expect_stored(session, session.size("bulk")?, count).await,
            Self::Tx(balance) => balance.expect_grown(session, count).await,
            _ => Ok(()),
        }
    }

    /// The lines of everything it reads or has written.
    pub(crate) async fn content(&self, session: &Session) -> Result<Vec<String>> {
        let rows = match self {
            Self::Point => {
                let mut rows = Vec::new();
                for i in 1..=200 {
                    rows.extend(query(session, 0, "point", &[&key(i, session)?]).await?);
                }
                rows
            }
            Self::One => query(session, 0, "select1", &[]).await?,
            Self::Rows(statement) => query(session, 0, statement, &[]).await?,
            Self::Bytea => query(session, 0, "echo", &[&payload(session)?]).await?,
            Self::Stream => {
                let (count, total, notes) = drain(session, Duration::ZERO).await?;
                return Ok(vec![format!("{count}\u{1f}{total}\u{1f}{notes}")]);
            }
            Self::Insert => {
                writes::empty(session).await?;
                for i in 0..100 {
                    writes::insert(session, 0, i).await?;
                }
                query(session, 0, "first", &[]).await?
            }
            Self::Bulk => {
                writes::empty(session).await?;
                writes::bulk(session).await?;
                query(session, 0, "first", &[]).await?
            }
            Self::Tx(balance) => return Ok(vec![balance.undone(session).await?]),
        };
        Ok(rows.iter().map(|row| line(row)).collect())
    }
}

/// Runs a prepared statement on the strand's connection and decodes every cell.
pub(crate) async fn query(
    session: &Session,
    strand: usize,
    statement: &str,
    values: &[&(dyn ToSql + Sync)],
) -> Result<Vec<Vec<Cell>>> {
    let slot = session.slot(strand)?;
    let prepared = session.prepare(slot, statement).await?;
    let values = values.iter().copied();
    let stream = slot.client.query_raw(&prepared, values).await?;
    // decoded as they arrive: nothing waits for the last row
    stream
        .map_err(anyhow::Error::from)
        .and_then(async |row: Row| decode(&row))
        .try_collect()
        .await
}

/// Spreads keys over the table as ops.js does.
fn key(i: i32, session: &Session) -> Result<i32> {
    let size = i64::try_from(session.size("points")?)?;
    let place = (i64::from(i) * 7_919)
        .checked_rem(size)
        .context("no points")?;
    Ok(i32::try_from(place)? + 1)
}

/// The bytes of ops.js.
fn payload(session: &Session) -> Result<Vec<u8>> {
    let length = u32::try_from(session.size("bytes")?)?;
    Ok((0..length)
        .map(|i| i.wrapping_mul(31).wrapping_add(i >> 8).to_le_bytes()[0])
        .collect())
}

/// Reads the whole stream, resting after every 1 000 rows: count, sum of ids, UTF-16 units of the notes.
async fn drain(session: &Session, rest: Duration) -> Result<(u64, i64, usize)> {
    let slot = session.slot(0)?;
    let prepared = session.prepare(slot, "stream").await?;
    let rows = slot
        .client
        .query_raw(&prepared, std::iter::empty::<i32>())
        .await?;
    pin_mut!(rows);
    let (mut count, mut total, mut notes) = (0, 0, 0);
    while let Some(row) = rows.try_next().await? {
        let cells = decode(&row)?;
        count += 1;
        if let Some(Cell::Int4(id)) = cells.first() {
            total += i64::from(*id);
        }
        if let Some(Cell::Text(note)) = cells.get(5) {
            notes += note.encode_utf16().count();
        }
        if count % 1_000 == 0 && !rest.is_zero() {
            tokio::time::sleep(rest).await;
        }
    }
    Ok((count, total, notes))
}
