// pg-berth at work against the server of DATABASE_URL: `npm run demo` starts one and runs this.
'use strict';

const { randomBytes } = require('node:crypto');
const { createPool } = require('..');
const { compare } = require('./demo/comparison.js');
const { showFailover } = require('./demo/failover.js');
const { showFreezer } = require('./demo/freezer.js');
const { showLeases } = require('./demo/leases.js');
const { showOutcomes } = require('./demo/outcomes.js');
const { showPool } = require('./demo/pool.js');
const { showStream } = require('./demo/stream.js');
const { showUsers } = require('./demo/users.js');
const screen = require('./demo/screen.js');

const STEPS = [
  ['A pool, typed results, a transaction', showPool],
  ['Errors that say what became of the statement', showOutcomes],
  ['A stream: rows as fast as they are used', showStream],
  ['Twenty serverless clients, each with a signed lease', showLeases],
  ['The users service, from its first request to its end', showUsers],
  ['Functions are frozen, reaped and thawed', showFreezer],
  ['A cluster of three, and its primary dies', showFailover],
  ['Throughput beside pg', compare],
];

/** What is wrong with the call; the second part of the demo puts something in between, so it needs a URL. */
function complaint(url) {
  if (!url) return 'DATABASE_URL is not set; "npm run demo" starts a server and sets it';
  return URL.canParse(url) ? undefined : 'DATABASE_URL must have the form postgres://…';
}

async function main() {
  const started = performance.now();
  const url = process.env.DATABASE_URL ?? '';
  const wrong = complaint(url);
  if (wrong !== undefined) {
    console.error(wrong);
    process.exitCode = 1;
    return;
  }
  const pool = createPool({ connectionString: url, applicationName: 'pg-berth demo' });
  try {
    await showAll(url, pool);
  } finally {
    await pool.end();
  }
  screen.title(`Done in ${((performance.now() - started) / 1000).toFixed(1)} s.`);
}

/** @param {string} url @param {import('../types/pool.js').Pool} pool */
async function showAll(url, pool) {
  const [{ version }] = await pool.query(`select current_setting('server_version') as version`);
  screen.title(`pg-berth on PostgreSQL ${version}, Node ${process.versions.node}`);

  // Everything the demo makes is in here, so it can run in any database and leaves it as it was.
  const schema = `berth_demo_${randomBytes(4).toString('hex')}`;
  await pool.query(`create schema ${schema}`);
  const drop = `drop schema ${schema} cascade`;
  process.once('SIGINT', () => {
    // The one place in a program like this for a blocking call: nothing runs after it.
    pool.querySync(drop, [], { timeoutMs: 2000 });
    process.exit(130);
  });
  try {
    for (const [number, [heading, show]] of STEPS.entries()) {
      screen.heading(number + 1, heading);
      await show({ url, schema, pool });
    }
  } finally {
    await pool.query(drop);
  }
}

main().catch((error) => {
  const { message, code, outcome, stack } = error;
  console.error(`\nThe demo failed: ${message}`);
  if (code !== undefined) console.error(`code ${code}, outcome ${outcome}`);
  console.error(stack.split('\n').slice(1).join('\n'));
  process.exitCode = 1;
});
