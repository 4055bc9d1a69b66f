//! Exports that open, look at and end pools, sessions and clients.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use neon::prelude::*;
use neon::types::JsBuffer;

use crate::addon::arguments::{handle, text, whole};
use crate::addon::desk::{self, number_profile};
use crate::addon::environment::{Environment, current};
use crate::addon::figures;
use crate::addon::passwords;
use crate::addon::registry::{self, Handle, Object};
use crate::addon::runtime::{SHAPES, runtime};
use crate::addon::settle::{promise, throw};
use crate::addon::submissions::start_pending;
use crate::config::{Built, Driver, Settings, Surroundings};
use crate::conn::client::Client;
use crate::conn::dial::Route;
use crate::conn::exchange::Manner;
use crate::conn::guard::Policy;
use crate::conn::keeper::Upkeep;
use crate::conn::passwords::Passwords;
use crate::conn::request::Subscriber;
use crate::conn::statement::NumberedProfile;
use crate::error::{Error, Outcome, Phase};
use crate::frame::{Preset, Profile};
use crate::json::{Members, Text, members};
use crate::lease::renew::Leasing;
use crate::pool::router::Seeker;
use crate::pool::session::Session;
use crate::pool::{Ended, Pool};
use crate::wire::TransactionStatus;

fn surroundings(cx: &mut FunctionContext, place: usize) -> NeonResult<Surroundings> {
    let environment = text(cx, place)?;
    let environment: BTreeMap<String, String> = match serde_json::from_str(&environment) {
        Ok(environment) => environment,
        Err(error) => {
            return cx.throw_type_error(format!("the environment is no JSON object: {error}"));
        }
    };
    Ok(Surroundings {
        os_user: environment.get("USER").cloned(),
        home: environment.get("HOME").map(Into::into),
        environment,
    })
}

fn settings(cx: &mut FunctionContext) -> NeonResult<Built> {
    let options = text(cx, 0)?;
    let surroundings = surroundings(cx, 1)?;
    match Settings::from_json(&options).and_then(|settings| settings.build(&surroundings)) {
        Ok(built) => Ok(built),
        Err(error) => throw(cx, &error),
    }
}

fn routes(built: &Built, passwords: Option<&Arc<dyn Passwords>>) -> Result<Box<[Route]>, Error> {
    let config = Arc::new(built.config.clone());
    let hosts = config.hosts.iter().cloned();
    let route = |host| {
        let route = Route::new(Arc::clone(&config), host)?;
        Ok(route.with_passwords(passwords.cloned()))
    };
    hosts.map(route).collect()
}

/// The profile of the engine's own statements.
pub(super) fn own_profile() -> Result<Arc<NumberedProfile>, Error> {
    desk::profile(number_profile(Profile::new(Preset::Pg, []))?)
}

/// Hires keepers of leases, if leases are asked for.
fn upkeep(
    built: &Built,
    runtime: &tokio::runtime::Handle,
) -> Result<Option<Arc<dyn Upkeep>>, Error> {
    let Some(lease) = &built.lease else {
        return Ok(None);
    };
    let database = &built.config.database;
    let leasing = Leasing::new(lease.clone(), database, own_profile()?, runtime.clone())?;
    Ok(Some(leasing))
}

fn opened(built: &Built, handle: Handle) -> Text {
    let hosts: Vec<_> = built.config.hosts.iter().map(ToString::to_string).collect();
    let about = members(&[
        ("database", &built.config.database),
        ("user", &built.config.user),
        ("hosts", &hosts),
        ("mode", &built.pool.routing.mode.word()),
    ]);
    members(&[
        ("handle", &handle.to_number()),
        ("warnings", &built.warnings),
        ("about", &about),
    ])
}

/// `poolOpen(options: JSON, environment: JSON, ask?: function) → JSON {handle, warnings}`. Opens no connection.
pub(super) fn pool_open(mut cx: FunctionContext) -> JsResult<JsString> {
    let built = settings(&mut cx)?;
    let passwords = passwords::source(&mut cx, 2)?;
    find_loop(&mut cx, built.pool.driver)?;
    let runtime = runtime(&mut cx)?.clone();
    let handle = routes(&built, passwords.as_ref()).and_then(|routes| {
        let environment = current(&mut cx).map_err(|_| Error::internal("no environment"))?;
        let profile = own_profile()?;
        let upkeep = upkeep(&built, &runtime)?;
        let pool = Pool::new(
            routes,
            built.pool.clone(),
            Arc::clone(&SHAPES),
            profile,
            runtime,
            upkeep,
        );
        Ok(environment.own(Object::Pool(pool)))
    });
    match handle {
        Ok(handle) => Ok(cx.string(opened(&built, handle).into_string())),
        Err(error) => throw(&mut cx, &error),
    }
}

/// `poolJoin(slot, generation) → handle`: another handle of a pool, for this environment; the pool goes on without it.
pub(super) fn pool_join(mut cx: FunctionContext) -> JsResult<JsNumber> {
    let handle = handle(&mut cx, 0)?;
    let Some(Object::Pool(pool) | Object::Guest(pool)) = registry::get(handle) else {
        return throw(&mut cx, &Error::Closed { what: "pool" });
    };
    find_loop(&mut cx, pool.driver())?;
    let guest = current(&mut cx)?.own(Object::Guest(pool));
    Ok(cx.number(guest.to_number()))
}

/// `poolStatus(slot, generation, withNodes?) → JSON {max, size, available, opening, waiting}`, on demand with `nodes` and
/// `primary`; `null` when the handle is stale.
pub(super) fn pool_status(mut cx: FunctionContext) -> JsResult<JsValue> {
    let handle = handle(&mut cx, 0)?;
    let Some(Object::Pool(pool) | Object::Guest(pool)) = registry::get(handle) else {
        return Ok(cx.null().upcast());
    };
    let overview = cx.argument_opt(2).map(|_| pool.overview());
    let driver = current(&mut cx)?.driver(pool.driver());
    let text = figures::status(&pool, overview.as_ref(), driver);
    Ok(cx.string(text.into_string()).upcast())
}

/// `poolFigures(slot, generation) → JSON of everything counted`, or `null` when the handle is stale.
pub(super) fn pool_figures(mut cx: FunctionContext) -> JsResult<JsValue> {
    let handle = handle(&mut cx, 0)?;
    let Some(Object::Pool(pool) | Object::Guest(pool)) = registry::get(handle) else {
        return Ok(cx.null().upcast());
    };
    let text = figures::to_json(&pool.figures()).into_string();
    Ok(cx.string(text).upcast())
}

/// `poolHear(slot, generation)`: events of the pool go to this environment.
pub(super) fn pool_hear(mut cx: FunctionContext) -> JsResult<JsUndefined> {
    let handle = handle(&mut cx, 0)?;
    if let Some(Object::Pool(pool) | Object::Guest(pool)) = registry::get(handle) {
        pool.subscribe(subscriber(current(&mut cx)?, handle));
    }
    Ok(cx.undefined())
}

/// `poolExpect(slot, generation)`: a statement for the pool is about to come.
pub(super) fn pool_expect(mut cx: FunctionContext) -> JsResult<JsUndefined> {
    let handle = handle(&mut cx, 0)?;
    if let Some(Object::Pool(pool) | Object::Guest(pool)) = registry::get(handle) {
        pool.expect();
    }
    Ok(cx.undefined())
}

/// `sessionOpen(pool slot, pool generation) → handle`. Takes its connection with the first request.
pub(super) fn session_open(mut cx: FunctionContext) -> JsResult<JsNumber> {
    let handle = handle(&mut cx, 0)?;
    let Some(Object::Pool(pool) | Object::Guest(pool)) = registry::get(handle) else {
        return throw(&mut cx, &Error::Closed { what: "pool" });
    };
    let session = current(&mut cx)?.own(Object::Session(Session::new(&pool)));
    Ok(cx.number(session.to_number()))
}

/// `sessionHear(slot, generation)`: events of the session's connection go to this environment; before its first request.
pub(super) fn session_hear(mut cx: FunctionContext) -> JsResult<JsUndefined> {
    let handle = handle(&mut cx, 0)?;
    if let Some(Object::Session(session)) = registry::get(handle) {
        session.subscribe(subscriber(current(&mut cx)?, handle));
    }
    Ok(cx.undefined())
}

/// `sessionConnection(slot, generation) → number`: unlike that of any other connection, or `null` while it has none.
pub(super) fn session_connection(mut cx: FunctionContext) -> JsResult<JsValue> {
    let handle = handle(&mut cx, 0)?;
    let connection = match registry::get(handle) {
        Some(Object::Session(session)) => session.connection(),
        _ => None,
    };
    Ok(match connection {
        Some(connection) => cx.number(connection.serial).upcast(),
        None => cx.null().upcast(),
    })
}

/// `sessionLeave(slot, generation, waitedMs) → boolean`: gives the connection, or the place in the queue, back; with a time only
/// the latter.
pub(super) fn session_leave(mut cx: FunctionContext) -> JsResult<JsBoolean> {
    let handle = handle(&mut cx, 0)?;
    let waited = match cx.argument_opt(2) {
        Some(given) if given.is_a::<JsNumber, _>(&mut cx) => {
            Some(Duration::from_millis(whole(&mut cx, 2)?.into()))
        }
        _ => None,
    };
    drop(start_pending());
    let left = match registry::get(handle) {
        Some(Object::Session(session)) => session.leave(waited),
        _ => true,
    };
    if left {
        drop(current(&mut cx)?.disown(handle));
    }
    Ok(cx.boolean(left))
}

pub(super) fn subscriber(environment: &Environment, handle: Handle) -> Subscriber {
    Subscriber {
        outlet: environment.outlet(),
        slot: handle.slot,
        generation: handle.generation,
    }
}

/// A single connection about to be opened.
struct Opening {
    seeker: Seeker,
    /// Its database and user, as JSON.
    about: Text,
    warnings: Vec<String>,
}

/// Looks for the event loop of the thread, the first time something wants to be read there.
fn find_loop(cx: &mut FunctionContext, driver: Driver) -> NeonResult<()> {
    if driver == Driver::Engine {
        return Ok(());
    }
    let environment = current(cx)?;
    environment.find_loop(cx)?;
    if driver == Driver::Loop && environment.event_loop().is_none() {
        let problem = "cannot be \"loop\": the event loop of this runtime or platform reads no sockets for us; \
                       leave it out, or set \"engine\"";
        return throw(cx, &Error::config("driver", problem));
    }
    Ok(())
}

fn opening(
    cx: &mut FunctionContext,
    passwords: Option<&Arc<dyn Passwords>>,
) -> NeonResult<Opening> {
    let built = settings(cx)?;
    find_loop(cx, built.pool.driver)?;
    let runtime = runtime(cx)?;
    let target = routes(&built, passwords)
        .and_then(|routes| Ok((routes, own_profile()?, upkeep(&built, runtime)?)));
    match target {
        Ok((routes, profile, upkeep)) => {
            let manner = Manner {
                driver: built.pool.driver,
                depth: 1,
                statements: built.pool.statement_cache_size.max(1),
                max_message: built.config.max_message,
                policy: Policy::default(),
                resets: built.pool.reset_query.is_some(),
            };
            let routing = built.pool.routing;
            let about = members(&[
                ("database", &built.config.database),
                ("user", &built.config.user),
            ]);
            Ok(Opening {
                about,
                seeker: Seeker::new(routes, routing, manner, Arc::clone(&SHAPES), profile)
                    .with_upkeep(upkeep),
                warnings: built.warnings,
            })
        }
        Err(error) => throw(cx, &error),
    }
}

/// Gives an open connection a handle, and says what is known about it.
fn adopt(
    cx: &mut Cx<'_>,
    client: Arc<Client>,
    about: &Text,
    warnings: &[String],
) -> NeonResult<String> {
    let connection = Arc::clone(client.connection());
    let environment = current(cx)?;
    let handle = environment.own(Object::Client(client));
    connection.subscribe(Some(subscriber(environment, handle)));
    // Not before somebody hears what the keeper does.
    connection.attend();
    let mut parameters = Members::default();
    for (name, value) in &connection.parameters {
        parameters.put(name, value);
    }
    let described = members(&[
        ("handle", &handle.to_number()),
        ("pid", &connection.pid),
        ("host", &connection.host),
        ("encrypted", &connection.is_encrypted()),
        ("parameters", &parameters.done()),
        ("warnings", &warnings),
        ("about", about),
    ]);
    Ok(described.into_string())
}

/// `clientOpen(options: JSON, environment: JSON, ask?: function) → Promise<JSON {handle, pid, parameters, warnings}>`.
pub(super) fn client_open(mut cx: FunctionContext) -> JsResult<JsPromise> {
    let passwords = passwords::source(&mut cx, 2)?;
    let opening = opening(&mut cx, passwords.as_ref())?;
    let Opening {
        seeker,
        about,
        warnings,
    } = opening;
    let runtime = runtime(&mut cx)?;
    let open = async move { Ok(Client::new(seeker.find().await?, runtime)) };
    promise(&mut cx, open, move |cx, client| {
        let described = adopt(cx, client, &about, &warnings)?;
        Ok(cx.string(described).upcast())
    })
}

/// `clientOpenSync(options: JSON, environment: JSON, patience in ms) → JSON`: the same, and the thread is blocked meanwhile.
pub(super) fn client_open_sync(mut cx: FunctionContext) -> JsResult<JsString> {
    let patience = Duration::from_millis(whole(&mut cx, 2)?.into());
    let opening = opening(&mut cx, None)?;
    let Opening {
        seeker,
        about,
        warnings,
    } = opening;
    let runtime = runtime(&mut cx)?;
    let (sender, opened) = std::sync::mpsc::sync_channel(1);
    let open = runtime.spawn(async move {
        let found = seeker.find().await;
        let client = found.map(|connection| Client::new(connection, runtime));
        // The waiting side may have given up: then the connection closes with its last handle.
        drop(sender.send(client));
    });
    match opened.recv_timeout(patience) {
        Ok(Ok(client)) => {
            let described = adopt(&mut cx, client, &about, &warnings)?;
            Ok(cx.string(described))
        }
        Ok(Err(error)) => throw(&mut cx, &error),
        Err(_) => {
            open.abort();
            let late = Error::Timeout {
                phase: Phase::Connect,
                after: patience,
                outcome: Outcome::NotSent,
            };
            throw(&mut cx, &late)
        }
    }
}

/// `clientStatus(slot, generation) → 'I' | 'T' | 'E'`: the server's transaction status with its last answer, also when the
/// connection is lost; `null` when the handle is stale.
pub(super) fn client_status(mut cx: FunctionContext) -> JsResult<JsValue> {
    let handle = handle(&mut cx, 0)?;
    let Some(Object::Client(client)) = registry::get(handle) else {
        return Ok(cx.null().upcast());
    };
    let status = match client.connection().status() {
        TransactionStatus::Idle => "I",
        TransactionStatus::InTransaction => "T",
        TransactionStatus::Failed => "E",
    };
    Ok(cx.string(status).upcast())
}

/// `clientResidue(slot, generation) → boolean`: may statements have left something in the session since this was asked last?
pub(super) fn client_residue(mut cx: FunctionContext) -> JsResult<JsBoolean> {
    let object = registry::get(handle(&mut cx, 0)?);
    let is_left =
        matches!(object, Some(Object::Client(client)) if client.connection().take_residue());
    Ok(cx.boolean(is_left))
}

/// `end(slot, generation, patience in ms) → Promise<undefined>`: ends a pool or client; a stale handle has ended.
pub(super) fn end(mut cx: FunctionContext) -> JsResult<JsPromise> {
    let handle = handle(&mut cx, 0)?;
    let patience = Duration::from_millis(whole(&mut cx, 2)?.into());
    drop(start_pending());
    let object = registry::get(handle);
    let ending = async move {
        let mut ended = Ended::default();
        let mut counted = None;
        match object {
            Some(Object::Pool(pool)) => {
                ended = pool.end(patience).await;
                counted = Some(figures::to_json(&pool.figures()));
            }
            Some(Object::Client(client)) => client.end(patience).await,
            Some(Object::Session(session)) => session.abandon(),
            Some(Object::Guest(_)) | None => {}
        }
        Ok((ended, counted))
    };
    promise(&mut cx, ending, move |cx, (ended, counted)| {
        current(cx)?.disown(handle);
        let text = members(&[
            ("drained", &ended.drained),
            ("rejected", &ended.rejected),
            ("cancelled", &ended.cancelled),
            ("open", &ended.open),
            ("figures", &counted),
        ]);
        Ok(cx.string(text.into_string()).upcast())
    })
}

/// `release(slot, generation)`: lets an object go without waiting for its end.
pub(super) fn release(mut cx: FunctionContext) -> JsResult<JsUndefined> {
    let handle = handle(&mut cx, 0)?;
    drop(start_pending());
    if let Some(object) = current(&mut cx)?.disown(handle) {
        if let Object::Guest(pool) = &object {
            pool.unsubscribe(handle.slot, handle.generation);
        }
        abandon(object);
    }
    Ok(cx.undefined())
}

/// Ends an object nobody waits for.
pub(super) fn abandon(object: Object) {
    match object {
        Object::Pool(pool) => pool.abandon(),
        Object::Session(session) => session.abandon(),
        // Dropping the last handle closes the connection.
        Object::Client(client) => drop(client),
        Object::Guest(pool) => drop(pool),
    }
}

/// `cancel(slot, generation, request) → boolean`: the caller gives a request up.
pub(super) fn cancel(mut cx: FunctionContext) -> JsResult<JsBoolean> {
    let handle = handle(&mut cx, 0)?;
    let id = whole(&mut cx, 2)?;
    let outlet = current(&mut cx)?.outlet();
    drop(start_pending());
    let found = match registry::get(handle) {
        Some(Object::Pool(pool) | Object::Guest(pool)) => pool.cancel(&outlet, id),
        Some(Object::Session(session)) => session.cancel(&outlet, id),
        Some(Object::Client(client)) => client.cancel(&outlet, id),
        None => false,
    };
    Ok(cx.boolean(found))
}

fn oids(cx: &mut FunctionContext, place: usize) -> NeonResult<Vec<u32>> {
    use neon::types::buffer::TypedArray;
    let buffer = cx.argument::<JsBuffer>(place)?;
    let oids = buffer.as_slice(cx).as_chunks::<4>().0.iter();
    Ok(oids.map(|oid| u32::from_le_bytes(*oid)).collect())
}

/// `profile(preset: 'pg' | 'lossless', custom: Buffer, raw: Buffer) → number`, OIDs as little-endian `u32`s.
pub(super) fn profile(mut cx: FunctionContext) -> JsResult<JsNumber> {
    let preset = match text(&mut cx, 0)?.as_str() {
        "pg" => Preset::Pg,
        "lossless" => Preset::Lossless,
        other => return cx.throw_type_error(format!("unknown preset \"{other}\"")),
    };
    let custom = oids(&mut cx, 1)?;
    let raw = oids(&mut cx, 2)?;
    match number_profile(Profile::new(preset, custom).with_raw(raw)) {
        Ok(number) => Ok(cx.number(number)),
        Err(error) => throw(&mut cx, &error),
    }
}
