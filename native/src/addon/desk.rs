//! The part of a JS environment that requests need on any thread: where answers go, and statements by number.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use crate::conn::request::Outlet;
use crate::conn::statement::{NumberedProfile, Statement};
use crate::error::Error;
use crate::frame::Profile;

/// Profiles of the process by number; never removed, because numbers may be in flight, and bounded.
static PROFILES: RwLock<Vec<Arc<NumberedProfile>>> = RwLock::new(Vec::new());

/// Distinct profiles a process may use.
const MAX_PROFILES: usize = 4096;

/// Statement texts an environment may hold at the same time; JS lets go of its least recently used ones before.
const MAX_STATEMENTS: usize = 1 << 20;

/// Where an environment's requests are read.
pub(super) struct Desk {
    outlet: Arc<dyn Outlet>,
    /// By number; 0 is never used.
    statements: Mutex<Statements>,
}

#[derive(Default)]
struct Statements {
    by_number: Vec<Option<Arc<Statement>>>,
    free: Vec<u32>,
}

impl Desk {
    /// A desk without statements.
    pub(super) fn new(outlet: Arc<dyn Outlet>) -> Self {
        Self {
            outlet,
            statements: Mutex::default(),
        }
    }

    /// Where answers go.
    pub(super) fn outlet(&self) -> Arc<dyn Outlet> {
        Arc::clone(&self.outlet)
    }

    fn statements(&self) -> MutexGuard<'_, Statements> {
        self.statements
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Numbers a statement text.
    pub(super) fn add_statement(&self, text: &str) -> Result<u32, Error> {
        let statement = Statement::intern(text)?;
        let mut statements = self.statements();
        if let Some(number) = statements.free.pop() {
            if let Some(place) = place(&mut statements.by_number, number) {
                *place = Some(statement);
            }
            return Ok(number);
        }
        if statements.by_number.is_empty() {
            statements.by_number.push(None);
        }
        if statements.by_number.len() > MAX_STATEMENTS {
            return Err(Error::encode(format!(
                "more than {MAX_STATEMENTS} statements are held"
            )));
        }
        statements.by_number.push(Some(statement));
        u32::try_from(statements.by_number.len() - 1)
            .map_err(|_| Error::internal("statement numbers ran out"))
    }

    /// Lets a statement's number go; requests that carry it were started before.
    pub(super) fn drop_statement(&self, number: u32) {
        let mut statements = self.statements();
        if place(&mut statements.by_number, number).is_some_and(|place| place.take().is_some()) {
            statements.free.push(number);
        }
    }

    /// The statement of a number.
    pub(super) fn statement(&self, number: u32) -> Result<Arc<Statement>, Error> {
        place(&mut self.statements().by_number, number)
            .and_then(|place| place.clone())
            .ok_or_else(|| Error::internal(format!("statement {number} is not held")))
    }
}

fn place(
    by_number: &mut [Option<Arc<Statement>>],
    number: u32,
) -> Option<&mut Option<Arc<Statement>>> {
    by_number.get_mut(usize::try_from(number).ok()?)
}

/// The number of a profile; equal ones share it.
pub(super) fn number_profile(profile: Profile) -> Result<u32, Error> {
    let mut profiles = PROFILES.write().unwrap_or_else(PoisonError::into_inner);
    let known = profiles.iter().position(|known| known.profile == profile);
    let at = match known {
        Some(at) => at,
        None if profiles.len() >= MAX_PROFILES => {
            return Err(Error::config(
                "types",
                format!("are set in more than {MAX_PROFILES} different ways"),
            ));
        }
        None => profiles.len(),
    };
    let number = u32::try_from(at).map_err(|_| Error::internal("profile numbers ran out"))?;
    if known.is_none() {
        profiles.push(Arc::new(NumberedProfile { number, profile }));
    }
    Ok(number)
}

/// The profile of a number.
pub(super) fn profile(number: u32) -> Result<Arc<NumberedProfile>, Error> {
    let profiles = PROFILES.read().unwrap_or_else(PoisonError::into_inner);
    usize::try_from(number)
        .ok()
        .and_then(|at| profiles.get(at).cloned())
        .ok_or_else(|| Error::internal(format!("profile {number} does not exist")))
}
