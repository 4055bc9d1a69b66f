// Which texts end the transaction that they are run in, by the grammar of the server.
'use strict';

const assert = require('node:assert/strict');
const { endOf } = require('../../lib/transaction-ends.js');
const { test } = require('../support/timed-test.js');

test('a text that ends a transaction is known, however it is written', () => {
  for (const [end, texts] of Object.entries({
    commit: ['COMMIT', 'commit;', 'end', 'END WORK', 'Commit Transaction', 'commit and no chain;;'],
    rollback: [
      ...['ROLLBACK', 'abort', ' \n;rollback work ; ', '/* a /* b */ c */ rollback -- d\n'],
      ...['-- e\r\nABORT/**/TRANSACTION', 'rollback and no chain'],
    ],
    chain: ['commit and chain', 'ROLLBACK WORK AND CHAIN;'],
    prepare: ["prepare transaction 'x'", "PREPARE /**/ TRANSACTION 'a long name of this one';"],
  })) {
    for (const text of texts) assert.equal(endOf(text), end, text);
  }
});

test('what ends none, or what the server refuses, is left alone', () => {
  for (const text of [
    ...['', ' ', ';', '--', '/*', 'select 1', 'create table rollback (n int)', 'e', undefined, 7],
    ...[
      'rollback to a',
      'ROLLBACK WORK TO SAVEPOINT a',
      'rollback /**/ to savepoint a',
      'rollback_',
    ],
    ...[
      'commit1',
      'endé',
      "commit prepared 'x'",
      "rollback prepared 'x'",
      'commit commit',
      'end if',
    ],
    ...['prepare x as select 1', 'prepare transactions', 'analyze rollback', 'release savepoint a'],
    ...['/* commit */', '-- commit', `${'; '.repeat(100)}select 1`, 'rollback; select 1'],
  ]) {
    assert.equal(endOf(text), undefined, String(text));
  }
});
