// What keeps a process alive, and what does not: open clients, `unref`, idle pools, work under way.
'use strict';

const assert = require('node:assert/strict');
const { execFile } = require('node:child_process');
const path = require('node:path');
const { promisify } = require('node:util');
const { testDatabase } = require('../support/pools.js');
const { test } = require('../support/timed-test.js');

const run = promisify(execFile);
const db = testDatabase();
const LIB = path.join(__dirname, '../../lib/index.js');

/** What a program prints until it ends by itself. @param {string} body of an async function with `url` and the exports */
async function printed(body) {
  const program = `
    const { Client, Pool } = require(${JSON.stringify(LIB)});
    const url = ${JSON.stringify(db.url)};
    process.on('exit', () => console.log('exit'));
    (async () => { ${body} })();`;
  const { stdout } = await run(process.execPath, ['-e', program], { timeout: 20_000 });
  return stdout.trim().split('\n');
}

test('an open client keeps the process alive until it ends', async () => {
  assert.deepEqual(
    await printed(`
      const client = await new Client(url).connect();
      // Nothing else waits: the process ends with the client, which a timer that is unref'd would not see.
      setTimeout(() => { console.log('still here'); client.end(); }, 300).unref();`),
    ['still here', 'exit'],
  );
});

test('unref lets the process go, ref keeps it', async () => {
  const later = `setTimeout(() => { console.log('still here'); client.end(); }, 300).unref();`;
  assert.deepEqual(
    await printed(`const client = await new Client(url).connect(); client.unref(); ${later}`),
    ['exit'],
  );
  assert.deepEqual(
    await printed(
      `const client = await new Client(url).connect(); client.unref(); client.ref(); ${later}`,
    ),
    ['still here', 'exit'],
  );
});

test('work under way is waited for, idle clients of a pool with allowExitOnIdle are not', async () => {
  assert.deepEqual(
    await printed(`
      const pool = new Pool({ connectionString: url, allowExitOnIdle: true });
      pool.query('select pg_sleep(0.2), 1 as a').then(({ rows }) => console.log(rows[0].a));`),
    ['1', 'exit'],
  );
});

test('an idle pool without it holds the process until its clients are idle for too long', async () => {
  assert.deepEqual(
    await printed(`
      const pool = new Pool({ connectionString: url, idleTimeoutMillis: 200 });
      pool.on('remove', () => console.log('removed'));
      await pool.query('select 1');`),
    ['removed', 'exit'],
  );
});
