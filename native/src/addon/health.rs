//! Exports for probes of a pool's server.

use std::sync::Arc;
use std::time::Duration;

use neon::prelude::*;

use crate::addon::arguments::{handle, whole};
use crate::addon::environment::current;
use crate::addon::objects::subscriber;
use crate::addon::registry::{self, Object};
use crate::addon::settle::{exact_millis, promise, throw};
use crate::error::Error;
use crate::json::{Text, members};
use crate::pool::Pool;
use crate::pool::health::Report;

fn pool(cx: &mut FunctionContext) -> NeonResult<Option<Arc<Pool>>> {
    let handle = handle(cx, 0)?;
    Ok(match registry::get(handle) {
        Some(Object::Pool(pool) | Object::Guest(pool)) => Some(pool),
        _ => None,
    })
}

fn milliseconds(cx: &mut FunctionContext, place: usize) -> NeonResult<Duration> {
    Ok(Duration::from_millis(whole(cx, place)?.into()))
}

/// `{waitedMs, roundTripMs, version, host}` or `{error}`, with how long the report has waited for the event loop.
fn to_json(report: &Report) -> Text {
    let lag = exact_millis(report.finished.elapsed());
    match &report.result {
        Ok(probe) => members(&[
            ("waitedMs", &exact_millis(probe.waited)),
            ("roundTripMs", &exact_millis(probe.round_trip)),
            ("version", &probe.version),
            ("host", &probe.host),
            ("lagMs", &lag),
        ]),
        Err(error) => members(&[("error", error), ("lagMs", &lag)]),
    }
}

/// `poolProbe(slot, generation, patience in ms) → Promise<JSON>`: one probe.
pub(super) fn probe(mut cx: FunctionContext) -> JsResult<JsPromise> {
    let patience = milliseconds(&mut cx, 2)?;
    let Some(pool) = pool(&mut cx)? else {
        return throw(&mut cx, &Error::Closed { what: "pool" });
    };
    let probing = async move { Ok(pool.probe(patience).await) };
    promise(&mut cx, probing, |cx, report| {
        Ok(cx.string(to_json(&report).into_string()).upcast())
    })
}

/// `poolMonitor(slot, generation, interval in ms, patience in ms) → number`: probes until it is stopped.
pub(super) fn monitor(mut cx: FunctionContext) -> JsResult<JsNumber> {
    let (every, patience) = (milliseconds(&mut cx, 2)?, milliseconds(&mut cx, 3)?);
    let Some(pool) = pool(&mut cx)? else {
        return throw(&mut cx, &Error::Closed { what: "pool" });
    };
    let handle = handle(&mut cx, 0)?;
    let subscriber = subscriber(current(&mut cx)?, handle);
    let id = pool.monitor(every, patience, subscriber);
    Ok(cx.number(id))
}

/// `poolProbeNow(slot, generation, monitor) → number | null`: of the probe under way, or of one that begins at once; nothing
/// if there will be none.
pub(super) fn probe_now(mut cx: FunctionContext) -> JsResult<JsValue> {
    number(&mut cx, Pool::probe_now)
}

/// `poolUnmonitor(slot, generation, monitor) → number | null`: stops it, and tells which report is still to come.
pub(super) fn unmonitor(mut cx: FunctionContext) -> JsResult<JsValue> {
    number(&mut cx, Pool::unmonitor)
}

fn number<'cx>(
    cx: &mut FunctionContext<'cx>,
    ask: impl FnOnce(&Pool, u32) -> Option<u32>,
) -> JsResult<'cx, JsValue> {
    let id = whole(cx, 2)?;
    Ok(match pool(cx)?.and_then(|pool| ask(&pool, id)) {
        Some(number) => cx.number(number).upcast(),
        None => cx.null().upcast(),
    })
}

/// `poolProbed(slot, generation, monitor) → JSON | null`: the newest report that was not taken, with `number`, `isRegular` and
/// `skipped`.
pub(super) fn probed(mut cx: FunctionContext) -> JsResult<JsValue> {
    let id = whole(&mut cx, 2)?;
    let Some(heard) = pool(&mut cx)?.and_then(|pool| pool.probed(id)) else {
        return Ok(cx.null().upcast());
    };
    let text = members(&[
        ("report", &to_json(&heard.report)),
        ("number", &heard.number),
        ("isRegular", &heard.is_regular),
        ("skipped", &heard.skipped),
    ]);
    Ok(cx.string(text.into_string()).upcast())
}
