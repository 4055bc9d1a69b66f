//! Errors on their way to JS, and promises of rare operations.

use std::any::Any;
use std::future::Future;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use futures_util::FutureExt;
use neon::prelude::*;

use crate::addon::doubts;
use crate::error::{Counts, Error, NodeReport, ServerError};
use crate::json::{Json, Members, Text, members};

/// An error as JSON; `lib/errors.js` makes a class of it, in the caller's own promise chain so that the stack is his.
pub(super) fn describe(error: &Error) -> String {
    let mut text = String::new();
    error.write(&mut text);
    text
}

impl Json for Error {
    fn write(&self, out: &mut String) {
        fields(self).write(out);
    }
}

fn fields(error: &Error) -> Text {
    let mut fields = Members::default();
    fields.put("kind", &kind(error));
    fields.put("message", &error.to_string());
    fields.put("code", &error.code());
    fields.put("outcome", &error.outcome().as_str());
    fields.put("transient", &error.transient());
    let shown = match error {
        Error::Partly { cause } => {
            fields.put("isAnswered", &true);
            cause
        }
        other => other,
    };
    match shown {
        Error::Server(server) | Error::Refused(server) => server_fields(server, &mut fields),
        Error::Connect { host, .. } => fields.put("host", host),
        Error::Acquire {
            waited,
            counts,
            last,
            search,
        } => {
            fields.put("waitedMs", &millis(*waited));
            fields.put("counts", counts);
            fields.put_known("cause", last);
            if let Some(lack) = search {
                fields.put("lack", &lack.what);
                fields.put("nodes", &lack.nodes);
            }
        }
        Error::Closed { what } => fields.put("what", what),
        Error::Timeout { phase, after, .. } => {
            fields.put("phase", &phase.as_str());
            fields.put("afterMs", &millis(*after));
        }
        Error::Lost { host, cause, .. } => {
            fields.put("host", host);
            fields.put("cause", cause);
        }
        Error::TransactionLost { cause } | Error::CommitAborted { cause } => {
            fields.put("cause", cause);
        }
        Error::Doubt { cause, trace } => {
            fields.put("cause", cause);
            fields.put("trace", &doubts::describe(trace));
        }
        Error::Config { option, .. } => fields.put("option", option),
        Error::Cancelled { .. }
        | Error::Io { .. }
        | Error::Partly { .. }
        | Error::TransactionRolledBack
        | Error::Fenced { .. }
        | Error::Result { .. }
        | Error::NotReplicated
        | Error::Protocol { .. }
        | Error::Encode { .. }
        | Error::Lease { .. }
        | Error::Internal { .. } => {}
    }
    fields.done()
}

impl Json for Counts {
    fn write(&self, out: &mut String) {
        let counts: [(&str, &dyn Json); 5] = [
            ("max", &self.max),
            ("size", &self.size),
            ("available", &self.available),
            ("opening", &self.opening),
            ("waiting", &self.waiting),
        ];
        members(&counts).write(out);
    }
}

impl Json for NodeReport {
    fn write(&self, out: &mut String) {
        members(&[
            ("host", &self.host),
            ("role", &self.role),
            ("reason", &self.reason),
            ("text", &self.to_string()),
            ("error", &self.error),
            ("tookMs", &millis(self.took)),
        ])
        .write(out);
    }
}

/// Whole milliseconds.
pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Milliseconds with their fractions.
pub(super) fn exact_millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn kind(error: &Error) -> &'static str {
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
        Error::Partly { cause } => kind(cause),
        Error::Fenced { .. } => "fenced",
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

/// The fields of an error or notice that the server has filled in, under the names of `pg`.
pub(super) fn server_fields(server: &ServerError, fields: &mut Members) {
    fields.put("length", &server.length);
    fields.put("severity", &server.severity);
    for (name, value) in [
        ("detail", &server.detail),
        ("hint", &server.hint),
        ("position", &server.position),
        ("internalPosition", &server.internal_position),
        ("internalQuery", &server.internal_query),
        ("where", &server.context),
        ("schema", &server.schema),
        ("table", &server.table),
        ("column", &server.column),
        ("dataType", &server.data_type),
        ("constraint", &server.constraint),
        ("file", &server.file),
        ("line", &server.line),
        ("routine", &server.routine),
        ("host", &server.host),
    ] {
        fields.put_known(name, value);
    }
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
        drop(channel.try_send(move |mut cx| {
            let mut deferred = Some(deferred);
            unless_ending(&mut cx, |cx| {
                let made = cx.try_catch(|cx| {
                    let made = catch_unwind(AssertUnwindSafe(|| match outcome {
                        Ok(value) => to_js(cx, value),
                        Err(error) => throw(cx, &error),
                    }));
                    Ok(made.unwrap_or_else(|panic| {
                        throw(cx, &Error::internal(panic_message(&*panic)))
                    }))
                });
                match (deferred.take(), made) {
                    (Some(deferred), Ok(Ok(value))) => deferred.resolve(cx, value),
                    (Some(deferred), Err(reason)) => deferred.reject(cx, reason),
                    (unsettled, _) => deferred = unsettled,
                }
            });
            // What is not settled by now never will be.
            let _unsettled = ManuallyDrop::new(deferred);
            Ok(())
        }));
    });
    Ok(promise)
}

/// Does something on a JS thread that may be in the middle of being terminated: it takes nothing any more, and Neon would end the
/// process over that.
pub(super) fn unless_ending<'cx>(cx: &mut Cx<'cx>, act: impl FnOnce(&mut Cx<'cx>)) {
    let _ended = catch_unwind(AssertUnwindSafe(|| {
        cx.try_catch(|cx| {
            act(cx);
            Ok(())
        })
    }));
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
