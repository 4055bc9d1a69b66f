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
 * A network that breaks at the worst moment: it carries everything until a client says something with `text` in it after
 * `cutAt(text)`; the server's answer to that is thrown away and the connection closed. Later connections are whole.
 * @param {URL} server
 */
async function brokenNetwork(server) {
  const asked = server.searchParams;
  const host = asked.get('host') ?? (server.hostname || 'localhost');
  const port = Number(asked.get('port') ?? (server.port || 5432));
  /** @type {string | undefined} */
  let worst;
  const relay = net.createServer((client) => {
    const up = net.connect(host.startsWith('/') ? `${host}/.s.PGSQL.${port}` : { host, port });
    let isCut = false;
    client.on('data', (bytes) => {
      if (worst !== undefined && bytes.includes(worst)) {
        worst = undefined;
        isCut = true;
      }
      up.write(bytes);
    });
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
  return {
    url: url.href,
    cutAt: (text) => {
      worst = text;
    },
    close: () => relay.close(),
  };
}

/**
 * A statement over a network that breaks when it, or what belongs to it, has arrived.
 * @param {string} url @param {string} sql @param {string} worst a piece of what has arrived then; an empty text is in everything @param {object} [options]
 */
async function overBrokenNetwork(url, sql, worst, options) {
  const network = await brokenNetwork(new URL(url));
  const pool = createPool({ connectionString: network.url, poolSize: 1 });
  try {
    await pool.query('select 1');
    network.cutAt(worst);
    return await pool.query(sql, [], options);
  } finally {
    await pool.end();
    network.close();
  }
}

/** The same loss, of a COMMIT this time, with a pool that finds out what became of it. */
async function showExactlyOnce(url, schema, pool) {
  const [{ ssl }] = await pool.query('select ssl from pg_stat_ssl where pid = pg_backend_pid()');
  if (ssl) {
    screen.note(
      'The demo cannot break this network at a COMMIT: it is encrypted, as it should be.',
    );
    return;
  }
  screen.code(
    `pool.query("insert …", [], { exactlyOnce: true }) — and the answer to its COMMIT is lost`,
  );
  const started = performance.now();
  const sql = `insert into ${schema}.log values ('shipped') returning event`;
  const rows = await overBrokenNetwork(url, sql, 'COMMIT', { exactlyOnce: true });
  const ms = Math.round(performance.now() - started);
  const [{ n }] = await pool.query(
    `select count(*)::int as n from ${schema}.log where event = 'shipped'`,
  );
  assert.deepStrictEqual([rows.map(({ event }) => event), n], [['shipped'], 1]);
  screen.note(
    `${screen.paint('green', 'It resolved')} with its row after ${ms} ms: the pool asked the server over a new connection. It is there ${n === 1 ? 'once' : `${n} times`}.`,
  );
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
    [
      'the network breaks',
      await failureOf(overBrokenNetwork(url, `insert into ${schema}.log values ('paid')`, '')),
    ],
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
  await showExactlyOnce(url, schema, pool);
}

module.exports = { showOutcomes };
