//! Classes of statements, sharing of texts, and what the cache keeps.

use super::*;

#[test]
fn the_first_keyword_decides_whether_a_connection_may_be_shared() {
    for (text, class) in [
        ("select 1", Class::Plain),
        (
            "  -- note\n/* more */ INSERT into t values (1)",
            Class::Plain,
        ),
        ("(select 1) union (select 2)", Class::Plain),
        ("with a as (select 1) select * from a", Class::Plain),
        ("BEGIN", Class::Other),
        ("begin;", Class::Other),
        ("set search_path = a", Class::Other),
        ("call p()", Class::Other),
        ("commit", Class::Commit),
        ("END", Class::Commit),
        ("prepare transaction 'a'", Class::Commit),
        ("/* /* nested */ */ select 1", Class::Plain),
        ("/* a /* b **/ / * */ -- c\n commit", Class::Commit),
        ("-- a\rcommit", Class::Commit),
        ("/* /* not closed */ commit", Class::Other),
        ("-- only a comment", Class::Other),
        ("", Class::Other),
    ] {
        assert_eq!(classify(text), class, "{text}");
    }
}

#[test]
fn equal_texts_are_one_statement_and_dead_ones_are_forgotten() {
    let one = Statement::intern("select 'equal texts'").unwrap();
    let two = Statement::intern("select 'equal texts'").unwrap();
    assert!(Arc::ptr_eq(&one, &two));
    let id = one.id;
    drop((one, two));
    assert_ne!(Statement::intern("select 'equal texts'").unwrap().id, id);
    assert!(Statement::intern("select '\0'").is_err());
}

#[test]
fn the_least_recently_used_statement_makes_room_and_is_closed() {
    let texts: Vec<_> = (0..3)
        .map(|n| Statement::intern(&format!("select {n} as eviction")).unwrap())
        .collect();
    let mut cache = StatementCache::new(2);
    let first = cache.insert(&texts[0]);
    let second = cache.insert(&texts[1]);
    assert!(cache.get(&texts[0]).is_some());
    cache.insert(&texts[2]);
    assert_eq!(cache.take_evicted(), vec![second.name.clone()]);
    cache.remove(&texts[0], &first, true);
    assert_eq!(cache.take_evicted(), vec![first.name.clone()]);
    assert!(cache.get(&texts[0]).is_none());
}

#[test]
fn the_most_used_statements_are_named_unless_they_do_something_to_a_session() {
    let texts = [
        ("select 'rare'", 1),
        ("select 'often'", 9),
        ("select 'sometimes'", 4),
        ("set work_mem = '1MB'", 20),
        (
            "select set_config('transaction_read_only', 'off', false)",
            20,
        ),
    ];
    let mut cache = StatementCache::new(8);
    for (text, uses) in texts {
        let statement = Statement::intern(text).unwrap();
        cache.insert(&statement);
        for _ in 1..uses {
            cache.get(&statement);
        }
    }
    let named = |count| -> Vec<_> {
        let used = cache.most_used(count);
        used.iter()
            .map(|(one, uses)| (one.text.to_string(), *uses))
            .collect()
    };
    let often = ("select 'often'".to_owned(), 9);
    let sometimes = ("select 'sometimes'".to_owned(), 4);
    assert_eq!(named(2), [often.clone(), sometimes.clone()]);
    assert_eq!(
        named(8),
        [often, sometimes, ("select 'rare'".to_owned(), 1)]
    );
    assert!(named(0).is_empty());
}

#[test]
fn a_name_of_the_callers_stands_for_one_statement_until_it_is_removed() {
    let one = Statement::intern("select 'own one'").unwrap();
    let two = Statement::intern("select 'own two'").unwrap();
    let mut cache = StatementCache::new(2);
    let (prepared, fresh) = cache.own("mine", &one).unwrap();
    assert!(fresh && prepared.own && &*prepared.name == "mine");
    assert!(!cache.own("mine", &one).unwrap().1);
    assert!(cache.own("mine", &two).is_err());
    cache.remove(&one, &prepared, true);
    assert!(cache.own("mine", &two).unwrap().1);
    assert!(cache.take_evicted().is_empty());
}

#[test]
fn names_of_ours_differ_between_connections() {
    let statement = Statement::intern("select 'differ'").unwrap();
    let name = || StatementCache::new(2).insert(&statement).name.clone();
    assert_ne!(name(), name());
}

#[test]
fn a_connection_that_loses_statements_keeps_none() {
    let mut cache = StatementCache::new(2);
    for _ in 0..MAX_LOST {
        assert!(cache.is_lasting());
        cache.count_lost();
    }
    assert!(!cache.is_lasting());
}

#[test]
fn a_statement_is_quick_only_after_a_quick_execution() {
    let statement = Statement::intern("select 'quick'").unwrap();
    assert!(!statement.is_quick());
    statement.took(Duration::from_micros(80));
    assert!(statement.is_quick());
    statement.took(Duration::from_millis(50));
    assert!(!statement.is_quick());
}

#[test]
fn a_text_that_may_begin_a_copy_is_known_before_it_is_sent() {
    for (text, may) in [
        ("copy t from stdin", true),
        ("  CoPy t to stdout", true),
        ("/* a /* nested */ one */ copy t from stdin", true),
        ("select 1; copy t from stdin", true),
        ("select 'copy'", false),
        ("insert into t values (1)", false),
        ("begin", false),
    ] {
        assert_eq!(Statement::intern(text).unwrap().may_copy, may, "{text}");
    }
}

#[test]
fn texts_that_nobody_holds_are_let_go_by_their_bytes_as_well() {
    let mut texts = Texts::default();
    let held = texts.intern("select 'held'");
    for number in 0..40 {
        let text = format!("select {number} /*{}*/", "x".repeat(LONGEST_KEPT));
        assert!(!texts.intern(&text).is_short());
    }
    assert!(texts.bytes <= SWEEP_AT_LEAST + 2 * LONGEST_KEPT);
    assert!(texts.by_text.len() < 16);
    assert_eq!(texts.intern("select 'held'").id, held.id);
    assert!(held.is_short());
}
