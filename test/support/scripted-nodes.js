// Nodes of a cluster that play a part: primary, standby, read-only primary, dead, silent, starting, lying and others.
'use strict';

const { once } = require('node:events');
const net = require('node:net');
const m = require('./backend-messages.js');
const { readRequest, rightAnswer } = require('./script-replies.js');
const { scriptServer } = require('./script-server.js');

const settings = (standby, readOnly) => ({
  in_hot_standby: standby ? 'on' : 'off',
  default_transaction_read_only: readOnly ? 'on' : 'off',
});
const UNREPORTED = { in_hot_standby: undefined, default_transaction_read_only: undefined };
const report = (standby, readOnly) =>
  Object.entries(settings(standby, readOnly)).map(([name, value]) =>
    m.parameterStatus(name, value),
  );

/**
 * What a node says. `login`: reported at start-up, null for a server that reports neither; `truth`: what a Sync or a query
 * shows afterwards; `refuses`: the error of its start-up.
 * @type {Record<string, { login?: [boolean, boolean] | null, truth?: [boolean, boolean], timeline?: number, refuses?: object }>}
 */
const PARTS = {
  primary: { login: [false, false] },
  standby: { login: [true, false] },
  'read-only standby': { login: [true, true] },
  fenced: { login: [false, true] },
  'left primary': { login: [false, false], timeline: 1 },
  'mute primary': { login: null, truth: [false, false] },
  'mute standby': { login: null, truth: [true, false] },
  'mute fenced': { login: null, truth: [false, true] },
  'liar: is a standby': { login: [false, false], truth: [true, false] },
  'liar: is fenced': { login: [false, false], truth: [false, true] },
  'promoted meanwhile': { login: [true, false], truth: [false, false] },
  starting: { refuses: { C: '57P03', M: 'the database system is starting up' } },
  full: { refuses: { C: '53300', M: 'too many clients already' } },
  'wrong password': { refuses: { C: '28P01', M: 'password authentication failed' } },
  'no such database': { refuses: { C: '3D000', M: 'database does not exist' } },
};

/** A port on which nobody listens. */
async function deadPort() {
  const probe = net.createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = /** @type {net.AddressInfo} */ (probe.address());
  await once(probe.close(), 'close');
  return port;
}

/**
 * Starts a node.
 * @param {string} part one of `PARTS`, `dead`, `silent`, `closing` (hangs up) or `babbling` (speaks another protocol)
 * @param {string} name what it answers to every question for its name
 */
async function startNode(part, name) {
  if (part === 'dead')
    return { host: `127.0.0.1:${await deadPort()}`, asked: [], close: async () => {} };
  const known = PARTS[part];
  /** @type {string[]} */
  const asked = [];
  const server = await scriptServer(async (connection) => {
    if (part === 'silent') return connection.stall();
    if (part === 'closing') return;
    if (part === 'babbling') {
      await connection.readStartup();
      return connection.send('HTTP/1.1 400 Bad Request\r\n\r\n');
    }
    if (known?.refuses) {
      await connection.readStartup();
      return connection.send(m.error({ S: 'FATAL', V: 'FATAL', ...known.refuses }));
    }
    await play(connection, known, name, asked);
  });
  return { host: `${server.host}:${server.port}`, asked, close: () => server.close() };
}

/** Serves until the client leaves. */
async function play(connection, { login, truth = login, timeline = 2 }, name, asked) {
  const [standby, readOnly] = truth;
  const parameters = login === null ? UNREPORTED : settings(...login);
  await connection.accept({ parameters });
  const news = login === null || login === truth ? [] : report(standby, readOnly);
  let isTold = false;
  for (;;) {
    const request = await readRequest(connection, news);
    const sql = request.map(({ type, body }) => (type === 'P' ? body.toString() : '')).join('');
    asked.push(sql);
    const answer = rightAnswer(request, answerTo(sql, { name, standby, readOnly, timeline }));
    const ready = answer.pop();
    await connection.send(...answer, ...(isTold ? [] : news), ready);
    isTold = true;
  }
}

function answerTo(sql, { name, standby, readOnly, timeline }) {
  if (sql.includes('pg_is_in_recovery()')) return { rows: [[standby ? 't' : 'f']] };
  if (sql.includes('transaction_read_only'))
    return { rows: [[standby || readOnly ? 'on' : 'off']], tag: 'SHOW' };
  if (sql.includes('system_identifier'))
    return {
      fields: [{ name: 'system' }, { name: 'timeline' }],
      rows: [['7', `0000000${timeline}`]],
    };
  return { fields: [{ name: 'name' }], rows: [[name]] };
}

module.exports = { startNode };
