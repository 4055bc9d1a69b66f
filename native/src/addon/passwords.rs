//! Functions of JavaScript that are asked while a connection is opened: a question goes to the thread they belong to, the
//! answer comes by an export.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use neon::event::Channel;
use neon::prelude::*;
use tokio::sync::oneshot;

use crate::addon::arguments::{text, whole};
use crate::addon::settle::unless_ending;
use crate::config::Secret;
use crate::conn::passwords::{Answer, Passwords, Question, Verdict};
use crate::error::Error;
use crate::json::{Text, members};

type Waiting = HashMap<u32, oneshot::Sender<Result<Secret, Error>>>;

/// Questions without an answer, by number.
static WAITING: LazyLock<Mutex<Waiting>> = LazyLock::new(Mutex::default);

static NEXT: AtomicU32 = AtomicU32::new(0);

fn waiting() -> MutexGuard<'static, Waiting> {
    WAITING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A function of JavaScript: `ask(number, question: JSON)`; it answers by `passwordAnswer`, now or later.
struct Function {
    ask: Arc<Root<JsFunction>>,
    channel: Channel,
}

/// The function at a place among the arguments, if there is one.
pub(super) fn source(
    cx: &mut FunctionContext,
    place: usize,
) -> NeonResult<Option<Arc<dyn Passwords>>> {
    let Some(ask) = cx.argument_opt(place) else {
        return Ok(None);
    };
    if ask.is_a::<JsUndefined, _>(cx) {
        return Ok(None);
    }
    let ask = ask.downcast_or_throw::<JsFunction, _>(cx)?.root(cx);
    let mut channel = Channel::new(cx);
    // Who waits for a connection keeps the event loop alive, not the pool.
    channel.unref(cx);
    Ok(Some(Arc::new(Function {
        ask: Arc::new(ask),
        channel,
    })))
}

/// Takes an unanswered question back when nobody waits for it any more.
struct Asked(u32);

impl Drop for Asked {
    fn drop(&mut self) {
        waiting().remove(&self.0);
    }
}

impl Passwords for Function {
    fn ask(&self, question: Question) -> Answer {
        let question = members(&[
            ("host", &question.host),
            ("port", &question.port),
            ("user", &question.user),
            ("database", &question.database),
            ("refused", &question.refused),
        ]);
        self.put(question)
    }

    fn judge(&self, host: &str, certificate: &[u8]) -> Verdict {
        let certificate = STANDARD.encode(certificate);
        let verdict = self.put(members(&[("host", &host), ("certificate", &certificate)]));
        Box::pin(async move { verdict.await.map(drop) })
    }
}

impl Function {
    fn put(&self, question: Text) -> Answer {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        waiting().insert(number, sender);
        let asked = Asked(number);
        let ask = Arc::clone(&self.ask);
        let sent = self.channel.try_send(move |mut cx| {
            unless_ending(&mut cx, |cx| {
                let number = cx.number(number);
                let question = cx.string(question.into_string());
                let ask = ask.to_inner(cx);
                let mut call = ask.bind(cx);
                if call.args((number, question)).is_ok() {
                    // It reports by itself what the caller's function throws.
                    let _ended = call.exec();
                }
            });
            Ok(())
        });
        Box::pin(async move {
            // Dropped with this future: a late answer finds nobody.
            let _asked = asked;
            let gone = || failed("ERR_AUTH", "the thread of the caller's function has ended");
            sent.map_err(|_| gone())?;
            receiver.await.unwrap_or_else(|_| Err(gone()))
        })
    }
}

/// The function did not give what it was asked for. The connection fills its host in.
fn failed(code: &'static str, problem: &str) -> Error {
    Error::Connect {
        host: "".into(),
        code,
        problem: problem.into(),
    }
}

/// `passwordAnswer(number, answer | undefined, problem, isCertificate)`: the answer to a question, or why there is none.
pub(super) fn answer(mut cx: FunctionContext) -> JsResult<JsUndefined> {
    let number = whole(&mut cx, 0)?;
    let password = cx.argument::<JsValue>(1)?;
    let outcome = if password.is_a::<JsString, _>(&mut cx) {
        Ok(Secret::new(text(&mut cx, 1)?))
    } else {
        let is_certificate = cx.argument::<JsBoolean>(3)?.value(&mut cx);
        let code = if is_certificate {
            "ERR_TLS_CERT_ALTNAME_INVALID"
        } else {
            "ERR_AUTH"
        };
        Err(failed(code, &text(&mut cx, 2)?))
    };
    if let Some(sender) = waiting().remove(&number) {
        // Nobody waits any more when the deadline has passed meanwhile.
        drop(sender.send(outcome));
    }
    Ok(cx.undefined())
}
