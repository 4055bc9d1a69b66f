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
];

test('literals and comments do not get out', () => {
  for (const [sql, text] of TEXTS) {
    const described = describeText(sql);
    assert.equal(described.text, text, sql);
    assert.doesNotMatch(described.summary, /secret/, sql);
  }
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
