//! Turns one request into protocol messages and the answers they will have.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::BytesMut;

use crate::conn::answers::{Answers, CHECK, PROBE, RESULT};
use crate::conn::cursor;
use crate::conn::doubt::{self, Named, Probing};
use crate::conn::guard::Check;
use crate::conn::inflight::{InFlight, Sent};
use crate::conn::lag;
use crate::conn::prelude;
use crate::conn::request::{Parameters, Part, Request, Work};
use crate::conn::statement::{Naming, Prepared, Statement};
use crate::error::Error;
use crate::frame::Plan;
use crate::wire::params::Wants;
use crate::wire::{Expect, Params, frontend};

/// Result formats of a Bind: none given, so all columns come as text.
pub(super) const ALL_TEXT: &[u8] = &[0, 0];
/// All columns come in binary.
const ALL_BINARY: &[u8] = &[0, 1, 0, 1];
/// A parameter section without parameters.
pub(super) const NO_PARAMETERS: &[u8] = &[0, 0, 0, 0];

type Encoded = (InFlight, Vec<Expect>);

/// Appends the messages of a request to `out`. `is_open`: the server is inside a transaction that has not failed.
///
/// # Errors
/// The request and what is wrong with it; the caller takes back what was appended.
pub(super) fn encode(
    request: Request,
    out: &mut BytesMut,
    answers: &mut Answers,
    is_open: bool,
) -> Result<Encoded, Box<(Request, Error)>> {
    let mut sent = InFlight::new(request, answers.now);
    let mut expected = Vec::with_capacity(8);
    let evicted = answers.cache.evicted().to_vec();
    match messages(&mut sent, &mut expected, out, answers, is_open) {
        Ok(()) => Ok((sent, expected)),
        Err(error) => {
            // So are the Closes in front of it: the next request brings them.
            answers.cache.still_evicted(evicted);
            // Its Parse is taken back with the rest of the bytes, so the name must not stay known.
            for (statement, prepared) in sent.unparsed() {
                answers.cache.remove(statement, prepared, false);
            }
            Err(Box::new((sent.request, error)))
        }
    }
}

fn messages(
    sent: &mut InFlight,
    expected: &mut Vec<Expect>,
    out: &mut BytesMut,
    answers: &mut Answers,
    is_open: bool,
) -> Result<(), Error> {
    if answers.sent.is_empty() && check_first(sent, expected, out, answers)? {
        return Ok(());
    }
    sent.probe = answers.place_probe(&sent.request, is_open);
    if let Work::Simple { statement, .. } | Work::Copy { statement, .. } = &sent.request.work {
        frontend::simple_query(out, &statement.text)?;
        expected.extend([Expect::Simple, Expect::Ready]);
        return Ok(());
    }
    if sent.request.work.is_cursor() {
        return cursor::encode(sent, expected, out, answers);
    }
    close_evicted(expected, out, answers)?;
    if sent.probe == Probing::Before {
        probe(sent, false, expected, out, answers)?;
    }
    match &sent.request.work {
        Work::Simple { .. }
        | Work::Copy { .. }
        | Work::CursorOpen { .. }
        | Work::CursorFetch { .. } => {}
        Work::CursorClose => {
            frontend::close_portal(out, "")?;
            expected.push(Expect::CloseComplete);
        }
        Work::Execute { .. } => {
            if !open(sent, "", expected, out, answers)? {
                return Ok(());
            }
            frontend::execute(out, "", 0)?;
            expected.push(Expect::Result { tag: RESULT });
            if sent.probe == Probing::Behind {
                probe(sent, sent.prepared.is_some(), expected, out, answers)?;
            }
        }
        Work::Open { portal, batch, .. } => {
            let (portal, batch) = (portal.clone(), *batch);
            if !open(sent, &portal, expected, out, answers)? {
                return Ok(());
            }
            answers.portals.retain(|(name, _)| *name != portal);
            answers.portals.push((portal.clone(), sent.plan.clone()));
            frontend::execute(out, &portal, batch)?;
            expected.push(Expect::Result { tag: RESULT });
        }
        Work::Fetch { portal, batch } => {
            let open = answers.portals.iter().find(|(name, _)| name == portal);
            sent.plan = open.and_then(|(_, plan)| plan.clone());
            frontend::execute(out, portal, *batch)?;
            expected.push(Expect::Result { tag: RESULT });
        }
        Work::Close { portal } => {
            frontend::close_portal(out, portal)?;
            expected.push(Expect::CloseComplete);
            answers.portals.retain(|(name, _)| name != portal);
        }
    }
    frontend::sync(out);
    expected.push(Expect::Ready);
    Ok(())
}

impl Answers {
    /// Where a request about to be sent has its probe.
    fn place_probe(&self, request: &Request, is_open: bool) -> Probing {
        // Nobody else wants to know, and there may be thousands ahead.
        let is_behind = request.part == Part::Commit
            && (self.sent.iter())
                .any(|ahead| ahead.request.part == Part::Inside && ahead.probe == Probing::None);
        let role = self.guard.reported.role();
        self.trail.place(request, role, is_open, is_behind)
    }
}

fn close_evicted(
    expected: &mut Vec<Expect>,
    out: &mut BytesMut,
    answers: &mut Answers,
) -> Result<(), Error> {
    for name in answers.cache.take_evicted() {
        frontend::close_statement(out, &name)?;
        expected.push(Expect::CloseComplete);
    }
    Ok(())
}

/// The probe in the same Sync: if what is in front of it fails, the server skips it.
fn probe(
    sent: &mut InFlight,
    may_name: bool,
    expected: &mut Vec<Expect>,
    out: &mut BytesMut,
    answers: &mut Answers,
) -> Result<(), Error> {
    let trail = &mut answers.trail;
    // Those of a pooler may meet another backend each, unless they are inside of one transaction. One that begins behind the
    // COMMIT of another is not inside of that.
    let is_first = sent.request.part == Part::Single || sent.request.work.begins();
    let is_known = trail.server.is_some() && !(trail.pooled && is_first);
    let is_lasting = answers.cache.is_lasting();
    let may_name = may_name && is_lasting && !trail.pooled;
    let (name, text) = match (is_known, trail.named) {
        (false, _) => ("", Some(doubt::FIRST)),
        (true, Named::Yes) if is_lasting => (doubt::NAME, None),
        (true, Named::No | Named::Doubtful) if may_name => (doubt::NAME, Some(doubt::NEXT)),
        (true, _) => ("", Some(doubt::NEXT)),
    };
    if let Some(text) = text {
        if trail.named == Named::Doubtful && !name.is_empty() {
            frontend::close_statement(out, name)?;
            expected.push(Expect::CloseComplete);
        }
        frontend::parse(out, name, text, &[])?;
        expected.push(Expect::ParseComplete);
        sent.names_probe = !name.is_empty();
        if sent.names_probe {
            trail.named = Named::Sent;
        }
    }
    let formats = if is_known { ALL_BINARY } else { ALL_TEXT };
    frontend::bind(out, "", name, NO_PARAMETERS, formats)?;
    frontend::execute(out, "", 0)?;
    expected.extend([Expect::BindComplete, Expect::Result { tag: PROBE }]);
    sent.probing = sent.probe == Probing::Before;
    // Its answer is to be on its way before the commit is.
    if sent.request.part != Part::Inside {
        frontend::flush(out);
    }
    Ok(())
}

/// Parse as far as needed, and Bind. `false`: the parameter types have to be learned first, and that is all that is sent.
fn open(
    sent: &mut InFlight,
    portal: &str,
    expected: &mut Vec<Expect>,
    out: &mut BytesMut,
    answers: &mut Answers,
) -> Result<bool, Error> {
    let (Work::Execute {
        statement,
        params,
        naming,
        begin,
    }
    | Work::Open {
        statement,
        params,
        naming,
        begin,
        ..
    }) = &sent.request.work
    else {
        return Err(Error::internal("nothing to be opened"));
    };
    let (statement, begin) = (Arc::clone(statement), begin.clone());
    let keeps_begin = *naming == Naming::Cached;
    // Once: sent again, it finds what it has parsed.
    if let (true, Naming::Own(name)) = (sent.request.renews_name, naming) {
        answers.cache.forget_own(name);
        sent.request.renews_name = false;
    }
    let kept = kept(
        &statement,
        naming,
        &mut sent.prepared,
        &mut sent.fresh,
        answers,
    )?;
    if let Some(begin) = begin {
        prelude::append(&begin, keeps_begin, &mut sent.begin, expected, out, answers)?;
        sent.prelude = true;
    }
    // What is kept nowhere may have been described for this very request.
    let known = kept.as_ref().or(sent.request.described.as_ref());
    let params = if sent.request.prepares {
        None
    } else {
        let needs_description = sent.request.profile.profile.has_raw();
        resolve(params, known.map(|known| &**known), needs_description)?
    };
    let Some(params) = params else {
        let prepared = kept.unwrap_or_else(|| {
            let passing = Prepared::new("".into(), false);
            sent.fresh = true;
            sent.prepared = Some(Arc::clone(&passing));
            passing
        });
        prepare_first(&statement, &prepared, sent, expected, out)?;
        return Ok(false);
    };
    if let Some(prepared) = kept {
        sent.plan = bind(
            &statement, &prepared, sent, portal, &params, answers, expected, out,
        )?;
    } else {
        let described = sent.request.described.as_ref();
        let plan = described
            .and_then(|described| described.plan(&sent.request.profile, true, &answers.shapes));
        let formats = plan.as_ref().map_or(ALL_TEXT, |plan| &plan.bind_formats);
        frontend::parse(out, "", &statement.text, &[])?;
        frontend::bind(out, portal, "", &params, formats)?;
        frontend::describe_portal(out, portal)?;
        expected.extend([
            Expect::ParseComplete,
            Expect::BindComplete,
            Expect::PortalDescription,
        ]);
    }
    Ok(true)
}

/// Puts the check in front of a request that is the only one on its connection. `true`: the request waits for its answer.
fn check_first(
    sent: &mut InFlight,
    expected: &mut Vec<Expect>,
    out: &mut BytesMut,
    answers: &Answers,
) -> Result<bool, Error> {
    let waits = answers.guard.must_wait(&sent.request);
    sent.check = answers.guard.check(&sent.request);
    if waits {
        sent.sent = Sent::Check;
        sent.check = sent.check.or_sync();
    }
    check(sent.check, expected, out)?;
    Ok(waits)
}

/// The check in front of a statement, with a Sync of its own.
fn check(check: Check, expected: &mut Vec<Expect>, out: &mut BytesMut) -> Result<(), Error> {
    match check {
        Check::None => return Ok(()),
        Check::Sync => {}
        Check::Query | Check::Lag => {
            let question = if check == Check::Lag {
                lag::QUESTION
            } else {
                "show transaction_read_only"
            };
            frontend::parse(out, "", question, &[])?;
            frontend::bind(out, "", "", NO_PARAMETERS, ALL_TEXT)?;
            frontend::execute(out, "", 0)?;
            expected.extend([
                Expect::ParseComplete,
                Expect::BindComplete,
                Expect::Result { tag: CHECK },
            ]);
        }
    }
    frontend::sync(out);
    expected.push(Expect::Ready);
    Ok(())
}

/// The prepared statement that an execution uses, unless it is parsed for that alone.
fn kept(
    statement: &Arc<Statement>,
    naming: &Naming,
    prepared: &mut Option<Arc<Prepared>>,
    fresh: &mut bool,
    answers: &mut Answers,
) -> Result<Option<Arc<Prepared>>, Error> {
    Ok(match naming {
        Naming::Unnamed | Naming::CachedOutside => None,
        Naming::Cached if !statement.is_short() => None,
        Naming::Cached => Some(prepare(statement, prepared, fresh, answers)),
        Naming::Own(name) => {
            let (own, is_new) = answers.cache.own(name, statement)?;
            *fresh = is_new;
            *prepared = Some(Arc::clone(&own));
            Some(own)
        }
    })
}

/// The connection's prepared statement for a text, new or known.
pub(super) fn prepare(
    statement: &Arc<Statement>,
    prepared: &mut Option<Arc<Prepared>>,
    fresh: &mut bool,
    answers: &mut Answers,
) -> Arc<Prepared> {
    let known = answers.cache.get(statement);
    *fresh = known.is_none();
    let known = known.unwrap_or_else(|| answers.cache.insert(statement));
    *prepared = Some(Arc::clone(&known));
    known
}

/// Only learns the parameter types (and begins the transaction, if asked to); the request is encoded again afterwards.
fn prepare_first(
    statement: &Statement,
    prepared: &Prepared,
    sent: &mut InFlight,
    expected: &mut Vec<Expect>,
    out: &mut BytesMut,
) -> Result<(), Error> {
    if !sent.request.prepares {
        sent.sent = Sent::Preparation;
    }
    parse_and_describe(statement, prepared, sent.fresh, expected, out)?;
    frontend::sync(out);
    expected.push(Expect::Ready);
    Ok(())
}

fn parse_and_describe(
    statement: &Statement,
    prepared: &Prepared,
    fresh: bool,
    expected: &mut Vec<Expect>,
    out: &mut BytesMut,
) -> Result<(), Error> {
    if fresh {
        frontend::parse(out, &prepared.name, &statement.text, &[])?;
        expected.push(Expect::ParseComplete);
    }
    if prepared.described.get().is_none() {
        frontend::describe_statement(out, &prepared.name)?;
        expected.push(Expect::StatementDescription);
    }
    Ok(())
}

/// Parse and Describe as far as needed, and Bind: per-type formats once the description is known, text before.
#[allow(
    clippy::too_many_arguments,
    reason = "one message sequence, used by two kinds of work"
)]
fn bind(
    statement: &Statement,
    prepared: &Arc<Prepared>,
    sent: &InFlight,
    portal: &str,
    params: &[u8],
    answers: &Answers,
    expected: &mut Vec<Expect>,
    out: &mut BytesMut,
) -> Result<Option<Arc<Plan>>, Error> {
    let plan = prepared.plan(&sent.request.profile, !answers.iso_dates, &answers.shapes);
    parse_and_describe(statement, prepared, sent.fresh, expected, out)?;
    let formats = plan.as_ref().map_or(ALL_TEXT, |plan| &plan.bind_formats);
    frontend::bind(out, portal, &prepared.name, params, formats)?;
    expected.push(Expect::BindComplete);
    Ok(plan)
}

/// Chooses between plain and JSON text by the server's parameter types; `None` when these, or columns that are
/// needed, are not known yet.
fn resolve<'a>(
    params: &'a Parameters,
    prepared: Option<&Prepared>,
    needs_description: bool,
) -> Result<Option<Cow<'a, [u8]>>, Error> {
    let section = &*params.section;
    if !params.either && !needs_description {
        return Ok(Some(section.into()));
    }
    let Some(described) = prepared.and_then(|prepared| prepared.described.get()) else {
        return Ok(None);
    };
    if !params.either {
        return Ok(Some(section.into()));
    }
    // The OIDs of json, jsonb and their arrays.
    let wants = |position: usize| match described.parameters.get(position) {
        Some(114 | 3802) => Wants::Json,
        Some(199 | 3807) => Wants::JsonArray,
        _ => Wants::Plain,
    };
    let mut out = BytesMut::with_capacity(section.len());
    Params::new(section)?.resolve(wants, &mut out)?;
    Ok(Some(Vec::from(out).into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conn::request::Reply;
    use crate::conn::tests::server::{exchange, message, profile};

    fn request(text: &str, name: &str) -> Request {
        let work = Work::Execute {
            statement: Statement::intern(text).unwrap(),
            params: Parameters::none(),
            naming: match name {
                "" => Naming::Cached,
                name => Naming::Own(name.into()),
            },
            begin: None,
        };
        Request::new(work, Reply::local().0, profile())
    }

    #[test]
    fn a_request_that_cannot_be_encoded_leaves_it_to_the_next_one_to_close_what_was_evicted() {
        let mut exchange = exchange();
        exchange.push(request("select 'own'", "mine"));
        exchange.push(request("select 'evicted'", ""));
        exchange.answers.cache.renew();
        let evicted = exchange.answers.cache.evicted().to_vec();
        assert_eq!(evicted.len(), 1);
        exchange.output.clear();
        // That name stands for another text.
        exchange.push(request("select 'other'", "mine"));
        assert!(exchange.output.is_empty());
        exchange.push(request("select 'next'", ""));
        let body = [b"S", evicted[0].as_bytes(), b"\0"].concat();
        let close = message(b'C', &body);
        let closes = exchange.output.windows(close.len());
        assert_eq!(closes.filter(|at| *at == close).count(), 1);
        assert!(exchange.answers.cache.evicted().is_empty());
    }
}
