//! Events as JSON, for `lib/hearers.js` and those who hear there.

use std::sync::Arc;

use crate::addon::settle::{exact_millis, server_fields};
use crate::conn::event::Event;
use crate::conn::keeper::News;
use crate::conn::statement::Statement;
use crate::error::Error;
use crate::json::{Members, Text, members};

/// The event; `lib` knows it by its name.
pub(super) fn describe(event: &Event<'_>) -> Text {
    match event {
        Event::Notice(notice) => {
            let mut fields = Members::default();
            server_fields(notice, &mut fields);
            members(&[
                ("event", &"notice"),
                ("message", &notice.message),
                ("code", &notice.code),
                ("fields", &fields.done()),
            ])
        }
        Event::Notification {
            pid,
            channel,
            payload,
        } => members(&[
            ("event", &"notification"),
            ("processId", pid),
            ("channel", channel),
            ("payload", payload),
        ]),
        Event::Parameter { name, value } => {
            members(&[("event", &"parameter"), ("name", name), ("value", value)])
        }
        Event::Upkeep(news) => upkeep(news),
        Event::Resolved { xid, status, took } => members(&[
            ("event", &"commit-resolved"),
            ("xid", &xid.to_string()),
            ("status", status),
            ("ms", &exact_millis(*took)),
        ]),
        Event::Probed(monitor) => members(&[("event", &"probed"), ("monitor", monitor)]),
        Event::Ended(cause) => members(&[("event", &"end"), ("error", cause)]),
        Event::Attempt {
            host,
            address,
            took,
            error,
        } => members(&[
            ("event", &"connect"),
            ("host", host),
            ("address", address),
            ("ms", &exact_millis(*took)),
            ("error", error),
        ]),
        Event::HostChange {
            host,
            address,
            from,
            to,
        } => members(&[
            ("event", &"hostChange"),
            ("host", host),
            ("address", address),
            ("from", from),
            ("to", to),
        ]),
        Event::Failover {
            from,
            to,
            took,
            timeline,
        } => members(&[
            ("event", &"failover"),
            ("from", from),
            ("to", to),
            ("timeline", timeline),
            ("ms", &took.map(exact_millis)),
        ]),
        Event::CommitFenced { address } => {
            members(&[("event", &"commit-while-fenced"), ("address", address)])
        }
        Event::Warmed {
            host,
            address,
            statements,
            refused,
            took,
        } => members(&[
            ("event", &"warm"),
            ("host", host),
            ("address", address),
            ("statements", statements),
            ("refused", &refusals(refused)),
            ("ms", &exact_millis(*took)),
        ]),
        Event::Retired {
            host,
            reason,
            error,
        } => members(&[
            ("event", &"retire"),
            ("host", host),
            ("reason", reason),
            ("error", error),
        ]),
    }
}

/// What a server would not prepare.
fn refusals(refused: &[(Arc<Statement>, Error)]) -> Vec<Text> {
    (refused.iter())
        .map(|(statement, error)| members(&[("sql", &statement.text), ("error", error)]))
        .collect()
}

/// What a keeper did, for `lib/serverless/connection.js`.
fn upkeep(news: &News) -> Text {
    match news {
        News::Renewed => members(&[("event", &"renewed")]),
        News::NotRenewed(cause, refused) => members(&[
            ("event", &"notRenewed"),
            ("error", cause),
            ("refused", refused),
        ]),
        News::Reaped(pass) => members(&[
            ("event", &"reaped"),
            ("locked", &pass.locked),
            ("killed", &pass.killed),
            ("candidates", &pass.candidates),
            ("denied", &pass.denied),
            ("hidden", &pass.hidden),
            ("durationMs", &pass.duration),
            ("error", &pass.error),
            ("refused", &pass.refused),
        ]),
        News::Pooled => members(&[("event", &"pooled")]),
    }
}
