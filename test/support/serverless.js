// ServerlessClients for tests: one secret, hooks that are recorded, and what the server shows of their leases.
'use strict';

const path = require('node:path');
const { LineProcess } = require('../../examples/demo/process.js');
const { LeaseManager, ServerlessClient } = require('../../lib/index.js');

const SECRET = 'a secret that only the tests know, 64 bytes of it would be better';
const leases = new LeaseManager('reader', 'AbCd_-19', SECRET);

const HOOKS = [
  'onConnect onReconnect onQueryStart onQueryRetry onQueryEnd onQueryError onHeartbeat onHeartbeatFail',
  'onReap onClientDead',
].flatMap((names) => names.split(' '));

/** Hooks that write down what they were told. `of(name)` are the payloads of one. */
function recorder() {
  /** @type {[name: string, payload: any][]} */
  const calls = [];
  const hooks = Object.fromEntries(
    HOOKS.map((name) => [name, (payload) => calls.push([name, payload])]),
  );
  const of = (name) => calls.filter(([called]) => called === name).map(([, payload]) => payload);
  return { hooks, calls, of, count: (name) => of(name).length };
}

/** @param {import('node:test').TestContext} t ends the client with the test @param {object} options */
function openServerless(t, options) {
  const recorded = recorder();
  const client = new ServerlessClient({ secret: SECRET, hooks: recorded.hooks, ...options });
  t.after(() => client.end());
  return Object.assign(recorded, { client });
}

/**
 * A process with one ServerlessClient, which can be frozen. It is asked `{ text?, block? }` and answers with rows or an
 * error, and how often hooks fired.
 * @param {import('node:test').TestContext} t @param {object} options `library` by its name
 * @param {Record<string, string>} [env]
 */
function startMember(t, options, env) {
  const file = path.join(__dirname, 'serverless-child.js');
  const member = new LineProcess(file, { secret: SECRET, ...options }, env);
  t.after(() => member.end());
  return member;
}

module.exports = {
  startMember,
  HOOKS,
  SECRET,
  leases,
  openServerless,
  recorder,
};
