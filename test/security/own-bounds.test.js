// What the engine takes without being asked by a caller is bounded: events, and answers to its own questions (rules F06, W05).
'use strict';

require('../support/stray-errors.js');
const assert = require('node:assert/strict');
const { once } = require('node:events');
const path = require('node:path');
const { Worker } = require('node:worker_threads');
const { Client, createPool } = require('../../lib/index.js');
const m = require('../support/backend-messages.js');
const { rightAnswer } = require('../support/script-replies.js');
const { scriptServer } = require('../support/script-server.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');

const BURSTS = 400;
const EACH = 100;

/**
 * A server on a thread of its own. Behind the first query it sends notifications as fast as they are taken; it notes how
 * many bursts were under way when one was not taken for a while, or when all were.
 */
const FLOOD = `
  const { once } = require('node:events');
  const net = require('node:net');
  const { parentPort, workerData } = require('node:worker_threads');
  const m = require(workerData.messages);
  const burst = Buffer.concat(
    new Array(${EACH}).fill(m.notification(7, 'news', 'x'.repeat(1000))),
  );
  const note = (sent) => {
    if (Atomics.compareExchange(workerData.noted, 0, 0, sent) === 0) Atomics.notify(workerData.noted, 0);
  };
  const serve = async (socket) => {
    socket.on('error', () => {});
    await once(socket, 'data');
    socket.write(Buffer.concat([m.authOk(), m.primary(), m.backendKey(1), m.ready()]));
    await once(socket, 'data');
    socket.write(Buffer.concat([m.commandComplete('LISTEN'), m.ready()]));
    for (let sent = 1; sent <= ${BURSTS}; sent++) {
      if (socket.write(burst)) continue;
      const stalled = setTimeout(note, 1000, sent);
      await once(socket, 'drain');
      clearTimeout(stalled);
    }
    note(${BURSTS});
  };
  const listener = net.createServer(serve);
  listener.listen(0, '127.0.0.1', () => parentPort.postMessage(listener.address().port));
`;

test('sec_f06: a flood of notifications waits in the server while this thread is busy', async (t) => {
  const noted = new Int32Array(new SharedArrayBuffer(4));
  const messages = path.join(__dirname, '../support/backend-messages.js');
  const server = new Worker(FLOOD, { eval: true, workerData: { messages, noted } });
  t.after(() => server.terminate());
  const [port] = await once(server, 'message');
  const client = new Client(`postgres://u@127.0.0.1:${port}/d?sslmode=disable`);
  t.after(() => client.end());
  let heard = 0;
  client.on('notification', () => heard++);
  await client.connect();
  await client.query('listen news');
  assert.equal(Atomics.wait(noted, 0, 0, 20_000), 'ok');
  t.diagnostic(`${noted[0]} of ${BURSTS} bursts of 100 KB were sent`);
  // One megabyte here, the rest in the buffers of the two sockets.
  assert.ok(Number(noted[0]) < BURSTS / 2, `${noted[0]} bursts`);
  await waitFor(() => heard === BURSTS * EACH, { what: 'all of them, once there is time' });
});

test('sec_w05: an answer to the engine’s own question that does not end is given up', async (t) => {
  const rows = Buffer.concat(new Array(1000).fill(m.dataRow(['x'.repeat(1000)])));
  let sent = 0;
  const server = await scriptServer(async (connection) => {
    await connection.accept();
    await connection.readUntil('S');
    await connection.send(m.parseComplete(), m.bindComplete(), m.rowDescription([{ name: 'x' }]));
    for (;;) {
      await connection.send(rows);
      sent += rows.length;
      // It hears of the end of the connection between two pieces.
      await new Promise(setImmediate);
    }
  });
  t.after(() => server.close());
  const pool = createPool({ connectionString: server.url, poolSize: 1 });
  t.after(() => pool.end());
  const { error } = await pool[Symbol.for('pg-berth.probe')](20_000);
  assert.match(String(error), /too many rows/);
  assert.ok(sent < 64e6, `${sent} bytes`);
});

test('sec_f08: the answer to a check in front of a statement is no part of its result, however it arrives', async (t) => {
  const server = await scriptServer(async (connection) => {
    // Says nothing of its role, so that it is asked in front of each read.
    const parameters = { in_hot_standby: undefined, default_transaction_read_only: undefined };
    await connection.accept({ parameters });
    connection.split(1);
    for (;;) {
      const check = await connection.readUntil('S');
      assert.match(check[0].text, /show transaction_read_only/);
      await connection.send(m.parseComplete(), m.bindComplete(), m.dataRow(['off']));
      await connection.send(m.commandComplete('SHOW'), m.ready());
      const statement = await connection.readUntil('S');
      await connection.send(...rightAnswer(statement));
    }
  });
  t.after(() => server.close());
  // A row of one digit has 7 bytes, that of the check 9.
  const pool = createPool({ connectionString: server.url, poolSize: 1, maxResultBytes: 8 });
  t.after(() => pool.end());
  assert.deepEqual(await pool.query('select x'), [{ x: '1' }]);
});

test('sec_w05: a text that no string can hold is cut, and a notification that no server sends is refused', async (t) => {
  const long = 'ä'.repeat(3 << 20);
  const server = await scriptServer(async (connection) => {
    await connection.accept();
    await connection.readUntil('Q');
    await connection.send(m.notice({ M: long }), m.error({ C: 'P0001', M: long }), m.ready());
    await connection.readUntil('Q');
    await connection.send(m.notification(7, 'news', long));
    await connection.stall();
  });
  t.after(() => server.close());
  const client = new Client(server.url);
  client.on('error', () => {});
  t.after(() => client.end());
  const notices = [];
  client.on('notice', (notice) => notices.push(notice));
  await client.connect();
  const error = await client.query('select 1').catch((thrown) => thrown);
  await waitFor(() => notices.length > 0, { what: 'the notice' });
  for (const { message } of [error, ...notices]) {
    // Four megabytes of two each, and a sign that there was more.
    assert.equal(message.length, (2 << 20) + 1);
    assert.match(message, /^ä+…$/);
  }
  assert.equal(error.code, 'P0001');
  await assert.rejects(client.query('select 2'), { code: 'ERR_PROTOCOL', outcome: 'unknown' });
});
