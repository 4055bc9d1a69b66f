// Where the system makes no more threads: connecting fails at once, says so, and nothing was sent.
'use strict';

const assert = require('node:assert/strict');
const { execFile } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { after, before, test: plain } = require('node:test');
const { promisify } = require('node:util');
const { account } = require('../support/server-account.js');
const { startServer } = require('../support/server.js');
const { test } = require('../support/timed-test.js');

const ROOT = path.join(__dirname, '../..');

/** @type {Awaited<ReturnType<typeof startServer>>} */
let server;
/** A copy of the package: the account that root steps down to may have no way into the checkout. */
let within = '';
before(async () => {
  within = fs.mkdtempSync(path.join(os.tmpdir(), 'pg-berth-copy-'));
  for (const part of ['lib', 'build', 'package.json']) {
    fs.cpSync(path.join(ROOT, part), path.join(within, part), { recursive: true });
  }
  await promisify(execFile)('chmod', ['-R', 'a+rX', within]);
  server = await startServer({ hba: ['host all lonely all scram-sha-256'] });
  await server.sql(
    `set password_encryption = 'scram-sha-256'; create role lonely login password 'pw'`,
  );
});
after(async () => {
  fs.rmSync(within, { recursive: true, force: true });
  await server.stop();
});

/** What a child gets; `threadless()` in it takes the right to make threads from it, for which root steps down. */
const PRELUDE = `
  const { execFileSync } = require('node:child_process');
  const { Client, Pool, createPool } = require(process.env.LIBRARY);
  const { uid, gid, url } = JSON.parse(process.env.GIVEN);
  const threadless = () => {
    if (uid !== undefined) {
      process.setgroups([]);
      process.setgid(gid);
      process.setuid(uid);
    }
    execFileSync('prlimit', ['--pid', String(process.pid), '--nproc=1:1']);
  };
  const known = ({ name, code, outcome, transient, message, cause }) =>
    ({ name, code, outcome, transient, message, cause: cause && known(cause) });
  const failed = async (make) => {
    try {
      await make();
      return {};
    } catch (error) {
      return known(error);
    }
  };
  const tell = (told) => console.log(JSON.stringify(told));
`;

/** Other systems have no `prlimit`; what the engine does there is tested in native/src/conn/aside.rs. */
const limits = process.platform === 'linux' ? test : plain.skip;

async function inChild(script, url) {
  const { stdout, stderr } = await promisify(execFile)(
    process.execPath,
    ['-e', `${PRELUDE}(async () => {${script}})()`],
    {
      env: {
        ...process.env,
        LIBRARY: path.join(within, 'lib/index.js'),
        GIVEN: JSON.stringify({ ...account, url }),
      },
    },
  );
  assert.equal(stderr, '');
  return JSON.parse(stdout);
}

const ADVICE = /raise .* limit of processes and threads \(ulimit -u/;

limits('a name is not looked up without a thread: not-sent, with advice', async () => {
  const told = await inChild(
    `
      const pool = createPool({ host: 'localhost', port: 1, user: 'u', acquireTimeoutMs: 300 });
      threadless();
      const pg = new Pool({ host: 'localhost', port: 1, user: 'u' });
      tell([
        await failed(() => pg.query('select 1')),
        await failed(() => new Client({ host: 'localhost', port: 1, user: 'u' }).connectSync()),
        (await failed(() => pool.query('select 1'))),
      ]);
      await pool.end();
    `,
    '',
  );
  const [ofPool, ofClient, ofCluster] = told;
  for (const error of [ofPool, ofClient, ofCluster.cause]) {
    const { name, code, outcome, transient, message } = error;
    assert.deepEqual(
      [name, code, outcome, transient],
      ['ConnectError', 'ERR_NO_THREAD', 'not-sent', true],
    );
    assert.match(message, /looking up a name/);
    assert.match(message, ADVICE);
  }
  assert.equal(ofCluster.outcome, 'not-sent');
  assert.match(ofCluster.message, ADVICE);
});

limits('a SCRAM key is not derived without a thread, who is connected goes on', async () => {
  const url = `postgres://lonely:pw@${server.host}:${server.port}/postgres`;
  const told = await inChild(
    `
      const trusted = new Client({ connectionString: url.replace('lonely:pw', 'postgres') });
      await trusted.connect();
      threadless();
      const client = new Client({ connectionString: url });
      const error = await failed(() => client.connect());
      tell([error, (await trusted.query('select 7 as n')).rows[0].n]);
      await trusted.end();
    `,
    url,
  );
  const [{ name, code, outcome, message }, n] = told;
  assert.deepEqual([name, code, outcome, n], ['ConnectError', 'ERR_NO_THREAD', 'not-sent', 7]);
  assert.match(message, /the key of a password/);
  assert.match(message, ADVICE);
});

limits('the engine is not started without a thread, and says so', async () => {
  const told = await inChild(
    `
      threadless();
      tell([
        await failed(() => createPool('postgres://u@127.0.0.1:1/x')),
        await failed(() => new Client('postgres://u@127.0.0.1:1/x').connect()),
      ]);
    `,
    '',
  );
  for (const { name, code, outcome, message } of told) {
    assert.deepEqual([name, code, outcome], ['ConnectError', 'ERR_NO_THREAD', 'not-sent']);
    assert.match(message, /cannot start the engine's thread/);
    assert.match(message, ADVICE);
  }
});
