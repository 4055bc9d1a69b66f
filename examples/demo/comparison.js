// Last part of the demo: the same point selects through pg and through pg-berth, in turns.
'use strict';

const assert = require('node:assert');
const { createPool } = require('../..');
const screen = require('./screen.js');

const CONNECTIONS = 10;
const CONCURRENCIES = [1, 10, 100];
const ROWS = 1000;
/** Rounds of each client per concurrency; the first one warms up and is not counted. */
const ROUNDS = 8;
const ROUND_MS = 200;

/** @param {string} schema */
const statement = (schema) => ({
  name: 'point',
  text: `select id, name, big, active, at, score from ${schema}.point where id = $1`,
});

/**
 * `pg` with a named statement, which the server prepares once per connection, and as encrypted as our own pool is.
 * @param {string} url @param {boolean} isEncrypted
 */
function pgPool(url, isEncrypted) {
  const { Pool } = require('pg');
  const target = new URL(url);
  target.searchParams.delete('sslmode'); // means something else there
  const ssl = isEncrypted && { rejectUnauthorized: false };
  return new Pool({ connectionString: target.href, max: CONNECTIONS, ssl });
}

/** Two clients of the same shape. `types: 'pg'` makes pg-berth produce the values that pg produces. */
function open(url, schema, isEncrypted) {
  const { name, text } = statement(schema);
  const pg = pgPool(url, isEncrypted);
  const berth = createPool({ connectionString: url, poolSize: CONNECTIONS, types: 'pg' });
  return {
    pg: {
      select: async (id) => (await pg.query({ name, text, values: [id] })).rows,
      close: () => pg.end(),
    },
    'pg-berth': {
      select: (id) => berth.query(text, [id]),
      close: () => berth.end(),
    },
  };
}

/** Runs point selects for a round, `concurrency` at a time, and checks each row. */
async function round(select, concurrency) {
  const started = performance.now();
  const cpu = process.cpuUsage();
  const end = started + ROUND_MS;
  let done = 0;
  const worker = async () => {
    while (performance.now() < end) {
      const id = 1 + Math.floor(Math.random() * ROWS);
      const rows = await select(id);
      const row = rows[0];
      if (rows.length !== 1 || row.id !== id || row.name !== `name ${id}` || row.score !== id / 8) {
        throw new Error(`point select of ${id} gave ${JSON.stringify(rows)}`);
      }
      done++;
    }
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  const { user, system } = process.cpuUsage(cpu);
  const seconds = (performance.now() - started) / 1000;
  return { rate: done / seconds, cpu: (user + system) / done };
}

/** @param {number[]} numbers */
const median = (numbers) => numbers.toSorted((a, b) => a - b)[numbers.length >> 1];

/** Medians of each client's rounds at one concurrency. */
async function measure(clients, concurrency) {
  const results = Object.fromEntries(Object.keys(clients).map((name) => [name, []]));
  for (let turn = 0; turn < ROUNDS; turn++) {
    // In turns, and the order changes, so that whatever disturbs the machine disturbs both.
    const names = turn % 2 === 0 ? Object.keys(clients) : Object.keys(clients).reverse();
    for (const name of names) {
      const result = await round(clients[name].select, concurrency);
      if (turn > 0) results[name].push(result);
    }
  }
  return Object.entries(results).map(([name, rounds]) => ({
    name,
    rate: median(rounds.map(({ rate }) => rate)),
    cpu: median(rounds.map(({ cpu }) => cpu)),
  }));
}

/** Prints the results of one concurrency as soon as they are there: the next ones take seconds. */
function show(concurrency, results) {
  const [reference] = results;
  const best = Math.max(...results.map(({ rate }) => rate));
  const lines = results.map(({ name, rate, cpu }) => [
    name === 'pg' ? concurrency : '',
    name,
    screen.grouped(rate),
    `${(rate / reference.rate).toFixed(2)} x`,
    `${cpu.toFixed(0)} µs`,
    screen.paint(name === 'pg' ? 'dim' : 'green', screen.bar(rate / best, 24)),
  ]);
  screen.table(['at a time', 'client', 'queries/s', 'ratio', 'CPU/query', ''], lines, {
    right: [0, 2, 3, 4],
    least: [9, 8, 9, 7, 9, 24],
    continues: concurrency !== CONCURRENCIES[0],
  });
}

/** @param {{ url: string, schema: string, pool: import('../../types/pool.js').Pool }} demo */
async function compare({ url, schema, pool }) {
  await pool.query(`create table ${schema}.point as
    select i as id, 'name ' || i as name, i * 10000000000 as big, i % 2 = 0 as active,
           timestamptz '2026-01-01' + i * interval '1 hour' as at, i / 8.0::float8 as score
    from generate_series(1, ${ROWS}) i`);
  await pool.query(`alter table ${schema}.point add primary key (id)`);
  await pool.query(`analyze ${schema}.point`);
  const [{ ssl }] = await pool.query('select ssl from pg_stat_ssl where pid = pg_backend_pid()');

  const clients = open(url, schema, ssl);
  try {
    for (let id = 1; id <= ROWS; id++) {
      assert.deepStrictEqual(
        { ...(await clients['pg-berth'].select(id))[0] },
        { ...(await clients.pg.select(id))[0] },
      );
    }
    screen.note(
      `One row of six columns by primary key; ${CONNECTIONS} connections each, named statements, in turns of ${ROUND_MS} ms.`,
    );
    for (const concurrency of CONCURRENCIES) {
      show(concurrency, await measure(clients, concurrency));
    }
    screen.note(
      `Medians of ${ROUNDS - 1} rounds; all rows checked. "npm run bench" measures properly and more.`,
    );
  } finally {
    await Promise.all(Object.values(clients).map(({ close }) => close()));
  }
}

module.exports = { compare };
