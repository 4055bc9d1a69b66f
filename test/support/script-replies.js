// What a well-behaved server answers to one request, and a scripted server that misbehaves on chosen connections only.
'use strict';

const { createPool } = require('../../lib/index.js');
const m = require('./backend-messages.js');
const { scriptServer } = require('./script-server.js');
require('./stray-errors.js');

/**
 * Reads one request: everything up to its Sync, or a simple query. A bare Sync in front, by which a pool has the server
 * say what it is, is answered.
 * @param {any} connection
 * @param {Buffer[]} [news] what it says first
 */
async function readRequest(connection, news = []) {
  const read = [];
  for (;;) {
    const next = await connection.readMessage();
    if (next.type === 'X') {
      await connection.finish();
      return connection.readBytes(1); // rejects: the conversation is over
    }
    if (next.type === 'S' && read.length === 0) {
      await connection.send(...news, m.ready());
      continue;
    }
    read.push(next);
    if (next.type === 'S' || next.type === 'Q') return read;
  }
}

/**
 * The right answer to a request, message by message.
 * @param {{ type: string, body: Buffer }[]} request
 * @param {{ fields?: any[], rows?: any[][], tag?: string, status?: string, parameters?: number[] }} [result]
 */
function rightAnswer(request, result = {}) {
  const { fields = [{ name: 'x' }], rows = [['1']], tag = `SELECT ${rows.length}` } = result;
  const { status = 'I', parameters = [] } = result;
  const description = fields.length > 0 ? m.rowDescription(fields) : m.noData();
  const messages = request.flatMap(({ type, body }) => {
    if (type === 'P') return [m.parseComplete()];
    if (type === 'B') return [m.bindComplete()];
    if (type === 'C') return [m.closeComplete()];
    if (type === 'D')
      return body[0] === 0x53 ? [m.parameterDescription(parameters), description] : [description];
    if (type === 'E') return [...rows.map(m.dataRow), m.commandComplete(tag)];
    return type === 'Q' ? [m.commandComplete('ROLLBACK')] : [];
  });
  return [...messages, m.ready(status)];
}

/** Serves requests rightly until the client leaves. @param {any} connection @param {any} [result] */
async function behave(connection, result) {
  for (;;) await connection.send(...rightAnswer(await readRequest(connection), result));
}

/**
 * A pool on a scripted server. `script` gets each connection after its start-up (or before it, with `raw`).
 *
 * @param {import('node:test').TestContext} context
 * @param {(connection: any) => Promise<void> | void} script
 * @param {object} [options] of the pool; `raw` leaves the start-up to the script
 */
async function scriptedPool(context, script, { raw = false, ...options } = {}) {
  const server = await scriptServer(async (connection) => {
    if (!raw) await connection.accept();
    await script(connection);
  });
  const pool = createPool({
    host: server.host,
    port: server.port,
    user: 'tester',
    database: 'tester',
    sslmode: 'disable',
    poolSize: 1,
    acquireTimeoutMs: 1500,
    connectTimeoutMs: 1000,
    ...options,
  });
  context.after(async () => {
    await pool.end({ timeoutMs: 100 });
    await server.close();
  });
  return { pool, server };
}

/**
 * A server whose first connection spoils the first answer, and whose later ones are right.
 *
 * @param {import('node:test').TestContext} context
 * @param {(connection: any, request: any[]) => Promise<void>} spoil
 * @param {object} [options]
 */
function spoiledOnce(context, spoil, options) {
  let first = true;
  return scriptedPool(
    context,
    async (connection) => {
      if (first) {
        first = false;
        await spoil(connection, await readRequest(connection));
        return;
      }
      await behave(connection);
    },
    options,
  );
}

/** The rejection of a promise. @param {Promise<unknown>} promise @returns {Promise<any>} */
function failureOf(promise) {
  return promise.then(
    (value) => {
      throw new Error(`nothing failed; resolved to ${JSON.stringify(value)}`);
    },
    (error) => error,
  );
}

module.exports = { behave, failureOf, readRequest, rightAnswer, scriptedPool, spoiledOnce };
