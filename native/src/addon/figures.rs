//! The figures of a pool as JSON; what they mean to users stands in types/pool-figures.d.ts.

use std::time::Instant;

use crate::addon::settle::millis;
use crate::error::Error;
use crate::json::{Json, Members, Text, array, members};
use crate::metrics::{CLASSES, Figures, Histogram};
use crate::pool::Pool;
use crate::pool::table::Overview;

/// `{opened, closed, acquired, …}`, times in microseconds.
pub(super) fn to_json(figures: &Figures) -> Text {
    let [idle, lifetime, error, shutdown] = figures.closed;
    let closed = members(&[
        ("idle", &idle),
        ("lifetime", &lifetime),
        ("error", &error),
        ("shutdown", &shutdown),
    ]);
    let mut errors = Members::default();
    let others = [
        ("other", figures.refused_other),
        ("lost", figures.unanswered),
    ];
    for (name, count) in CLASSES.into_iter().zip(figures.refused).chain(others) {
        if count > 0 {
            errors.put(name, &count);
        }
    }
    members(&[
        ("opened", &figures.opened),
        ("closed", &closed),
        ("acquired", &figures.acquired),
        ("acquireTimeouts", &figures.acquire_timeouts),
        ("statements", &figures.statements),
        ("errors", &errors.done()),
        ("rows", &figures.rows),
        ("received", &figures.received),
        ("sent", &figures.sent),
        ("cancels", &figures.cancels),
        ("waits", &figures.waits),
        ("times", &figures.times),
        ("trips", &figures.trips),
    ])
}

/// `{max, size, available, opening, waiting, min, nodes, primary, driver, cancels}`.
pub(super) fn status(pool: &Pool, overview: Option<&Overview>, driver: &str) -> Text {
    let counts = pool.counts();
    let nodes = overview.map(|overview| nodes(pool, overview));
    let primary = overview.and_then(|overview| overview.primary.as_deref());
    members(&[
        ("max", &counts.max),
        ("size", &counts.size),
        ("available", &counts.available),
        ("opening", &counts.opening),
        ("waiting", &counts.waiting),
        ("min", &pool.min_idle()),
        ("nodes", &nodes),
        ("primary", &primary),
        ("driver", &driver),
        ("cancels", &pool.cancels()),
    ])
}

/// `[{host, address, role, open, heardMs, tookMs, lagMs, code, problem, failedMs}]`, times as milliseconds ago.
fn nodes(pool: &Pool, overview: &Overview) -> Vec<Text> {
    let open = pool.open_by_host();
    let ago = |at: Instant| millis(at.elapsed());
    let nodes = overview.nodes.iter().map(|(address, node)| {
        let error = node.failure.as_ref().map(|(error, _)| error);
        members(&[
            ("host", &pool.label(node.host)),
            ("address", address),
            ("role", &node.word()),
            ("open", &open.get(node.host)),
            ("heardMs", &node.heard.map(ago)),
            ("tookMs", &millis(node.took)),
            ("lagMs", &node.lag.map(millis)),
            ("code", &error.map(Error::code)),
            ("problem", &error.map(ToString::to_string)),
            ("failedMs", &node.failure.as_ref().map(|(_, at)| ago(*at))),
        ])
    });
    nodes.collect()
}

impl Json for Histogram {
    fn write(&self, out: &mut String) {
        let buckets = self
            .filled()
            .map(|(middle, count)| array(&[&middle, &count]));
        members(&[
            ("count", &self.count),
            ("sum", &self.sum),
            ("min", &self.min),
            ("max", &self.max),
            ("buckets", &buckets.collect::<Vec<_>>()),
        ])
        .write(out);
    }
}
