//! Transactions whose COMMIT was not answered, as JS keeps them, and the export that asks about one.

use std::time::{Duration, Instant};

use neon::prelude::*;
use serde_json::Value;

use crate::addon::arguments::{handle, text, whole};
use crate::addon::registry::{self, Object};
use crate::addon::settle::promise;
use crate::conn::fate::{Fate, position};
use crate::error::{Error, Trace};
use crate::json::{Text, members};
use crate::pool::resolve::{Finding, Only, find_out};

/// What a transaction has shown, for JS to keep and to ask about.
pub(super) fn describe(trace: &Trace) -> Text {
    members(&[
        ("xid", &trace.xid.to_string()),
        ("lsn", &trace.lsn()),
        ("timeline", &trace.timeline),
        ("started", &trace.started.to_string()),
        ("system", &&*trace.system),
        ("announced", &trace.announced),
        ("recovered", &trace.recovered_lsn()),
        ("status", &trace.status),
        ("whole", &trace.is_whole),
    ])
}

/// The same, read back.
fn read(text: &str) -> Option<Trace> {
    let fields: Value = serde_json::from_str(text).ok()?;
    let field = |name: &str| fields.get(name)?.as_str();
    Some(Trace {
        xid: field("xid")?.parse().ok()?,
        position: field("lsn").and_then(position)?,
        is_whole: fields.get("whole")?.as_bool()?,
        timeline: fields.get("timeline")?.as_u64()?.try_into().ok()?,
        started: field("started")?.parse().ok()?,
        system: field("system")?.into(),
        recovered: match fields.get("recovered")? {
            Value::Null => None,
            end => Some(position(end.as_str()?)?),
        },
        announced: fields.get("announced")?.as_bool()?,
        status: None,
    })
}

/// `resolveCommit(slot, generation, trace: JSON, patience in ms) → Promise<JSON {fate, status}>`: asks on a pool or a client
/// what became of a transaction.
pub(super) fn resolve(mut cx: FunctionContext) -> JsResult<JsPromise> {
    let handle = handle(&mut cx, 0)?;
    let trace = text(&mut cx, 2)?;
    let Some(trace) = read(&trace) else {
        return cx.throw_type_error("the trace of the transaction cannot be read");
    };
    let until = Instant::now() + Duration::from_millis(whole(&mut cx, 3)?.into());
    let object = registry::get(handle);
    let asking = async move {
        match object {
            Some(Object::Pool(pool) | Object::Guest(pool)) => {
                Ok(find_out(&*pool, &trace, until).await)
            }
            Some(Object::Client(client)) => {
                let profile = super::objects::own_profile()?;
                let connection = client.connection();
                let witness = Only {
                    connection,
                    profile: &profile,
                };
                Ok(find_out(&witness, &trace, until).await)
            }
            Some(Object::Session(_)) | None => Err(Error::Closed { what: "client" }),
        }
    };
    promise(&mut cx, asking, |cx, (fate, status): Finding| {
        let fate = match fate {
            Fate::Committed => "committed",
            Fate::Aborted => "aborted",
            Fate::Open | Fate::Unknown => "unknown",
        };
        let text = members(&[("fate", &fate), ("status", &status)]);
        Ok(cx.string(text.into_string()).upcast())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_js_keeps_is_what_it_was_given() {
        let trace = Trace {
            xid: u64::MAX,
            position: 0x16_B374_D848,
            is_whole: true,
            timeline: 7,
            started: 1_700_000_000_000_001,
            recovered: Some(0x1_0000_00AB),
            system: "7300000000000000001".into(),
            announced: true,
            status: None,
        };
        assert_eq!(read(&describe(&trace).into_string()), Some(trace.clone()));
        let clean = Trace {
            recovered: None,
            is_whole: false,
            ..trace
        };
        assert_eq!(read(&describe(&clean).into_string()), Some(clean));
        assert_eq!(read("{}"), None);
    }
}
