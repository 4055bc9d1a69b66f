// Second part of the demo: three statements that fail in three ways, and what is known about each.
'use strict';

const assert = require('node:assert');
const net = require('node:net');
const { once } = require('node:events');
const { createPool } = require('../..');
const screen = require('./screen.js');

const COLOURS = { 'not-sent': 'green', failed: 'yellow', unknown: 'red' };

/** What a promise rejects with. */
const failureOf = (promise) =>
  promise.then(
    () => assert.fail('the statement was expected to fail'),
    (error) => error,
  );

/**
 * A network that breaks at the worst moment: it carries everything, and once `cut()` was called the next bytes of the
 * server are thrown away and both sides closed.
 * @param {URL} server
 */
async function brokenNetwork(server) {
  const asked = server.searchParams;
  const host = asked.get('host') ?? (server.hostname || 'localhost');
  const port = Number(asked.get('port') ?? (server.port || 5432));
  let isCut = false;
  const relay = net.createServer((client) => {
    const up = net.connect(host.startsWith('/') ? `${host}/.s.PGSQL.${port}` : { host, port });
    client.pipe(up);
    up.on('data', (bytes) => (isCut ? client.destroy() : client.write(bytes)));
    for (const socket of [client, up]) {
      socket.on('error', () => {}); // the other side is closed below
      socket.on('close', () => {
        client.destroy();
        up.destroy();
      });
    }
  });
  await once(relay.listen(0, '127.0.0.1'), 'listening');
  const url = new URL(server);
  url.hostname = '127.0.0.1';
  url.port = String(relay.address().port);
  for (const name of ['host', 'hostaddr', 'port']) url.searchParams.delete(name);
  return { url: url.href, cut: () => (isCut = true), close: () => relay.close() };
}

/** An insert whose answer is lost on the way. */
async function lostInsert(url, schema) {
  const network = await brokenNetwork(new URL(url));
  const pool = createPool({ connectionString: network.url, poolSize: 1 });
  try {
    await pool.query('select 1');
    network.cut();
    return await failureOf(pool.query(`insert into ${schema}.log values ('paid')`));
  } finally {
    await pool.end();
    network.close();
  }
}

/** @param {{ url: string, schema: string, pool: import('../../types/pool.js').Pool }} demo */
async function showOutcomes({ url, schema, pool }) {
  await pool.query(`create table ${schema}.log (event text primary key)`);
  const insert = `insert into ${schema}.log values ($1)`;
  await pool.query(insert, ['ordered']);

  const failures = [
    ['a parameter without SQL form', await failureOf(pool.query(insert, [Symbol('event')]))],
    ['a key that exists', await failureOf(pool.query(insert, ['ordered']))],
    [
      'too slow for timeoutMs',
      await failureOf(pool.query('select pg_sleep(9)', [], { timeoutMs: 100 })),
    ],
    ['the network breaks', await lostInsert(url, schema)],
  ];
  screen.table(
    ['what happens', 'error', 'code', 'outcome', 'safeToRetry'],
    failures.map(([what, error]) => {
      const { outcome, code, safeToRetry } = error;
      return [
        what,
        error.constructor.name,
        code,
        screen.paint(COLOURS[outcome], outcome),
        safeToRetry,
      ];
    }),
  );
  assert.deepStrictEqual(
    failures.map(([, { outcome }]) => outcome),
    ['not-sent', 'failed', 'failed', 'unknown'],
  );
  const paid = await pool.query(`select from ${schema}.log where event = 'paid'`);
  screen.note(
    `The last row ${paid.length === 1 ? 'is in the table after all' : 'is not in the table'}: "unknown" was the truth,` +
      ' and repeating it would have been a guess.',
  );
}

module.exports = { showOutcomes };
