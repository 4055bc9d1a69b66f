//! Statement texts shared by the process, and the bounded cache of what one connection has prepared.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use lru::LruCache;

use crate::conn::residue::leaves_residue;
use crate::conn::unseen::acts_unseen;
pub use crate::conn::wording::Class;
use crate::conn::wording::{classify, hides, may_copy, overrides_fence, writes};
use crate::error::Error;
use crate::field::Field;
use crate::frame::{Plan, Profile, Shapes};

/// A statement that took longer than this is not put behind or in front of others on a shared connection.
const QUICK: Duration = Duration::from_millis(2);

/// A connection that has lost so many statements is behind a pooler: a program that resets its session every now and
/// then does it more rarely than it runs statements.
const MAX_LOST: u32 = 3;

/// One SQL text of the process. Every environment and connection that uses the same text shares it.
#[allow(clippy::struct_excessive_bools, reason = "independent facts")]
#[derive(Debug)]
pub struct Statement {
    /// Number that is never used twice in a process.
    pub id: u64,
    /// The SQL text.
    pub text: Box<str>,
    /// What the first keyword says.
    pub class: Class,
    /// May it begin a COPY? Nothing is sent behind such a statement before its answer.
    pub may_copy: bool,
    /// The first keyword says that it writes.
    pub writes: bool,
    /// It may make a temporary table that hides another: what was prepared before would go on reading that one.
    pub hides: bool,
    /// It may lift the fence of a demoted primary, or hide it (CP-8).
    pub overrides_fence: bool,
    /// It may have an effect at COMMIT that the transaction's id does not tell of.
    pub acts_unseen: bool,
    /// See [`Statement::leaves_residue`].
    leaves_residue: OnceLock<bool>,
    /// Microseconds of the last execution, 0 before the first.
    micros: AtomicU32,
}

impl Statement {
    /// The shared statement of this text.
    ///
    /// # Errors
    /// [`Error::Encode`] for U+0000, which no message can carry.
    pub fn intern(text: &str) -> Result<Arc<Self>, Error> {
        static TEXTS: OnceLock<Mutex<Texts>> = OnceLock::new();
        if memchr::memchr(0, text.as_bytes()).is_some() {
            return Err(Error::encode("the SQL text contains U+0000"));
        }
        let mut texts = TEXTS
            .get_or_init(Mutex::default)
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Ok(texts.intern(text))
    }

    /// Remembers how long the last execution took.
    pub fn took(&self, time: Duration) {
        let micros = u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
        self.micros.store(micros.max(1), Ordering::Relaxed);
    }

    /// May something of it last in its session? Found out when it is asked for first.
    pub fn leaves_residue(&self) -> bool {
        *(self.leaves_residue).get_or_init(|| leaves_residue(&self.text))
    }

    /// Is it worth being kept prepared?
    pub fn is_short(&self) -> bool {
        self.text.len() <= LONGEST_KEPT
    }

    /// Was it executed before, on any connection?
    pub fn has_run(&self) -> bool {
        self.micros.load(Ordering::Relaxed) != 0
    }

    /// Was the last execution short enough to share a connection? `false` before the first.
    pub fn is_quick(&self) -> bool {
        let micros = self.micros.load(Ordering::Relaxed);
        micros != 0 && Duration::from_micros(micros.into()) <= QUICK
    }
}

/// Bytes of texts below which dead ones are not looked for.
const SWEEP_AT_LEAST: usize = 1 << 20;

/// Longer texts, generated ones mostly, are parsed for each execution: kept, they would cost both sides many times their
/// length on every connection.
const LONGEST_KEPT: usize = 100_000;

#[derive(Default)]
struct Texts {
    by_text: HashMap<Box<str>, Weak<Statement>>,
    /// Of all texts in the table.
    bytes: usize,
    /// Entries, and bytes, at which dead ones are swept out next.
    sweep_at: (usize, usize),
}

impl Texts {
    fn intern(&mut self, text: &str) -> Arc<Statement> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        if let Some(known) = self.by_text.get(text).and_then(Weak::upgrade) {
            return known;
        }
        if self.by_text.len() >= self.sweep_at.0 || self.bytes >= self.sweep_at.1 {
            self.by_text.retain(|_, known| known.strong_count() > 0);
            self.bytes = self.by_text.keys().map(|text| text.len()).sum();
            self.sweep_at = (
                (self.by_text.len() * 2).max(1024),
                (self.bytes * 2).max(SWEEP_AT_LEAST),
            );
        }
        self.bytes += text.len();
        let statement = Arc::new(Statement {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            text: text.into(),
            class: classify(text),
            may_copy: may_copy(text),
            writes: writes(text),
            hides: hides(text),
            overrides_fence: overrides_fence(text),
            acts_unseen: acts_unseen(text),
            leaves_residue: OnceLock::new(),
            micros: AtomicU32::new(0),
        });
        self.by_text.insert(text.into(), Arc::downgrade(&statement));
        statement
    }
}

/// What the server said about a prepared statement.
#[derive(Debug)]
pub struct Described {
    /// Types of the parameters.
    pub parameters: Box<[u32]>,
    /// Columns of the result; `None` when it returns no rows.
    pub fields: Option<Box<[Field]>>,
}

/// A statement that this connection has prepared, or is preparing.
#[derive(Debug)]
pub struct Prepared {
    /// Its name on the server.
    pub name: Box<str>,
    /// The caller chose the name: what goes wrong with it is his to know.
    pub own: bool,
    /// Set when `ParseComplete` came.
    pub parsed: OnceLock<()>,
    /// Set when its description came.
    pub described: OnceLock<Described>,
    /// Plans by profile number: text for the execution that was sent before the description was known, per type later.
    plans: Mutex<Vec<(u32, bool, Arc<Plan>)>>,
}

impl Prepared {
    /// A statement about to be parsed under this name.
    #[must_use]
    pub fn new(name: Box<str>, own: bool) -> Arc<Self> {
        Arc::new(Self {
            name,
            own,
            parsed: OnceLock::new(),
            described: OnceLock::new(),
            plans: Mutex::default(),
        })
    }

    /// How rows of this statement become frames under a profile; `None` before the description, or without rows.
    pub fn plan(
        &self,
        profile: &NumberedProfile,
        all_text: bool,
        shapes: &Shapes,
    ) -> Option<Arc<Plan>> {
        let fields = self.described.get()?.fields.as_deref()?;
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, _, plan)) = plans
            .iter()
            .find(|(number, text, _)| *number == profile.number && *text == all_text)
        {
            return Some(Arc::clone(plan));
        }
        let plan = Arc::new(if all_text {
            Plan::all_text(shapes, fields, &profile.profile)
        } else {
            Plan::per_type(shapes, fields, &profile.profile)
        });
        // Profiles are few; an application that makes them without end must not make this grow with it.
        if plans.len() >= 8 {
            plans.remove(0);
        }
        plans.push((profile.number, all_text, Arc::clone(&plan)));
        Some(plan)
    }
}

/// How a statement is kept on the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Naming {
    /// Not at all: it is parsed for this execution.
    Unnamed,
    /// Under a name of ours, in the bounded cache.
    Cached,
    /// The same while no transaction is open, else not at all: inside a transaction a statement that turns out to be
    /// stale has failed it, and cannot be sent again.
    CachedOutside,
    /// Under the caller's own name, until the caller or the session ends it.
    Own(Box<str>),
}

impl Naming {
    /// Whether a statement of ours may be used is known now.
    pub fn decide(&mut self, may_cache: bool) {
        if *self == Self::CachedOutside {
            *self = if may_cache {
                Self::Cached
            } else {
                Self::Unnamed
            };
        }
    }
}

/// A type profile with the number under which plans are kept.
#[derive(Debug)]
pub struct NumberedProfile {
    /// Process-wide number.
    pub number: u32,
    /// The mapping itself.
    pub profile: Profile,
}

/// A statement kept under a name of ours.
#[derive(Debug)]
struct Kept {
    statement: Arc<Statement>,
    prepared: Arc<Prepared>,
    /// How often it was asked for.
    uses: u64,
}

/// A statement kept under a name of the caller's.
#[derive(Debug)]
struct Own {
    /// The statement it stands for.
    id: u64,
    prepared: Arc<Prepared>,
    /// The server has let it go: the caller's to know, but not that of whoever has the connection behind him.
    is_lost: bool,
}

/// The statements one connection has prepared: least recently used ones make room.
#[derive(Debug)]
pub struct StatementCache {
    known: LruCache<u64, Kept>,
    /// Under the caller's own names.
    own: HashMap<Box<str>, Own>,
    /// Part of our names. Behind a pooler the next request may meet a session where another client has prepared
    /// something else: its names must not be ours.
    mark: u64,
    /// Statements the server did not know although nobody here had ended them.
    lost: u32,
    next: u64,
    /// Names to close with the next request.
    evicted: Vec<Box<str>>,
}

impl StatementCache {
    /// A cache of at most `size` statements (at least one).
    #[must_use]
    pub fn new(size: usize) -> Self {
        Self {
            known: LruCache::new(NonZeroUsize::new(size).unwrap_or(NonZeroUsize::MIN)),
            own: HashMap::new(),
            mark: RandomState::new().hash_one(size),
            lost: 0,
            next: 1,
            evicted: Vec::new(),
        }
    }

    /// The prepared statement, freshened in the order of use.
    pub fn get(&mut self, statement: &Statement) -> Option<Arc<Prepared>> {
        let kept = self.known.get_mut(&statement.id)?;
        kept.uses += 1;
        Some(Arc::clone(&kept.prepared))
    }

    /// The statements that were asked for most, with how often: at most so many. Only such as do nothing to a session that
    /// prepares them.
    #[must_use]
    pub fn most_used(&self, count: usize) -> Vec<(Arc<Statement>, u64)> {
        let mut used: Vec<_> = (self.known.iter())
            .map(|(_, kept)| (Arc::clone(&kept.statement), kept.uses))
            .filter(|(statement, _)| statement.class == Class::Plain && !statement.overrides_fence)
            .collect();
        used.sort_by_key(|(_, uses)| std::cmp::Reverse(*uses));
        used.truncate(count);
        used
    }

    /// A new name for a statement about to be parsed.
    pub fn insert(&mut self, statement: &Arc<Statement>) -> Arc<Prepared> {
        let name = format!("berth_{:x}_{}", self.mark, self.next).into_boxed_str();
        let prepared = Prepared::new(name, false);
        self.next += 1;
        let kept = Kept {
            statement: Arc::clone(statement),
            prepared: Arc::clone(&prepared),
            uses: 1,
        };
        if let Some((_, old)) = self.known.push(statement.id, kept) {
            self.evicted.push(old.prepared.name.clone());
        }
        prepared
    }

    /// The statement under a name of the caller's, and whether it is still to be parsed.
    ///
    /// # Errors
    /// [`Error::Encode`] when the name stands for another statement.
    pub fn own(
        &mut self,
        name: &str,
        statement: &Statement,
    ) -> Result<(Arc<Prepared>, bool), Error> {
        match self.own.get(name) {
            Some(own) if own.id == statement.id => Ok((Arc::clone(&own.prepared), false)),
            Some(_) => Err(Error::encode(format!(
                "Prepared statements must be unique - '{name}' was used for a different statement"
            ))),
            None => {
                let prepared = Prepared::new(name.into(), true);
                let own = Own {
                    id: statement.id,
                    prepared: Arc::clone(&prepared),
                    is_lost: false,
                };
                self.own.insert(name.into(), own);
                Ok((prepared, true))
            }
        }
    }

    /// Forgets a name of the caller's, who has deallocated it.
    pub fn forget_own(&mut self, name: &str) {
        self.own.remove(name);
    }

    /// Do statements stay prepared? Not behind a pooler that changes the session between transactions: there each
    /// would be prepared anew, and none closed.
    #[must_use]
    pub const fn is_lasting(&self) -> bool {
        self.lost < MAX_LOST
    }

    /// The server did not know a statement of ours.
    pub const fn count_lost(&mut self) {
        self.lost = self.lost.saturating_add(1);
    }

    /// Forgets a statement; `close` when the server still knows it.
    pub fn remove(&mut self, statement: &Statement, prepared: &Arc<Prepared>, close: bool) {
        if prepared.own {
            self.own
                .retain(|_, own| !Arc::ptr_eq(&own.prepared, prepared));
            return;
        }
        if self
            .known
            .peek(&statement.id)
            .is_some_and(|known| Arc::ptr_eq(&known.prepared, prepared))
        {
            self.known.pop(&statement.id);
            if close {
                self.evicted.push(prepared.name.clone());
            }
        }
    }

    /// Lets every statement of ours go: they are prepared anew.
    pub fn renew(&mut self) {
        let old = (self.known.iter()).map(|(_, kept)| kept.prepared.name.clone());
        self.evicted.extend(old);
        self.known.clear();
    }

    /// The server has let every statement go.
    pub fn forget_all(&mut self) {
        self.known.clear();
        self.evicted.clear();
        self.own.values_mut().for_each(|own| own.is_lost = true);
    }

    /// The caller leaves: names of his that the server has let go are nobody's.
    pub fn drop_lost(&mut self) {
        self.own.retain(|_, own| !own.is_lost);
    }

    /// Names of evicted statements that the server still holds.
    #[must_use]
    pub fn evicted(&self) -> &[Box<str>] {
        &self.evicted
    }

    /// These were not closed after all.
    pub fn still_evicted(&mut self, names: Vec<Box<str>>) {
        for name in names {
            if !self.evicted.contains(&name) {
                self.evicted.push(name);
            }
        }
    }

    /// The same names, which are being closed.
    pub fn take_evicted(&mut self) -> Vec<Box<str>> {
        std::mem::take(&mut self.evicted)
    }
}

#[cfg(test)]
#[path = "statement_tests.rs"]
mod tests;
