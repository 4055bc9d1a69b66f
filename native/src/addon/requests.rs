//! Requests of one JS turn: records of the outbox become requests of pools, sessions and clients.
//!
//! Record, little-endian, 8-aligned: 48 bytes of header, then the parameter section padded to 8.
//!
//! ```text
//! 0 u32 slot, 4 u32 generation of the target · 8 u32 request · 12 u32 statement
//! 16 u32 flags · 20 u32 timeout in ms, 0 = none · 24 u32 profile · 28 u32 length of the parameter section
//! 32 u32 statement of a BEGIN in front, 0 = none · 36 u32 rows of a batch · 40 u32 portal · 44 u32 the caller's own name, as a statement, 0 = none
//! ```

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::addon::desk::{Desk, profile};
use crate::addon::registry::{self, Handle, Object};
use crate::config::Driver;
use crate::conn::Origin;
use crate::conn::cancel::PATIENCE;
use crate::conn::event_loop::EventLoop;
use crate::conn::request::{CopyStep, Parameters, Part, Reply, Request, Work};
use crate::conn::statement::Naming;
use crate::error::Error;
use crate::pool::Pool;

/// Bytes of a record's header.
const HEADER: usize = 48;

/// Low bits of the flags: what is asked.
const OPERATION: u32 = 0xf;
const EXECUTE: u32 = 0;
const SIMPLE: u32 = 1;
const OPEN: u32 = 2;
const FETCH: u32 = 3;
const CLOSE: u32 = 4;
/// Lets a statement's number go.
const DROP: u32 = 5;
/// A COPY FROM STDIN, or TO STDOUT with [`OUTGOING`].
const COPY: u32 = 6;
/// Steps of the COPY whose request number the record carries: they are not answered.
const COPY_DATA: u32 = 7;
const COPY_DONE: u32 = 8;
const COPY_FAIL: u32 = 9;
/// The batch is the number of bytes used up.
const COPY_TAKEN: u32 = 10;
/// The portal without a Sync.
const CURSOR_OPEN: u32 = 11;
const CURSOR_FETCH: u32 = 12;
const CURSOR_CLOSE: u32 = 13;
/// A step as [`COPY_DATA`], of rows.
const COPY_ROWS: u32 = 14;
/// Not kept as a prepared statement.
const UNNAMED: u32 = 0x10;
/// May be cancelled: travels alone.
const EXCLUSIVE: u32 = 0x20;
/// Some parameters come as array literal and as JSON.
const EITHER: u32 = 0x40;
/// Inside a transaction the driver opened.
const TRANSACTION: u32 = 0x80;
/// The driver's own COMMIT.
const COMMIT: u32 = 0x100;
/// The last request of its session.
const FINISH: u32 = 0x200;
/// TO STDOUT; of a statement: the data of such a COPY is left out.
const OUTGOING: u32 = 0x400;
/// Kept prepared only outside transactions.
const OUTSIDE: u32 = 0x800;
/// The caller wants to hear which connection the request got.
const TOLD: u32 = 0x1000;
/// The outcome is to be known even if the answer is lost.
const PROBE: u32 = 0x2000;
/// May be sent ahead of the answers to others that may.
const PIPELINED: u32 = 0x4000;
/// The caller has given up the name that he gives the statement again.
const RENEWED: u32 = 0x8000;

struct Record<'a> {
    words: [u32; 12],
    params: &'a [u8],
}

impl Record<'_> {
    fn word(&self, place: usize) -> u32 {
        self.words.get(place).copied().unwrap_or_default()
    }

    fn has(&self, flag: u32) -> bool {
        self.word(4) & flag != 0
    }

    fn handle(&self) -> Handle {
        Handle {
            slot: self.word(0),
            generation: self.word(1),
        }
    }
}

/// Reads the next record off the outbox; `None` when the bytes are no whole record.
fn next<'a>(outbox: &mut &'a [u8]) -> Option<Record<'a>> {
    let (header, rest) = outbox.split_first_chunk::<HEADER>()?;
    let mut words = [0; 12];
    for (word, bytes) in words.iter_mut().zip(header.as_chunks::<4>().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    let length = usize::try_from(words.get(7).copied()?).ok()?;
    let (params, rest) = rest.split_at_checked(length)?;
    *outbox = rest.get(length.next_multiple_of(8) - length..)?;
    Some(Record { words, params })
}

/// Starts everything a turn has asked for; each request is answered through the mailbox, whatever is wrong with it.
///
/// `left`: gets the records that the engine's thread is to start.
/// Returns `false` when the outbox is no sequence of whole records, which only a bug can cause; what came before the
/// broken record was started.
pub(super) fn start_all(
    desk: &Desk,
    mut outbox: &[u8],
    caller: Caller<'_>,
    left: &mut Vec<u8>,
) -> bool {
    let now = Instant::now();
    let mut target = Target::default();
    while !outbox.is_empty() {
        let whole = outbox;
        let Some(record) = next(&mut outbox) else {
            return false;
        };
        target.becomes(record.handle());
        let origin = match caller.events {
            // Behind those that are left, one of which may use the statement.
            Some(_) if record.word(4) & OPERATION == DROP && !left.is_empty() => None,
            Some(_) if record.word(4) & OPERATION == DROP => Some(Origin::Engine),
            _ => caller.origin(&target),
        };
        let Some(origin) = origin else {
            let length = whole.len() - outbox.len();
            left.extend_from_slice(whole.get(..length).unwrap_or_default());
            continue;
        };
        match record.word(4) & OPERATION {
            DROP => desk.drop_statement(record.word(3)),
            COPY_DATA | COPY_ROWS | COPY_DONE | COPY_FAIL | COPY_TAKEN => copy_step(desk, &record),
            _ => start(desk, &record, &target, now, origin),
        }
    }
    true
}

/// The thread that starts requests.
#[derive(Clone, Copy)]
pub(super) struct Caller<'a> {
    /// Its event loop, if sockets can be lent to that.
    pub(super) events: Option<&'a Arc<EventLoop>>,
    /// The loop was punctual when the turn's requests came. Asked once: what travels on one connection is started by one
    /// thread, and so keeps its order.
    is_punctual: bool,
    /// The environment awaits nothing else, so the request may be written by the calling thread.
    pub(super) alone: bool,
    /// It is the engine's thread.
    is_engine: bool,
}

impl<'a> Caller<'a> {
    /// The engine's thread.
    pub(super) const ENGINE: Self = Self {
        events: None,
        is_punctual: false,
        alone: false,
        is_engine: true,
    };

    /// The thread of an environment.
    pub(super) fn new(events: Option<&'a Arc<EventLoop>>, alone: bool) -> Self {
        Self {
            events,
            is_punctual: events.is_some_and(|events| events.is_punctual()),
            alone,
            is_engine: false,
        }
    }

    /// What it may do for a request by itself; `None`: the engine's thread starts the request.
    fn origin(self, target: &Target) -> Option<Origin<'a>> {
        if self.is_engine {
            return Some(Origin::Engine);
        }
        if let Some(events) = self.events {
            let driver = match (&target.object, &target.pool) {
                (Some(Object::Client(client)), _) => client.connection().driver,
                (_, Some(pool)) => pool.driver(),
                (_, None) => Driver::Auto,
            };
            let reads = match driver {
                Driver::Auto => self.is_punctual,
                Driver::Loop => true,
                Driver::Engine => false,
            };
            if reads {
                return Some(Origin::Loop(events));
            }
        }
        self.alone.then_some(Origin::Alone)
    }
}

/// What a record is for. The next one mostly is for the same.
#[derive(Default)]
struct Target {
    handle: Option<Handle>,
    /// `None` once the handle is stale.
    object: Option<Object>,
    /// The pool whose limits and manners hold.
    pool: Option<Arc<Pool>>,
}

impl Target {
    fn becomes(&mut self, handle: Handle) {
        if self.handle == Some(handle) {
            return;
        }
        let object = registry::get(handle);
        let pool = match &object {
            Some(Object::Pool(pool) | Object::Guest(pool)) => Some(Arc::clone(pool)),
            Some(Object::Session(session)) => session.pool(),
            Some(Object::Client(_)) | None => None,
        };
        *self = Self {
            handle: Some(handle),
            object,
            pool,
        };
    }
}

/// What has no target any more is over, and its own answer says why.
fn copy_step(desk: &Desk, record: &Record<'_>) {
    let step = match record.word(4) & OPERATION {
        COPY_DATA => CopyStep::Data(record.params.into()),
        COPY_ROWS => CopyStep::Rows(record.params.into()),
        COPY_DONE => CopyStep::Done,
        COPY_FAIL => CopyStep::Fail(String::from_utf8_lossy(record.params).into()),
        _ => CopyStep::Taken(usize::try_from(record.word(9)).unwrap_or(usize::MAX)),
    };
    let handle = record.handle();
    let (outlet, of) = (desk.outlet(), record.word(2));
    match registry::get(handle) {
        Some(Object::Session(session)) => session.copy_step(&outlet, of, step),
        Some(Object::Client(client)) => client.connection().copy_step(&outlet, of, step),
        Some(Object::Pool(_) | Object::Guest(_)) | None => {}
    }
}

fn start(desk: &Desk, record: &Record<'_>, target: &Target, now: Instant, origin: Origin<'_>) {
    let reply = Reply::Outlet {
        outlet: desk.outlet(),
        id: record.word(2),
    };
    let Some(object) = &target.object else {
        let is_of_session = [TRANSACTION, COMMIT, FINISH]
            .into_iter()
            .any(|flag| record.has(flag));
        let what = if is_of_session { "transaction" } else { "pool" };
        return reply.fail(&Error::Closed { what });
    };
    let pool = target.pool.as_deref();
    let mut request = match assemble(desk, record, pool) {
        Ok((work, profile)) => Request::asked(work, reply, profile, now),
        Err(error) => return reply.fail(&error),
    };
    request.exclusive = record.has(EXCLUSIVE);
    request.pipelined = record.has(PIPELINED);
    request.part = if record.has(COMMIT) {
        Part::Commit
    } else if record.has(TRANSACTION) {
        Part::Inside
    } else {
        Part::Single
    };
    request.finish = record.has(FINISH);
    request.told = record.has(TOLD);
    request.leaves_copy = record.has(OUTGOING);
    request.renews_name = record.has(RENEWED);
    request.timeout = timeout(record, pool);
    request.may_outlast = record.has(COMMIT) && record.word(5) == 0;
    request.probes = record.has(PROBE) && pool.is_none_or(Pool::takes_probes);
    request.max_result = pool.and_then(Pool::max_result_bytes);
    match object {
        Object::Pool(pool) | Object::Guest(pool) => pool.submit(request, origin),
        Object::Session(session) => session.submit(request, origin),
        Object::Client(client) => client.submit(request, origin),
    }
}

/// The caller's own time limit, else the pool's. The end of a transaction has as much longer as a statement whose cancel is
/// not answered: it may have deferred work to do, and is not cancelled.
fn timeout(record: &Record<'_>, pool: Option<&Pool>) -> Option<Duration> {
    match record.word(5) {
        0 if record.has(FINISH) || record.has(COMMIT) => {
            (pool?.max_statement()).map(|limit| limit + PATIENCE)
        }
        0 => pool?.max_statement(),
        ms => Some(Duration::from_millis(ms.into())),
    }
}

/// How the statement of a record is kept on the server.
fn naming(desk: &Desk, record: &Record<'_>, pool: Option<&Pool>) -> Result<Naming, Error> {
    if record.word(11) != 0 {
        return desk
            .statement(record.word(11))
            .map(|name| Naming::Own(name.text.clone()));
    }
    let is_unnamed = record.has(UNNAMED) || pool.is_some_and(|pool| !pool.named());
    Ok(if is_unnamed {
        Naming::Unnamed
    } else if record.has(OUTSIDE) {
        Naming::CachedOutside
    } else {
        Naming::Cached
    })
}

fn assemble(
    desk: &Desk,
    record: &Record<'_>,
    pool: Option<&Pool>,
) -> Result<(Work, Arc<crate::conn::statement::NumberedProfile>), Error> {
    let profile = profile(record.word(6))?;
    let statement = || desk.statement(record.word(3));
    let begin = || match record.word(8) {
        0 => Ok(None),
        number => desk.statement(number).map(Some),
    };
    let batch = || {
        i32::try_from(record.word(9))
            .map_err(|_| Error::encode("a batch of more than 2147483647 rows"))
    };
    let portal = || format!("berth_{}", record.word(10)).into_boxed_str();
    let params = || Parameters {
        section: record.params.into(),
        either: record.has(EITHER),
    };
    let work = match record.word(4) & OPERATION {
        EXECUTE => Work::Execute {
            statement: statement()?,
            params: params(),
            naming: naming(desk, record, pool)?,
            begin: begin()?,
        },
        SIMPLE => Work::Simple {
            statement: statement()?,
            keep: record.has(OUTSIDE),
        },
        OPEN => Work::Open {
            statement: statement()?,
            params: params(),
            naming: naming(desk, record, pool)?,
            begin: begin()?,
            portal: portal(),
            batch: batch()?,
        },
        FETCH => Work::Fetch {
            portal: portal(),
            batch: batch()?,
        },
        CLOSE => Work::Close { portal: portal() },
        COPY => Work::Copy {
            statement: statement()?,
            incoming: !record.has(OUTGOING),
        },
        CURSOR_OPEN => Work::CursorOpen {
            statement: statement()?,
            params: params(),
            batch: batch()?,
        },
        CURSOR_FETCH => Work::CursorFetch { batch: batch()? },
        CURSOR_CLOSE => Work::CursorClose,
        other => return Err(Error::internal(format!("unknown operation {other}"))),
    };
    Ok((work, profile))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(words: [u32; 12], params: &[u8]) -> Vec<u8> {
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes.extend_from_slice(params);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes
    }

    #[test]
    fn records_are_read_one_after_the_other() {
        let mut bytes = record([1, 2, 3, 4, 5, 6, 7, 5, 8, 9, 10, 0], b"abcde");
        bytes.extend(record([11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], b""));
        let mut outbox: &[u8] = &bytes;
        let first = next(&mut outbox).unwrap();
        assert_eq!(
            (first.word(0), first.word(9), first.params),
            (1, 9, &b"abcde"[..])
        );
        assert_eq!(next(&mut outbox).unwrap().word(0), 11);
        assert!(outbox.is_empty());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_requests_of_one_turn_are_started_by_one_thread_and_keep_their_order() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let events = EventLoop::new(runtime.handle().clone()).unwrap();
        let target = Target::default();
        let turn = Caller::new(Some(&events), false);
        let starts_itself = |turn: Caller<'_>| turn.origin(&target).is_some();
        assert!(starts_itself(turn));
        // The engine finds the loop late while the turn's requests are being started.
        events.was_late();
        assert!(
            starts_itself(turn),
            "a request went to the other thread, and may be overtaken"
        );
        assert!(!starts_itself(Caller::new(Some(&events), false)));
    }

    #[test]
    fn sec_f02_a_length_beyond_the_outbox_is_no_record() {
        for length in [6, 8, u32::MAX] {
            let bytes = record([0, 0, 0, 0, 0, 0, 0, length, 0, 0, 0, 0], b"");
            assert!(next(&mut bytes.as_slice()).is_none(), "{length}");
        }
        assert!(next(&mut &[0; HEADER - 1][..]).is_none());
    }
}
