//! Everything JavaScript can call, and the only folder that knows Neon.
//!
//! The hot path is two functions: `submit` takes all requests of a JS turn, `drain` gives all answers that have
//! arrived. Everything else is rare. Handles cross as two numbers, slot and generation.

mod arguments;
mod command;
mod desk;
mod doubts;
mod environment;
mod event_loop;
mod events;
mod figures;
mod health;
mod inbox;
mod leases;
mod mailbox;
mod objects;
mod passwords;
mod records;
mod registry;
mod requests;
mod runtime;
mod settle;
mod shorten;
mod submissions;

use std::time::Duration;

use neon::prelude::*;
use neon::types::buffer::TypedArray;

use crate::conn::statement::Statement;

use self::environment::current;
use self::requests::Caller;
use self::runtime::SHAPES;

#[neon::main]
fn main(mut cx: ModuleContext) -> NeonResult<()> {
    cx.export_function("setup", setup)?;
    cx.export_function("submit", submit)?;
    cx.export_function("drain", drain)?;
    cx.export_function("spilled", spilled)?;
    cx.export_function("park", park)?;
    cx.export_function("look", look)?;
    cx.export_function("hold", hold)?;
    cx.export_function("statement", statement)?;
    cx.export_function("leavesResidue", leaves_residue)?;
    cx.export_function("shape", shape)?;
    cx.export_function("profile", objects::profile)?;
    cx.export_function("poolOpen", objects::pool_open)?;
    cx.export_function("poolJoin", objects::pool_join)?;
    cx.export_function("poolStatus", objects::pool_status)?;
    cx.export_function("poolFigures", objects::pool_figures)?;
    cx.export_function("poolHear", objects::pool_hear)?;
    cx.export_function("poolExpect", objects::pool_expect)?;
    cx.export_function("poolProbe", health::probe)?;
    cx.export_function("poolMonitor", health::monitor)?;
    cx.export_function("poolProbeNow", health::probe_now)?;
    cx.export_function("poolUnmonitor", health::unmonitor)?;
    cx.export_function("poolProbed", health::probed)?;
    cx.export_function("sessionOpen", objects::session_open)?;
    cx.export_function("sessionConnection", objects::session_connection)?;
    cx.export_function("sessionLeave", objects::session_leave)?;
    cx.export_function("sessionHear", objects::session_hear)?;
    cx.export_function("clientOpen", objects::client_open)?;
    cx.export_function("clientOpenSync", objects::client_open_sync)?;
    cx.export_function("clientStatus", objects::client_status)?;
    cx.export_function("clientResidue", objects::client_residue)?;
    cx.export_function("passwordAnswer", passwords::answer)?;
    cx.export_function("cancel", objects::cancel)?;
    cx.export_function("end", objects::end)?;
    cx.export_function("release", objects::release)?;
    cx.export_function("resolveCommit", doubts::resolve)?;
    cx.export_function("leaseInstance", leases::instance)?;
    cx.export_function("leaseSign", leases::sign)?;
    cx.export_function("leaseVerify", leases::verify)?;
    cx.export_function("leaseToken", leases::token)?;
    Ok(())
}

/// Runs the environment's drain function, which reports by itself whatever is thrown in it.
///
/// What is left to throw is the end of a thread that is being terminated, and Neon would end the process over that.
fn wake(cx: &mut Cx<'_>) {
    let _ended: Result<bool, _> = cx.try_catch(|cx| {
        let on_wake = current(cx).map(|environment| environment.on_wake.to_inner(cx));
        Ok(on_wake.and_then(|on_wake| on_wake.bind(cx).exec()).is_err())
    });
}

/// `setup(onWake, lends) → string[]`: makes the calling thread an environment; gives the command words by number − 1.
/// `lends`: the runtime has libuv underneath, so sockets may be lent to its event loop.
fn setup(mut cx: FunctionContext) -> JsResult<JsArray> {
    let on_wake = cx.argument::<JsFunction>(0)?;
    let lends = cx.argument::<JsBoolean>(1)?.value(&mut cx);
    environment::set_up(&mut cx, on_wake, lends);
    let words = cx.empty_array();
    for (index, word) in (0_u32..).zip(command::WORDS) {
        let word = cx.string(word);
        words.set(&mut cx, index, word)?;
    }
    Ok(words)
}

/// `submit(outbox: Uint8Array, length, alone)`: starts the requests in the first `length` bytes; `alone` when this
/// thread awaits nothing but the one request in there.
fn submit(mut cx: FunctionContext) -> JsResult<JsUndefined> {
    let outbox = cx.argument::<JsUint8Array>(0)?;
    let length = arguments::whole(&mut cx, 1)?;
    let alone = cx.argument::<JsBoolean>(2)?.value(&mut cx);
    let environment = current(&mut cx)?;
    let records = outbox
        .as_slice(&cx)
        .get(..usize::try_from(length).unwrap_or(usize::MAX));
    let caller = Caller::new(environment.event_loop(), alone);
    match records.map(|records| submissions::submit(&environment.desk, records, caller)) {
        Some(true) => Ok(cx.undefined()),
        Some(false) => cx.throw_error("the outbox is no sequence of whole records"),
        None => cx.throw_range_error("length exceeds the outbox"),
    }
}

/// `drain(inbox: Uint8Array) → number`: bytes written, plus 2³² when more are waiting.
fn drain(mut cx: FunctionContext) -> JsResult<JsNumber> {
    let mut inbox = cx.argument::<JsUint8Array>(0)?;
    let environment = current(&mut cx)?;
    let (written, more) = environment.mailbox.drain(inbox.as_mut_slice(&mut cx));
    let written = f64::from(u32::try_from(written).unwrap_or(u32::MAX));
    Ok(cx.number(if more {
        written + 4_294_967_296.0
    } else {
        written
    }))
}

/// `spilled(buffer: Uint8Array)`: the next body that did not fit the inbox, into a buffer of exactly its size.
/// `spilled(undefined, isText) → string`: it is let go; of a text, what is left when its strings are cut.
fn spilled(mut cx: FunctionContext) -> JsResult<JsValue> {
    let environment = current(&mut cx)?;
    let body = environment.mailbox.spilled();
    if cx.argument::<JsValue>(0)?.is_a::<JsUndefined, _>(&mut cx) {
        let is_text = cx.argument::<JsBoolean>(1)?.value(&mut cx);
        let text = body
            .filter(|_| is_text)
            .map(|body| shorten::shorten(body.body()));
        return Ok(cx.string(text.unwrap_or_default()).upcast());
    }
    let mut buffer = cx.argument::<JsUint8Array>(0)?;
    let target = buffer.as_mut_slice(&mut cx);
    match body {
        Some(body) if body.body().len() == target.len() => {
            target.copy_from_slice(body.body());
            environment.mailbox.reuse(body);
        }
        _ => return cx.throw_range_error("the buffer has not the size of the spilled body"),
    }
    Ok(cx.undefined().upcast())
}

/// `park(ms) → boolean`: blocks the thread until answers have arrived; `false` when the time ran out.
fn park(mut cx: FunctionContext) -> JsResult<JsBoolean> {
    let patience = Duration::from_millis(arguments::whole(&mut cx, 0)?.into());
    let environment = current(&mut cx)?;
    let arrived = environment
        .mailbox
        .park(patience, environment.event_loop().map(|events| &**events));
    Ok(cx.boolean(arrived))
}

/// `look(us) → boolean`: looks for answers without letting the core sleep; `false` when the time ran out.
fn look(mut cx: FunctionContext) -> JsResult<JsBoolean> {
    let patience = Duration::from_micros(arguments::whole(&mut cx, 0)?.into());
    let environment = current(&mut cx)?;
    let arrived = environment
        .mailbox
        .look(patience, environment.event_loop().map(|events| &**events));
    Ok(cx.boolean(arrived))
}

/// `hold(boolean)`: keeps the event loop alive while requests are pending.
fn hold(mut cx: FunctionContext) -> JsResult<JsUndefined> {
    let hold = cx.argument::<JsBoolean>(0)?.value(&mut cx);
    current(&mut cx)?.hold(&mut cx, hold);
    Ok(cx.undefined())
}

/// `statement(text) → number`: numbers a statement text for this environment.
fn statement(mut cx: FunctionContext) -> JsResult<JsNumber> {
    let text = arguments::text(&mut cx, 0)?;
    match current(&mut cx)?.desk.add_statement(&text) {
        Ok(number) => Ok(cx.number(number)),
        Err(error) => settle::throw(&mut cx, &error),
    }
}

/// `leavesResidue(text) → boolean`: may something of the statement last in its session?
fn leaves_residue(mut cx: FunctionContext) -> JsResult<JsBoolean> {
    let text = arguments::text(&mut cx, 0)?;
    match Statement::intern(&text) {
        Ok(statement) => Ok(cx.boolean(statement.leaves_residue())),
        Err(error) => settle::throw(&mut cx, &error),
    }
}

/// `shape(number) → JSON`: fields and kinds; throws when no frame of it can be under way.
fn shape(mut cx: FunctionContext) -> JsResult<JsString> {
    let number = arguments::whole(&mut cx, 0)?;
    match SHAPES.get(number) {
        Some(shape) => Ok(cx.string(shape.describe())),
        None => cx.throw_range_error(format!("shape {number} does not exist")),
    }
}
