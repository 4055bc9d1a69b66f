// ServerlessClients for tests: one secret, hooks that are recorded, and what the server shows of their leases.
'use strict';

const { spawn } = require('node:child_process');
const { once } = require('node:events');
const path = require('node:path');
const readline = require('node:readline');
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

/** A process with one ServerlessClient, which can be frozen. */
class FleetMember {
  #child;
  #asked = 0;
  /** @type {Map<number, (answer: any) => void>} */
  #waiting = new Map();

  constructor(options) {
    const file = path.join(__dirname, 'serverless-child.js');
    const config = JSON.stringify({ secret: SECRET, ...options });
    this.#child = spawn(process.execPath, [file, config], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.exited = once(this.#child, 'exit');
    readline.createInterface({ input: this.#child.stdout }).on('line', (line) => {
      const answer = JSON.parse(line);
      this.#waiting.get(answer.id)?.(answer);
      this.#waiting.delete(answer.id);
    });
  }

  /** @param {{ text?: string, block?: number }} wish @returns {Promise<any>} rows, or error, and how often hooks fired */
  ask(wish) {
    const id = ++this.#asked;
    const answered = new Promise((resolve) => this.#waiting.set(id, resolve));
    this.#child.stdin.write(`${JSON.stringify({ id, ...wish })}\n`);
    return answered;
  }

  freeze() {
    this.#child.kill('SIGSTOP');
  }

  thaw() {
    this.#child.kill('SIGCONT');
  }

  async end() {
    this.thaw();
    this.#child.stdin.end();
    return (await this.exited)[0];
  }
}

/** @param {import('node:test').TestContext} t @param {object} options */
function startMember(t, options) {
  const member = new FleetMember(options);
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
