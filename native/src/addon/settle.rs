//! Errors on their way to JS, and promises of rare operations.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use neon::prelude::*;
use serde_json::{Map, Value, json};

use crate::addon::doubts;
use crate::error::{Error, NodeReport, ServerError};

/// An error as JSON; `lib/errors.js` makes a class of it, in the caller's own promise chain so that the stack is his.
pub(super) fn describe(error: &Error) -> String {
    fields(error).to_string()
}

fn fields(error: &Error) -> Value {
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| {
        if !value.is_null() {
            fields.insert(name.to_owned(), value);
        }
    };
    put("kind", json!(kind(error)));
    put("message", json!(error.to_string()));
    put("code", json!(error.code()));
    put("outcome", json!(error.outcome().as_str()));
    put("transient", json!(error.transient()));
    match error {
        Error::Server(server) | Error::Refused(server) => server_fields(server, put),
        Error::Connect { host, .. } => put("host", json!(host)),
        Error::Acquire {
            waited,
            counts,
            last,
            search,
        } => {
            put("waitedMs", json!(millis(*waited)));
            put(
                "counts",
                json!({
                    "max": counts.max, "size": counts.size, "available": counts.available,
                    "opening": counts.opening, "waiting": counts.waiting,
                }),
            );
            put("cause", last.as_deref().map_or(Value::Null, self::fields));
            if let Some(lack) = search {
                put("lack", json!(lack.what));
                put("nodes", lack.nodes.iter().map(node).collect());
            }
        }
        Error::Closed { what } => put("what", json!(what)),
        Error::Timeout { phase, after, .. } => {
            put("phase", json!(phase.as_str()));
            put("afterMs", json!(millis(*after)));
        }
        Error::Lost { host, cause, .. } => {
            put("host", json!(host));
            put("cause", self::fields(cause));
        }
        Error::TransactionLost { cause } | Error::CommitAborted { cause } => {
            put("cause", self::fields(cause));
        }
        Error::Doubt { cause, trace } => {
            put("cause", self::fields(cause));
            put("trace", doubts::describe(trace));
        }
        Error::Config { option, .. } => put("option", json!(option)),
        Error::Cancelled { .. }
        | Error::Io { .. }
        | Error::TransactionRolledBack
        | Error::Fenced
        | Error::Result { .. }
        | Error::NotReplicated
        | Error::Protocol { .. }
        | Error::Encode { .. }
        | Error::Lease { .. }
        | Error::Internal { .. } => {}
    }
    Value::Object(fields)
}

fn node(report: &NodeReport) -> Value {
    json!({
        "host": report.host, "role": report.role, "reason": report.reason, "text": report.to_string(),
        "error": report.error.as_ref().map(fields), "tookMs": millis(report.took),
    })
}

pub(super) fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

const fn kind(error: &Error) -> &'static str {
    match error {
        Error::Server(_) | Error::Refused(_) => "server",
        Error::Connect { .. } => "connect",
        Error::Acquire { .. } => "acquire",
        Error::Closed { .. } => "closed",
        Error::Cancelled { .. } => "cancelled",
        Error::Timeout { .. } => "timeout",
        Error::Lost { .. } => "lost",
        Error::Io { .. } => "io",
        Error::TransactionLost { .. } => "transactionLost",
        Error::TransactionRolledBack => "rolledBack",
        Error::Fenced => "fenced",
        Error::Result { .. } => "result",
        Error::NotReplicated => "notReplicated",
        Error::Doubt { .. } => "doubt",
        Error::CommitAborted { .. } => "commitAborted",
        Error::Protocol { .. } => "protocol",
        Error::Encode { .. } => "encode",
        Error::Config { .. } => "config",
        Error::Lease { .. } => "lease",
        Error::Internal { .. } => "internal",
    }
}

/// The fields of an error or notice, under the names of `pg`.
pub(super) fn server_fields(server: &ServerError, mut put: impl FnMut(&str, Value)) {
    put("length", json!(server.length));
    put("severity", json!(server.severity));
    put("detail", json!(server.detail));
    put("hint", json!(server.hint));
    put("position", json!(server.position));
    put("internalPosition", json!(server.internal_position));
    put("internalQuery", json!(server.internal_query));
    put("where", json!(server.context));
    put("schema", json!(server.schema));
    put("table", json!(server.table));
    put("column", json!(server.column));
    put("dataType", json!(server.data_type));
    put("constraint", json!(server.constraint));
    put("file", json!(server.file));
    put("line", json!(server.line));
    put("routine", json!(server.routine));
}

/// Throws an engine error on the spot: an `Error` whose `fields` are the JSON of [`describe`].
pub(super) fn throw<'cx, T>(cx: &mut impl Context<'cx>, error: &Error) -> NeonResult<T> {
    let error = js_error(cx, error)?;
    cx.throw(error)
}

fn js_error<'cx>(cx: &mut impl Context<'cx>, error: &Error) -> JsResult<'cx, JsError> {
    let fields = cx.string(describe(error));
    let js = cx.error(error.to_string())?;
    js.set(cx, "fields", fields)?;
    Ok(js)
}

/// Runs a rare operation on the engine's thread and settles a promise with it. A panic becomes a rejection.
pub(super) fn promise<'cx, C, F, T, R>(cx: &mut C, future: F, to_js: R) -> JsResult<'cx, JsPromise>
where
    C: Context<'cx>,
    F: Future<Output = Result<T, Error>> + Send + 'static,
    T: Send + 'static,
    R: for<'js> FnOnce(&mut Cx<'js>, T) -> JsResult<'js, JsValue> + Send + 'static,
{
    let runtime = super::runtime::runtime(cx)?;
    let channel = cx.channel();
    let (deferred, promise) = cx.promise();
    runtime.spawn(async move {
        let outcome = caught(future).await;
        // The environment may be gone meanwhile: then nobody waits for the promise.
        drop(
            deferred.try_settle_with(&channel, move |mut cx| match outcome {
                Ok(value) => to_js(&mut cx, value),
                Err(error) => throw(&mut cx, &error),
            }),
        );
    });
    Ok(promise)
}

/// A panic of the future becomes an error of ours: it never leaves the engine.
async fn caught<T>(future: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    AssertUnwindSafe(future)
        .catch_unwind()
        .await
        .unwrap_or_else(|panic| Err(Error::internal(panic_message(&*panic))))
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sec_f01_a_panic_becomes_an_internal_error_with_its_message() {
        let broken: Result<(), Error> = caught(async { panic!("a defect") }).await;
        assert!(matches!(&broken, Err(Error::Internal { .. })));
        assert!(broken.unwrap_err().to_string().contains("a defect"));
        let odd: Result<(), Error> = caught(async { std::panic::panic_any(7) }).await;
        assert!(odd.unwrap_err().to_string().contains("without a message"));
        assert_eq!(caught(async { Ok(1) }).await.unwrap(), 1);
    }
}
