//! The benchmark's workloads on tokio-postgres: what the server and a good Rust client allow without JavaScript.
//!
//! Speaks the protocol of `bench/child.js`: commands as JSON lines on stdin, answers as JSON lines on stdout.
//! `--cold URL` reads one row, prints it and ends.

mod canon;
mod drive;
mod ops;
mod session;
mod value;
mod writes;

use std::io::{BufRead, Write};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::drive::drive;
use crate::session::Session;

fn main() -> Result<()> {
    // One thread: the faster runtime for this kind of work, and what pg-berth uses.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some("--cold") {
        let url = arguments.next().context("--cold needs a URL")?;
        return runtime.block_on(cold(&url));
    }
    let mut session = None;
    for line in std::io::stdin().lock().lines() {
        let message: Value = serde_json::from_str(&line?)?;
        let answer = answer(&runtime, &mut session, &message)
            .unwrap_or_else(|error| json!({ "error": format!("{error:#}") }));
        let mut out = std::io::stdout().lock();
        writeln!(out, "{answer}")?;
        out.flush()?;
        if message.get("cmd").and_then(Value::as_str) == Some("close") {
            break;
        }
    }
    Ok(())
}

fn answer(runtime: &Runtime, session: &mut Option<Session>, message: &Value) -> Result<Value> {
    let command = text(message, "cmd")?;
    if command == "open" {
        *session = Some(runtime.block_on(Session::open(message))?);
        return Ok(json!({ "way": "COPY" }));
    }
    if command == "close" {
        *session = None;
        return Ok(json!({}));
    }
    let session = session.as_ref().context("not open")?;
    let op = ops::find(text(message, "op")?, text(message, "statement")?)?;
    match command {
        "run" => runtime.block_on(async {
            op.before(session).await?;
            let concurrency = number(message, "concurrency")?;
            let result = drive(session, &op, concurrency, number(message, "ms")?).await?;
            op.after(session, result.count()).await?;
            Ok(result.to_json())
        }),
        "content" => {
            let lines = runtime.block_on(op.content(session))?;
            Ok(json!({ "checksum": canon::checksum(lines) }))
        }
        other => bail!("unknown command {other}"),
    }
}

/// Connect, one row, print it as `bench/cold.js` does.
async fn cold(url: &str) -> Result<()> {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    let sql = "select id, name from bench.point where id = $1";
    let row = client.query_one(sql, &[&7_i32]).await?;
    let (id, name): (i32, &str) = (row.try_get(0)?, row.try_get(1)?);
    writeln!(
        std::io::stdout(),
        "{{\"id\":{id},\"name\":{}}}",
        json!(name)
    )?;
    Ok(())
}

/// A member of a message that must be text.
pub(crate) fn text<'a>(message: &'a Value, key: &str) -> Result<&'a str> {
    message
        .get(key)
        .and_then(Value::as_str)
        .with_context(|| format!("{key} is missing"))
}

/// A member of a message that must be a whole number.
pub(crate) fn number(message: &Value, key: &str) -> Result<u64> {
    message
        .get(key)
        .and_then(Value::as_u64)
        .with_context(|| format!("{key} is missing"))
}
