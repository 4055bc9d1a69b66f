// The scripted server plays what its script says and reports what went wrong in it.
'use strict';

const assert = require('node:assert/strict');
const { once } = require('node:events');
const net = require('node:net');
const { test } = require('node:test');
const { Client } = require('pg');
const messages = require('../support/backend-messages.js');
const { scriptServer } = require('../support/script-server.js');
const { waitFor } = require('../support/wait.js');

const connect = ({ host, port }) =>
  new Client({ host, port, user: 'tester', database: 'tester', ssl: false });

/** A scripted server that a failing test leaves closed. */
async function start(t, script) {
  const server = await scriptServer(script);
  t.after(() => server.close().catch(() => {}));
  return server;
}

/** A script that logs a client in and answers one simple query with one row. */
async function answerOnce(connection) {
  await connection.accept();
  const [query] = await connection.readUntil('Q');
  await connection.send(
    messages.rowDescription([{ name: 'text', type: 25 }, { name: 'nothing' }]),
    messages.dataRow([query.text, null]),
    messages.commandComplete('SELECT 1'),
    messages.ready(),
  );
  await connection.stall();
}

for (const bytes of [0, 1, 7]) {
  test(`a client reads a scripted answer sent in pieces of ${bytes || 'all'} bytes`, async (t) => {
    const server = await start(t, async (connection) => {
      connection.split(bytes);
      await answerOnce(connection);
    });
    const client = connect(server);
    await client.connect();
    const { rows } = await client.query('select it');
    assert.deepEqual(rows, [{ text: 'select it', nothing: null }]);
    await client.end();
    await waitFor(() => server.open === 0, { what: 'the end of the script' });
    assert.equal(server.connections, 1);
    await server.close();
  });
}

test('the start-up packet, TLS and cancel requests are read as what they are', async (t) => {
  const seen = [];
  const server = await start(t, async (connection) => {
    seen.push(await connection.readStartup());
  });
  const packets = [
    Buffer.concat([messages.int32(8), messages.int32(80_877_103)]),
    Buffer.concat([
      messages.int32(16),
      messages.int32(80_877_102),
      messages.int32(7),
      messages.int32(9),
    ]),
    Buffer.from('\0\0\0\x13\0\x03\0\0user\0anna\0\0', 'latin1'),
  ];
  for (const packet of packets) {
    const socket = net.connect(server.port, server.host);
    socket.write(packet);
    await once(socket.resume(), 'close');
  }
  assert.deepEqual(seen, [
    { kind: 'ssl' },
    { kind: 'cancel', pid: 7, key: messages.int32(9) },
    { kind: 'startup', version: 196_608, parameters: { user: 'anna' } },
  ]);
  await server.close();
});

test('a scripted error reaches the client with its fields', async (t) => {
  const server = await start(t, async (connection) => {
    await connection.readStartup();
    await connection.send(messages.error({ S: 'FATAL', C: '28P01', M: 'no entry' }));
  });
  await assert.rejects(connect(server).connect(), { code: '28P01', message: 'no entry' });
  await server.close();
});

for (const end of ['cut', 'reset']) {
  test(`${end} ends the client's connection`, async (t) => {
    const server = await start(t, async (connection) => {
      await connection.readStartup();
      connection[end]();
    });
    await assert.rejects(connect(server).connect());
    await server.close();
  });
}

test('a failing assertion in a script fails close()', async (t) => {
  const server = await start(t, async (connection) => {
    const { parameters } = await connection.readStartup();
    assert.equal(parameters.user, 'somebody else');
  });
  await assert.rejects(connect(server).connect());
  await assert.rejects(server.close(), { code: 'ERR_ASSERTION' });
});

test('a stalled connection is closed with the server', async (t) => {
  const server = await start(t, (connection) => connection.stall());
  const socket = net.connect(server.port, server.host);
  await waitFor(() => server.open === 1);
  await server.close();
  await once(socket.resume(), 'close');
});
