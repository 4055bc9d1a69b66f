// Places orders until it is told to stop, and then proves that every acknowledged one is there, once.
'use strict';

const { randomUUID } = require('node:crypto');
const { createPool } = require('pg-berth');
const { SCHEMA, place } = require('./orders.js');

const { DATABASE_URL, WRITERS = '8' } = process.env;

const pool = createPool({
  // postgres://app@db1:5432,db2:5432,db3:5432/app: the pool finds the primary and follows it
  connectionString: DATABASE_URL,
  poolSize: Number(WRITERS),
  acquireTimeoutMs: 10_000,
});

/** Orders whose insert was acknowledged: these must never be lost. */
const acknowledged = [];
let repeated = 0;
let longestPauseMs = 0;
let node;
let isStopping = false;

async function write() {
  while (!isStopping) {
    const order = { id: randomUUID(), item: 'a pound of tea' };
    const sent = performance.now();
    const seen = await place(pool, order, () => {
      repeated++;
    });
    acknowledged.push(order.id);
    longestPauseMs = Math.max(longestPauseMs, performance.now() - sent);
    if (seen !== node) {
      node = seen;
      console.log(`writing on port ${node}, ${acknowledged.length} orders so far`);
    }
  }
}

/** Compares what the cluster holds with what it said it holds. */
async function audit() {
  const [{ missing }] = await pool.query(
    `select count(*)::int as missing from unnest($1::uuid[]) as said (id)
      where not exists (select from orders where orders.id = said.id)`,
    [acknowledged],
  );
  const { length } = acknowledged;
  console.log(
    `${length} orders acknowledged, ${missing} missing; ${repeated} sent again, longest wait ${Math.round(longestPauseMs)} ms`,
  );
  return missing === 0 ? 0 : 1;
}

async function main() {
  await pool.query(SCHEMA);
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.once(signal, () => {
      isStopping = true;
    });
  }
  await Promise.all(Array.from({ length: Number(WRITERS) }, write));
  process.exitCode = await audit();
  await pool.end();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
