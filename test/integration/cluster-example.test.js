// examples/cluster through two failovers: what was acknowledged is there, and writing goes on.
'use strict';

const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const path = require('node:path');
const { startCluster } = require('../support/cluster.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');

const WRITER = path.join(__dirname, '../../examples/cluster/writer.js');

test('the cluster example writes through failovers and loses nothing that was acknowledged', async (t) => {
  const cluster = await startCluster();
  t.after(() => cluster.stop());
  const env = {
    ...process.env,
    DATABASE_URL: `postgres://postgres@${cluster.hosts.join(',')}/postgres?sslmode=disable`,
  };
  const child = spawn(process.execPath, [WRITER], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  t.after(async () => {
    child.kill('SIGKILL');
    await exited;
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    output += text;
  });
  const writesOn = ({ port }) =>
    waitFor(() => output.includes(`on port ${port},`), { what: `writing on ${port}` });

  await writesOn(cluster.primary);
  const dead = await cluster.failover();
  await writesOn(cluster.primary);
  await cluster.rejoin(dead);
  await cluster.streaming();
  await cluster.failover();
  await writesOn(cluster.primary);

  child.kill('SIGTERM');
  const [code] = await exited;
  const [, said, missing] = /(\d+) orders acknowledged, (\d+) missing/.exec(output) ?? [];
  assert.equal(missing, '0', output);
  assert.equal(code, 0);
  const [{ count }] = await cluster.primary.sql('select count(*)::int as count from orders');
  assert.ok(count >= Number(said), `${count} in the table, ${said} acknowledged`);
});
