// Fourth part of the demo: serverless clients whose leases the server shows and a secret verifies.
'use strict';

const assert = require('node:assert');
const { randomBytes } = require('node:crypto');
const { setTimeout: sleep } = require('node:timers/promises');
const { LeaseManager, ServerlessClient } = require('../..');
const screen = require('./screen.js');

const CLIENTS = 20;
const SERVICE = 'berth-demo';
const LISTING = `
  select pid, application_name as name from pg_stat_activity
  where datname = current_database() and application_name like 's=berth-demo;%' order by backend_start`;

/** The sessions of this service whose lease was signed with the manager's secret. */
async function leased(pool, manager) {
  const sessions = await pool.query(LISTING);
  return sessions
    .map((session) => ({ ...session, lease: manager.parseAndVerify(session.name) }))
    .filter(({ lease }) => lease !== null);
}

/** @param {{ url: string, pool: import('../../types/pool.js').Pool }} demo */
async function showLeases({ url, pool }) {
  const secret = randomBytes(24).toString('base64url');
  const manager = new LeaseManager(SERVICE, 'observer', secret);
  const clients = Array.from(
    { length: CLIENTS },
    () => new ServerlessClient({ connectionString: url, serviceName: SERVICE, secret }),
  );
  try {
    const started = performance.now();
    const answers = await Promise.all(
      clients.map((client, n) => client.query('select $1::int as n, pg_backend_pid() as pid', [n])),
    );
    const ms = Math.round(performance.now() - started);
    assert.deepStrictEqual(
      answers.map(({ rows }) => rows[0].n),
      [...clients.keys()],
    );

    const sessions = await leased(pool, manager);
    const pids = new Set(answers.map(({ rows }) => rows[0].pid));
    assert.strictEqual(sessions.length, CLIENTS);
    assert.ok(sessions.every(({ pid }) => pids.has(pid)));
    screen.note(`${CLIENTS} clients connected and answered in ${ms} ms. pg_stat_activity says:`);
    const shown = sessions.slice(0, 4).map(({ pid, name, lease }) => {
      const left = Math.round((lease.exp - Date.now()) / 1000);
      return [pid, name, screen.paint('green', 'valid'), `${left} s`];
    });
    screen.table(
      ['pid', 'application_name', 'signature', 'ends in'],
      [
        ...shown,
        ['…', `and ${sessions.length - shown.length} more`, screen.paint('green', 'valid'), ''],
      ],
    );
    const other = new LeaseManager(SERVICE, 'stranger', randomBytes(24).toString('base64url'));
    const forged = sessions.filter(({ name }) => other.parseAndVerify(name) !== null);
    assert.strictEqual(forged.length, 0);
    screen.note(
      `${sessions.length} of ${CLIENTS} verify with the secret, ${forged.length} with another one.`,
    );
  } finally {
    await Promise.all(clients.map((client) => client.end()));
  }
  // The server ends a session a moment after its client has said goodbye.
  let left = await leased(pool, manager);
  for (let tries = 0; left.length > 0 && tries < 100; tries++) {
    await sleep(20);
    left = await leased(pool, manager);
  }
  assert.strictEqual(left.length, 0);
  screen.note('After end() none of them is left on the server.');
}

module.exports = { showLeases };
