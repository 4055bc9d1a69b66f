// Messages that no server should send, as some poolers do, against `pg`: an error that is told, and a client nobody gets again.
'use strict';

const assert = require('node:assert/strict');
const { once } = require('node:events');
const reference = require('pg');
const ours = require('../../lib/index.js');
const m = require('../support/backend-messages.js');
const { scriptServer } = require('../support/script-server.js');
const { test } = require('../support/timed-test.js');

const STRAYS = {
  parseComplete: m.parseComplete(),
  commandComplete: m.commandComplete('SELECT 1'),
  rowDescription: m.rowDescription([{ name: 'x' }]),
  dataRow: m.dataRow(['1']),
  portalSuspended: m.portalSuspended(),
  emptyQuery: m.emptyQuery(),
  copyInResponse: m.copyResponse('G'),
  copyData: m.copyData('x'),
};

/** A server that sends a message nobody asked for on its first connection when told so. */
async function strayServer(t, bytes) {
  let send;
  const told = new Promise((resolve) => {
    send = resolve;
  });
  const server = await scriptServer(async (connection) => {
    await connection.accept();
    if (connection.number === 1) {
      await told;
      await connection.send(bytes);
    }
    await connection.stall();
  });
  t.after(() => server.close());
  return { url: server.url, send };
}

const isError = (error) =>
  error instanceof Error && /stray|unexpected|not expect|protocol/i.test(error.message);
const refusal = (client) =>
  client.query('select 1').then(
    () => 'answered',
    ({ message }) => message,
  );

/** What a program sees; each with a driver. */
const USES = {
  'an idle client': async (driver, { url, send }) => {
    const client = new driver.Client(url);
    await client.connect();
    const told = once(client, 'error').catch((error) => [error]);
    send();
    const [error] = await told;
    const refused = await refusal(client);
    await client.end();
    return [isError(error), client._queryable, refused];
  },
  'an idle client of a pool': async (driver, { url, send }) => {
    const pool = new driver.Pool({ connectionString: url, max: 1 });
    const client = await pool.connect();
    client.release();
    const told = new Promise((resolve) => {
      pool.once('error', (error, lost) =>
        resolve([isError(error), error.client === client, lost === client]),
      );
    });
    const removed = new Promise((resolve) => pool.once('remove', resolve));
    send();
    const seen = await told;
    await removed;
    const next = await pool.connect();
    const isNew = next !== client;
    next.release(true);
    await pool.end();
    return [...seen, isNew];
  },
  'a client that is lent': async (driver, { url, send }) => {
    const pool = new driver.Pool({ connectionString: url, max: 1 });
    const client = await pool.connect();
    const told = new Promise((resolve) => client.once('error', resolve));
    send();
    const error = await told;
    const refused = await refusal(client);
    client.release();
    const next = await pool.connect();
    const isNew = next !== client;
    next.release(true);
    await pool.end();
    return [isError(error), refused, isNew];
  },
};

for (const [name, bytes] of Object.entries(STRAYS)) {
  for (const [use, run] of Object.entries(USES)) {
    test(`§9 ${name} for ${use}`, async (t) => {
      const here = await run(ours, await strayServer(t, bytes));
      const there = await run(reference, await strayServer(t, bytes));
      assert.deepEqual(here, there);
    });
  }
}

test('§9 a peer that does not speak the protocol', async (t) => {
  const mysql = Buffer.from('4a0000000a382e302e3238000b000000', 'hex');
  for (const driver of [ours, reference]) {
    const server = await scriptServer(async (connection) => {
      await connection.send(mysql);
      await connection.stall();
    });
    t.after(() => server.close());
    const client = new driver.Client(server.url);
    client.on('error', () => {});
    await assert.rejects(client.connect(), /invalid response/i);
    await client.end();
  }
});

for (const answer of ['N', 'Q', 'E', 'SX']) {
  test(`§9 a request for TLS answered with ${answer}`, async (t) => {
    const messages = [];
    for (const driver of [ours, reference]) {
      const server = await scriptServer(async (connection) => {
        await connection.readStartup();
        await connection.send(answer);
        await connection.stall();
      });
      t.after(() => server.close());
      const config = {
        connectionString: server.url.split('?')[0],
        ssl: { rejectUnauthorized: false },
      };
      const client = new driver.Client({ ...config, connectionTimeoutMillis: 2000 });
      client.on('error', () => {});
      messages.push(
        await client.connect().then(
          () => 'connected',
          ({ message }) => message,
        ),
      );
      await client.end();
    }
    // Bytes in clear text ahead of the handshake are refused at once: CVE-2021-23222.
    const expected =
      answer === 'SX' ? 'There was an error establishing an SSL connection' : messages[1];
    assert.equal(messages[0], expected);
  });
}
