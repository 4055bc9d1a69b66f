//! What a text may bring about at the COMMIT of its transaction that the transaction's id does not tell of: notifications,
//! rows of foreign tables. A transaction without an id has done nothing if all its texts certainly read.

use crate::conn::words::{Word, has, is_suspect};

/// What a statement that reads begins with. Nothing here ends a transaction.
const READING: &str = " select with values table show explain declare fetch move close savepoint release rollback begin start \
    set reset lock deallocate ";

/// Words of statements that do more than that, wherever they stand.
const DOING: &str = " insert delete merge notify pg_notify execute call ";

/// May it have an effect, at COMMIT, without an id?
pub(super) fn acts_unseen(text: &str) -> bool {
    let acts = |found: Word<'_>| {
        // Locking rows that are there takes an id.
        let writes = found.text == "update" && !has(" for key ", found.before);
        found.place == 0 && !has(READING, found.text) || has(DOING, found.text) || writes
    };
    is_suspect(text, acts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_certainly_reads_is_not_suspected() {
        for text in [
            "",
            "select 1",
            "SELECT count(*), max (a) FROM t WHERE id IN ($1, $2) AND (b = 'x' OR c IS NULL)",
            "with x as (select 1) select * from x join lateral (select 2) y on (true)",
            "select a::numeric(10, 2), pg_catalog.lower(b) from t order by coalesce(a, 0)",
            "select * from jobs for update skip locked limit 1",
            "select * from jobs for no key update",
            "values (1), (2)",
            "table t",
            "savepoint berth_1",
            "ROLLBACK TO SAVEPOINT berth_1",
            "set local work_mem = 1024; select 1",
            "declare c cursor for select * from t",
            "select count(*) /* jobs.list */ from app.t where t.a in (1, 2) -- end",
            "select a * (b - 1), t.c from app.t where 1.5 < (d)",
            "select pg_catalog . format ('%s', a)",
            "-- jobs\n/* of today */ select 1",
            "with x (a, b) as (values (1, 2)) select * from x as \"Z\" (c, d)",
        ] {
            assert!(!acts_unseen(text), "{text}");
        }
    }

    #[test]
    fn what_may_notify_or_write_elsewhere_is_suspected() {
        for text in [
            "notify a",
            "select pg_notify('a', 'b')",
            "select pg_catalog.pg_notify ('a', 'b')",
            "select tell()",
            "select app.\"Tell\" (1)",
            "select * from tell (1)",
            "select tell/**/(1)",
            "select tell /* to a, b. */ (1)",
            "select tell -- to all.\n(1)",
            "select tell -- to all.\r(1)",
            "select tell\u{b}(1)",
            "select audit.format('a')",
            "select audit . format ('a')",
            "select audit./**/format('a')",
            "select \"audit\".format('a')",
            "select db.audit.format('a')",
            "select log('a')",
            "insert into far values (1)",
            "update far set a = 1",
            "with x as (update far set a = 1 returning a) select * from x",
            "with x as (delete from far returning a) select * from x",
            "merge into far using t on (true) when matched then do nothing",
            "call p()",
            "do $$ begin perform tell; end $$",
            "execute tell",
            "truncate far",
            "copy far from stdin",
            "explain analyze insert into far values (1)",
            "select 1; truncate far",
            "sélect tell",
            "/* select */ do $$ begin perform tell; end $$",
            "select ';-- select' ; do $$ begin perform tell; end $$",
            "select * from a join b on tell(1)",
            "select 'into \"' || tell(1) || '\"'",
            "select 'insert into' || tell(1)",
            "select -- into\n tell(1)",
        ] {
            assert!(acts_unseen(text), "{text}");
        }
    }
}
