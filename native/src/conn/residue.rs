//! What a statement may leave in its session when it is over, for whoever has the connection next: settings, temporary tables,
//! prepared statements, open cursors, locks of the session, channels that are listened to.
//!
//! What a trigger, a view or an operator calls is not seen, and what sequences have given last is nobody's business.

use crate::conn::request::Request;
use crate::conn::words::{Word, has, is_suspect};
use crate::error::Error;

/// What a statement begins with that leaves nothing by itself, or takes something away.
const PASSING: &str = " select insert update delete merge with values table show explain fetch move close declare begin start commit \
    end abort rollback savepoint release lock truncate copy analyze analyse vacuum reindex refresh cluster checkpoint notify \
    comment grant revoke security reassign import create alter drop set reset discard deallocate unlisten ";

/// Words of what lasts, wherever they stand.
const LASTING: &str = " temp temporary hold execute setseed pg_advisory_lock pg_advisory_lock_shared pg_try_advisory_lock \
    pg_try_advisory_lock_shared ";

/// What `SET` may set that ends with its transaction.
const OF_TRANSACTION: &str = " local transaction constraints ";

/// Sets a setting for its transaction or for the session.
const SET_CONFIG: &str = "set_config";

/// What the sessions of one connection have left in it.
#[derive(Debug)]
pub struct Residue {
    /// Somebody wants to know.
    is_watched: bool,
    /// Something may be there.
    pub is_left: bool,
    /// Why it could not be removed.
    pub failure: Option<Error>,
}

impl Residue {
    /// Nothing is left yet.
    #[must_use]
    pub const fn new(is_watched: bool) -> Self {
        Self {
            is_watched,
            is_left: false,
            failure: None,
        }
    }

    /// A request of the session was answered.
    pub(super) fn follow(&mut self, request: &Request, error: Option<&Error>) {
        if request.resets {
            self.is_left = error.is_some();
            self.failure = error.cloned();
        } else if self.is_watched && !self.is_left && !request.is_upkeep {
            let statement = request.work.statement();
            self.is_left = statement.is_some_and(|statement| statement.leaves_residue());
        }
    }
}

/// May something of it last in its session?
pub(super) fn leaves_residue(text: &str) -> bool {
    let mut is_set = false;
    let is_lasting = |found: Word<'_>| {
        let word = found.text;
        match found.place {
            0 => is_set = word == "set",
            1 if is_set => return found.before != "set" || !has(OF_TRANSACTION, word),
            _ => {}
        }
        let begins = found.place == 0 && !has(PASSING, word);
        begins || has(LASTING, word) || word.starts_with("pg_temp")
    };
    is_suspect(text, is_lasting) || sets_session(text)
}

/// Does it call `set_config` for more than its transaction?
fn sets_session(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    (text.split(SET_CONFIG).skip(1)).any(|behind| !ends_with_transaction(behind))
}

/// May it set something, for longer than its transaction, that its text does not name?
pub(super) fn sets_unnamed(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    (text.split(SET_CONFIG).skip(1))
        .any(|behind| !ends_with_transaction(behind) && !names_setting(behind))
}

/// Is this `('name', …`?
fn names_setting(call: &str) -> bool {
    let name = (call.trim_start().strip_prefix('('))
        .and_then(|arguments| arguments.trim_start().strip_prefix('\''))
        .and_then(|name| name.split_once('\''));
    name.is_some_and(|(_, rest)| rest.trim_start().starts_with(','))
}

/// Is this, up to its closing parenthesis, `(name, value, true)`?
fn ends_with_transaction(call: &str) -> bool {
    let Some(arguments) = call.trim_start().strip_prefix('(') else {
        return false;
    };
    let (mut depth, mut is_text) = (1_usize, false);
    let mut last = ' ';
    for (at, letter) in arguments.char_indices() {
        match letter {
            '\'' => is_text = !is_text,
            '\\' | '"' => return false,
            _ if is_text => {}
            '(' => depth += 1,
            ')' => depth -= 1,
            '-' if last == '-' => return false,
            '*' if last == '/' => return false,
            // The quote of a text.
            letter if last == '$' && !letter.is_ascii_digit() => return false,
            _ => {}
        }
        if depth == 0 {
            let inside = arguments.get(..at).unwrap_or_default().trim_end();
            return inside
                .strip_suffix("true")
                .is_some_and(|rest| rest.trim_end().ends_with(','));
        }
        last = letter;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_with_its_statement_or_its_transaction_leaves_nothing() {
        for text in [
            "",
            "select 1",
            "select count(*), coalesce(a, 0) from t as x (a, b) where a in ($1, $2) and b like 'x%'",
            "insert into t (a, b) values ($1, $2) on conflict (a) do update set b = excluded.b returning (a)",
            "insert into \"app\".\"T\" (\"a\", \"b\") values ($1, lower($2)) returning \"a\"",
            "insert into app.t (a) select 1",
            "insert into \"T\" as x (a) values (1)",
            "with x (a) as (select 1), y as (delete from t returning *) select * from x",
            "update t set (a, b) = ($1, $2), local = 1 where \"temperature\" > 3",
            "copy t (a, b) from stdin",
            "create table if not exists t (a int primary key, b varchar(10) references u (c))",
            "BEGIN ISOLATION LEVEL SERIALIZABLE",
            "set local search_path = a",
            "SET TRANSACTION READ ONLY",
            "reset all",
            "discard all",
            "unlisten *",
            "notify a, 'b'",
            "select pg_advisory_xact_lock($1)",
            "select set_config('app.user', $1, true)",
            "select SET_CONFIG('app.a', coalesce($1, 'it''s, (1)'), TRUE ), set_config('app.b', $2, true)",
            "-- of the tenant\nselect 1",
            "declare c cursor for select 1",
        ] {
            assert!(!leaves_residue(text), "{text}");
        }
    }

    #[test]
    fn what_may_last_is_suspected() {
        for text in [
            "set search_path = a",
            "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
            "set /* local */ search_path = a",
            "/* select */ set search_path = a",
            "select 1; set search_path = a",
            "select 'into \"; set a = 1; select \"'",
            "set \"search_path\" = a",
            "set role a",
            "select set_config('app.user', $1, false)",
            "select set_config('app.user', $1, $2)",
            "select set_config('app.user', 'a, true', false)",
            "select set_config('app.a', '1', true), set_config('app.a', '1', false)",
            "select set_config('app.a', $$, true)$$, false)",
            "select set_config('app.a', E'\\', true)', false)",
            "select set_config /* (1, 2, true) */ ('app.a', '1', false)",
            "select set_config('app.a', $1, /* , */ true)",
            "select set_config('app.a', $1, not true)",
            "select \"set_config\"('app.a', $1, true)",
            "listen a",
            "create temp table t (a int)",
            "create table pg_temp.t (a int)",
            "select 1 as a into temporary t",
            "prepare p as select 1",
            "declare c cursor with hold for select 1",
            "select pg_advisory_lock(1)",
            "select pg_try_advisory_lock(1)",
            "select tenant($1)",
            "select * from app.tenant($1)",
            "insert into t (a) values (tenant($1))",
            "insert into t (a) select tenant(1)",
            "do $$ begin set search_path = a; end $$",
            "call p()",
            "load 'auto_explain'",
            "explain analyze execute p",
        ] {
            assert!(leaves_residue(text), "{text}");
        }
    }
}
