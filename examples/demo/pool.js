// First part of the demo: select, insert and a transaction, with the values and types they give.
'use strict';

const assert = require('node:assert');
const { inspect } = require('node:util');
const screen = require('./screen.js');

/** @param {unknown} value */
function typeOf(value) {
  if (Array.isArray(value)) return 'Array';
  if (Buffer.isBuffer(value)) return 'Buffer';
  return typeof value === 'object' ? 'parsed JSON' : typeof value;
}

/** One line a column: what PostgreSQL calls it, what it is here. */
function showRow(row, fields, typeNames) {
  const lines = fields.map(({ name, dataTypeID }) => {
    const value = inspect(row[name], { breakLength: Number.POSITIVE_INFINITY });
    return [name, typeNames.get(dataTypeID), screen.paint('green', value), typeOf(row[name])];
  });
  screen.table(['column', 'in PostgreSQL', 'value', 'in JavaScript'], lines);
}

/** @param {{ schema: string, pool: import('../../types/pool.js').Pool }} demo */
async function showPool({ schema, pool }) {
  await pool.query(`create table ${schema}.account (
    id int8 primary key generated always as identity (start 9007199254740993),
    owner text not null unique,
    balance numeric(20, 2) not null check (balance >= 0),
    tags text[] not null,
    profile jsonb not null,
    photo bytea,
    opened timestamptz not null default now()
  )`);

  screen.code(
    'pool.queryResult(`insert into account … values ($1, $2, $3, $4, $5) returning *`, …)',
  );
  const insert = `insert into ${schema}.account (owner, balance, tags, profile, photo)
    values ($1, $2, $3, $4, $5) returning *`;
  const ada = ['Ada', '12345678901234567.89', ['first', 'näive'], { likes: [1, 2] }];
  const { rows, fields } = await pool.queryResult(insert, [...ada, Buffer.from('photo')]);
  const types = await pool.query(
    'select oid, oid::regtype::text as name from pg_type where oid = any($1)',
    [fields.map(({ dataTypeID }) => dataTypeID)],
  );
  showRow(rows[0], fields, new Map(types.map(({ oid, name }) => [oid, name])));
  assert.strictEqual(rows[0].id, 9007199254740993n);
  assert.strictEqual(rows[0].balance, '12345678901234567.89');
  screen.note(
    'No digit is lost: int8 is a BigInt, numeric its exact text, timestamps have microseconds.',
  );

  await pool.query(insert, ['Grace', '0.11', [], {}, null]);
  console.log();
  screen.code(
    'pool.transaction(async (tx) => { two updates }) — BEGIN travels with the first of them',
  );
  const move = `update ${schema}.account set balance = balance + $2::numeric where owner = $1`;
  await pool.transaction(async (tx) => {
    await tx.query(move, ['Ada', '-100.89']);
    await tx.query(move, ['Grace', '100.89']);
  });
  const balances = await pool.query(`select owner, balance from ${schema}.account order by owner`);
  screen.table(
    ['owner', 'balance after the transfer'],
    balances.map(({ owner, balance }) => [owner, screen.paint('green', balance)]),
    { right: [1] },
  );
  assert.deepStrictEqual(
    balances.map(({ balance }) => balance),
    ['12345678901234467.00', '101.00'],
  );
}

module.exports = { showPool };
