// examples/kysely-service through an outage of its database, to its end.
'use strict';

const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const path = require('node:path');
const { startServer } = require('../support/server.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');

const SERVICE = path.join(__dirname, '../../examples/kysely-service/service.js');

async function startService(t, url) {
  const env = { ...process.env, DATABASE_URL: url, PORT: '0', CHECK_MS: '50', RESET_MS: '200' };
  const child = spawn(process.execPath, [SERVICE], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  t.after(async () => {
    child.kill('SIGKILL');
    await exited;
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    output += text;
  });
  const [base] = await waitFor(() => /http:\S+/.exec(output), { what: 'the start of the service' });
  return {
    async ask(target, options) {
      const response = await fetch(base + target, options);
      return { status: response.status, json: await response.json(), headers: response.headers };
    },
    async read(target) {
      const response = await fetch(base + target);
      return { status: response.status, body: await response.text() };
    },
    async stop() {
      child.kill('SIGTERM');
      return (await exited)[0];
    },
  };
}

test('the Kysely service serves, survives an outage and ends in order', async (t) => {
  const server = await startServer();
  t.after(() => server.stop());
  const service = await startService(t, server.url);
  const post = (body) => service.ask('/notes', { method: 'POST', body });

  assert.deepEqual((await post('remember the milk')).json, { id: '1', body: 'remember the milk' });
  assert.deepEqual((await service.ask('/notes')).json.notes.length, 1);
  assert.equal((await post('')).status, 400);
  assert.equal((await post('x'.repeat(100_000))).status, 413);
  assert.equal((await service.ask('/nothing')).status, 404);
  const isHealthy = async () => (await service.ask('/health')).status === 200;
  await waitFor(isHealthy, { what: 'a good health check' });
  const { json: before } = await service.ask('/status');
  assert.equal(before.circuit, 'closed');
  assert.ok(before.queries.total >= 3 && before.pool.total >= 1);

  const page = await service.read('/admin/');
  assert.match(page.body, /<title>Notes<\/title>/);
  const metrics = await service.read('/admin/metrics');
  assert.match(metrics.body, /^pgberth_statements_total\{pool="notes"\} [1-9]/m);
  assert.equal((await service.read('/admin/health')).status, 200);

  await server.kill();
  const isOpen = async () => {
    const { status, headers } = await service.ask('/notes');
    assert.equal(status, 503);
    return (await service.ask('/status')).json.circuit === 'open' && headers.has('retry-after');
  };
  await waitFor(isOpen, { what: 'the opening of the circuit' });
  await waitFor(async () => !(await isHealthy()), { what: 'a bad health check' });

  await server.start();
  const isBack = async () => (await service.ask('/notes')).status === 200;
  await waitFor(isBack, { what: 'the end of the outage' });
  assert.equal((await service.ask('/status')).json.circuit, 'closed');
  await waitFor(isHealthy, { what: 'a good health check' });
  assert.equal((await post('still here')).status, 201);

  assert.equal(await service.stop(), 0);
  const rows = await server.sql('select body from note order by id');
  assert.deepEqual(
    rows.map(({ body }) => body),
    ['remember the milk', 'still here'],
  );
});
