//! The figures of a pool as JSON; what they mean to users stands in types/pool-figures.d.ts.

use std::time::Instant;

use serde_json::{Value, json};

use crate::addon::settle::millis;
use crate::error::Error;
use crate::metrics::{CLASSES, Figures, Histogram};
use crate::pool::Pool;
use crate::pool::table::Overview;

/// `{opened, closed, acquired, …}`, times in microseconds.
pub(super) fn to_json(figures: &Figures) -> Value {
    let [idle, lifetime, error, shutdown] = figures.closed;
    let mut errors: serde_json::Map<String, Value> = CLASSES
        .iter()
        .zip(figures.refused)
        .filter(|(_, count)| *count > 0)
        .map(|(class, count)| ((*class).to_owned(), json!(count)))
        .collect();
    for (name, count) in [
        ("other", figures.refused_other),
        ("lost", figures.unanswered),
    ] {
        if count > 0 {
            errors.insert(name.to_owned(), json!(count));
        }
    }
    json!({
        "opened": figures.opened,
        "closed": { "idle": idle, "lifetime": lifetime, "error": error, "shutdown": shutdown },
        "acquired": figures.acquired,
        "acquireTimeouts": figures.acquire_timeouts,
        "statements": figures.statements,
        "errors": errors,
        "rows": figures.rows,
        "received": figures.received,
        "sent": figures.sent,
        "waits": times(&figures.waits),
        "times": times(&figures.times),
        "trips": times(&figures.trips),
    })
}

/// `[{host, address, role, open, heardMs, tookMs, lagMs, code, problem, failedMs}]`, times as milliseconds ago.
pub(super) fn nodes(pool: &Pool, overview: &Overview) -> Value {
    let open = pool.open_by_host();
    let ago = |at: Instant| millis(at.elapsed());
    let nodes = overview.nodes.iter().map(|(address, node)| {
        let error = node.failure.as_ref().map(|(error, _)| error);
        json!({
            "host": pool.label(node.host),
            "address": address,
            "role": node.word(),
            "open": open.get(node.host),
            "heardMs": node.heard.map(ago),
            "tookMs": millis(node.took),
            "lagMs": node.lag.map(millis),
            "code": error.map(Error::code),
            "problem": error.map(ToString::to_string),
            "failedMs": node.failure.as_ref().map(|(_, at)| ago(*at)),
        })
    });
    nodes.collect()
}

fn times(histogram: &Histogram) -> Value {
    json!({
        "count": histogram.count,
        "sum": histogram.sum,
        "min": histogram.min,
        "max": histogram.max,
        "buckets": histogram.filled().collect::<Vec<_>>(),
    })
}
