// What is read from SQL texts to decide what may be done with them: effects on a transaction, and how many there are.
'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { hasSeveral } = require('../../lib/kysely/several.js');
const {
  effectsOf,
  firstWord,
  isOpenAfter,
  isRollback,
  mayCommit,
  mayOutliveTransaction,
} = require('../../lib/sql-effects.js');

const EFFECTS = {
  '': [],
  ' ; -- nothing\n ; /* ; */': [],
  'select 1': ['other'],
  'Begin isolation level serializable': ['begin'],
  'start transaction read only': ['begin'],
  'start_something()': ['other'],
  commit: ['commit'],
  'end work': ['commit'],
  'commit and chain': ['commit', 'begin'],
  'commit work and no chain': ['commit'],
  rollback: ['rollback'],
  'abort transaction': ['rollback'],
  'rollback work and chain': ['rollback', 'begin'],
  'rollback to a': ['other'],
  'rollback transaction to savepoint a': ['other'],
  // Of a transaction in two phases the first part may be done, the second is about another one.
  "prepare transaction 'x'": ['commit'],
  'prepare p as select 1': ['other'],
  "commit prepared 'x'": ['other'],
  "rollback prepared 'x'": ['other'],
  'begin; insert into a values (1); commit': ['begin', 'other', 'commit'],
  '/* begin /* ; */ ; */ commit': ['commit'],
  '-- begin;\ncommit': ['commit'],
  // A carriage return ends the comment of a line, too.
  'select 1 -- x\r; commit': ['other', 'commit'],
  "select '; commit'": ['other'],
  "select '''; commit; '": ['other'],
  "select E'\\'; commit; '": ['other'],
  // It goes on behind the end of a line, and nowhere else.
  "select E'a'\n'\\'; commit; '": ['other'],
  "select E'a' -- x\r  '\\'; commit; '": ['other'],
  "select E'a'\n'b'\n'\\'; commit; '": ['other'],
  "select E'a' '\\'; commit; select ''": ['other', 'commit', 'other'],
  "select E'a'/*\n*/'\\'; commit; select ''": ['other', 'commit', 'other'],
  "select 'a'\n'\\'; commit; select ''": ['other', 'commit', 'other'],
  "select '\\'; commit; select ''": ['other', 'commit', 'other'],
  'select "; commit"': ['other'],
  'select $$; commit$$; commit': ['other', 'commit'],
  'select $a$; $$ commit $a$': ['other'],
  'select $1; commit': ['other', 'commit'],
  'create function f() returns int begin atomic select 1; commit; end': ['other'],
  'create function f() returns int begin -- x\n atomic select 1; end': ['other'],
  'begin isolation level serializable; commit': ['begin', 'commit'],
};

test('the effects of a text on its transaction', () => {
  for (const [text, effects] of Object.entries(EFFECTS)) {
    assert.deepEqual(effectsOf(text), effects, text);
    assert.equal(mayCommit(text), effects.includes('commit'), text);
    assert.equal(isRollback(text), effects.join() === 'rollback', text);
  }
});

test('the first word of a text', () => {
  const size = 16 * 2 ** 20;
  for (const [text, word] of [
    ['select 1', 'SELECT'],
    ['\t((select 1) union (select 2))', 'SELECT'],
    ['-- a\r select 1', 'SELECT'],
    ['/* /* a */ b */ (values (1))', 'VALUES'],
    ['/* select', ''],
    ['-- select', ''],
    ["'select'", ''],
    ['', ''],
    [`/*${'x'.repeat(size)}*/ select 1`, 'SELECT'],
    [`${' '.repeat(size)}select 1`, 'SELECT'],
    [`${'('.repeat(size)}select 1`, 'SELECT'],
  ]) {
    assert.equal(firstWord(text), word, text.slice(0, 40));
  }
});

test('the effects of texts with many megabytes of anything', () => {
  const size = 12 * 2 ** 20;
  const full = (fill) => fill.repeat(size / fill.length);
  for (const [before, fill, behind, effects] of [
    ["select '", 'x', "'; commit", ['other', 'commit']],
    ["select '", "''", "'; commit", ['other', 'commit']],
    ["select E'", 'x', "'; commit", ['other', 'commit']],
    ["select E'", "\\'''", "'; commit", ['other', 'commit']],
    ['', ' ', 'commit', ['commit']],
    ['', '--;\n', 'commit', ['commit']],
    ['create function f() begin', '--;\n', 'atomic select 1; commit', ['other']],
  ]) {
    assert.deepEqual(effectsOf(before + full(fill) + behind), effects, before + fill);
  }
});

test('whether a transaction is open behind a text', () => {
  for (const [text, before, after] of [
    ['select 1', false, false],
    ['select 1', true, true],
    ['begin; select 1', false, true],
    ['rollback to a', true, true],
    ['commit and chain', true, true],
    ['begin; select 1; commit', true, false],
  ]) {
    assert.equal(isOpenAfter(text, before), after, text);
  }
});

test('whether a text holds more than one statement', () => {
  for (const text of [
    'select 1',
    'select 1;',
    'select 1; -- the end\n /* /* ; */ ; */ ;',
    "select ';', E'\\'; x', 'it''s; x'",
    'select ";a"";b"',
    'select $$ ; x $$, $a$ ; $$ ; x $a$;',
    ';; -- x\n select 1;',
  ]) {
    assert.equal(hasSeveral(text), false, text);
  }
  for (const text of [
    'select 1; select 2',
    ';;select 1; -- x\n select 2',
    'select 1; -- x\r select 2',
    "select '\\'; select ''",
    "select e1'; select 2; '",
    'select a$b$ ; select $b$ 1',
    'select é$b$ ; select $b$ 1',
  ]) {
    assert.equal(hasSeveral(text), text !== "select e1'; select 2; '", text);
  }
});

test('what a lost text of a transaction may have left behind', () => {
  const texts = ['commit', 'insert; end', 'rollback; insert', 'rollback; begin; commit'];
  for (const text of texts) assert.equal(mayOutliveTransaction(text), true, text);
  const gone = ['', 'insert', 'rollback', 'rollback and chain; insert', 'rollback; begin; insert'];
  for (const text of gone) assert.equal(mayOutliveTransaction(text), false, text);
});
