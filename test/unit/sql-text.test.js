// Texts for people who watch: no literal gets out, however the text is written, and no text is too long.
'use strict';

const assert = require('node:assert/strict');
const { describeText } = require('../../lib/sql-text.js');
const { test } = require('../support/timed-test.js');

const TEXTS = [
  ["select 'secret', 1, .5, 1e5, 0xff", 'select ?, ?, ?, ?, ?'],
  ["select E'it\\'s secret', U&'s\\0065cret'", 'select ?, ?'],
  ['select $$secret$$, $é$ $$secret $é$', 'select ?, ?'],
  ["alter user x password 'sec''ret'", 'alter user x password ?'],
  // Comments are nested, and those of a line end where the server says a line ends.
  ["/* it's /* nested */ isn't */ select 'secret'", 'select ?'],
  ["/* a /*/ b */ ' */ select 'secret'", 'select ?'],
  ["/**/ select /* ' **/ 'secret'", 'select ?'],
  ["select 1 -- it's\r, 'secret'\n, 'secret'", 'select ? , ? , ?'],
  // A space that is none for the server begins a name.
  ["select \u00a0$a$ , 'secret' , 1", 'select \u00a0$a$ , ? , ?'],
  ["select 'secret", 'select ?'],
  ["/* ' /* */ select 'secret'", ''],
  // With standard_conforming_strings off the literal does not end at the second quote.
  ["select 'it\\' || secret, ' from t", 'select ?'],
];

/** Operations in their order, each with the first relation it names. */
const SUMMARIES = {
  'select * from a join b on a.x = b.x': 'SELECT a b',
  'select 1 from a where x is distinct from y': 'SELECT a',
  'select * from a.b.c': 'SELECT a.b.c',
  'select x.y from a': 'SELECT a',
  'select * from only a for update': 'SELECT a',
  'select * from a for no key update of b': 'SELECT a',
  'select * from (select * from a) b': 'SELECT SELECT a',
  'select * from lateral f(1)': 'SELECT f',
  '(select 1) union select 2 from "Odd ""name"""': 'SELECT SELECT "Odd ""name"""',
  'insert into s.a (x) values (1) on conflict (x) do update set x = 2': 'INSERT s.a',
  'insert into a select * from b': 'INSERT a SELECT b',
  'update only public."A" set x = 1': 'UPDATE public."A"',
  'with c as (delete from a returning *) insert into b select * from c':
    'DELETE a INSERT b SELECT c',
  [`merge into a using b on a.x = b.x when matched and b.y then delete when matched then update set x = 1
    when not matched then insert values (1)`]: 'MERGE a',
  'create trigger t before insert or update or delete on a execute function f()': 'CREATE',
  'create table if not exists s.a (x int)': 'CREATE s.a',
  'drop table if exists a': 'DROP a',
  'truncate table only a': 'TRUNCATE a',
  'copy a (x) from stdin': 'COPY a',
  'copy (select * from a) to stdout': 'COPY SELECT a',
  'call p(1)': 'CALL p',
  'begin; select 1 from a; commit': 'BEGIN SELECT a',
  '': '',
};

test('literals and comments do not get out', () => {
  for (const [sql, text] of TEXTS) {
    const described = describeText(sql);
    assert.equal(described.text, text, sql);
    assert.doesNotMatch(described.summary, /secret/, sql);
  }
});

test('a summary has the operations and what they are about', () => {
  for (const [sql, summary] of Object.entries(SUMMARIES)) {
    assert.equal(describeText(sql).summary, summary, sql);
    assert.equal(describeText(sql).operation, summary.split(' ')[0], sql);
  }
  assert.equal(describeText(`select from ${'x'.repeat(255)} join b on true`).summary, 'SELECT b');
});

test('a text is read once while it is known, and what is known is bounded', () => {
  const first = describeText('select 1 as first');
  assert.equal(describeText('select 1 as first'), first);
  for (let i = 0; i < 1000; i++) describeText(`select 1 as c${i}`);
  const again = describeText('select 1 as first');
  assert.notEqual(again, first);
  assert.deepEqual(again, first);
  const long = 'x'.repeat(1024 * 1024);
  for (let i = 0; i < 4; i++) describeText(`select 1 as c${i} -- ${long}`);
  const last = describeText('select 1 as first');
  assert.notEqual(last, again);
  describeText('select 1 as second');
  assert.equal(describeText('select 1 as first'), last);
});

test('a text may be as long as it likes', () => {
  const long = 'x'.repeat(50_000_000);
  for (const [before, after] of [
    ["'", "'"],
    ["E'", "'"],
    ['$a$', '$a$'],
  ]) {
    const { text, operation } = describeText(`select ${before}${long}${after}`);
    assert.deepEqual({ text, operation }, { text: 'select ?', operation: 'SELECT' });
  }
  assert.equal(describeText(`select 1 as "${long}"`).text.length, 4096);
  assert.equal(describeText(`/*${long}`).text, '');
});
