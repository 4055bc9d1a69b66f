// Sixth part of the demo: functions are frozen as a platform does it, their connections reaped, and they are thawed.
'use strict';

const assert = require('node:assert');
const { randomBytes } = require('node:crypto');
const path = require('node:path');
const { setTimeout: sleep } = require('node:timers/promises');
const { LeaseManager } = require('../..');
const { LineProcess } = require('./process.js');
const screen = require('./screen.js');

const SERVICE = 'demo-fleet';
const FUNCTIONS = 6;
const FROZEN = 3;
/** Three minutes of a real fleet in three seconds. */
const HASTE = { leaseTtlMs: 1200, minConnectionIdleTimeSec: 2.5, reaperCooldownMs: 100 };
const SESSIONS = `
  select pid, application_name as name from pg_stat_activity
  where datname = current_database() and left(application_name, 13) = 's=${SERVICE};' order by backend_start`;

/** A process that holds one connection and answers events. */
class DemoFunction extends LineProcess {
  /** @returns {Promise<{ pid: number, note: string }>} */
  async invoke(note) {
    const answer = await this.ask({ note });
    assert.strictEqual(answer.error, undefined);
    assert.strictEqual(answer.note, note);
    return answer;
  }
}

/** Prints who is connected; `frozen` are the processes that cannot renew. */
function showSessions(sessions, manager, frozen) {
  const lines = sessions.map(({ pid, name }) => {
    const lease = manager.parseAndVerify(name);
    assert.ok(lease !== null);
    const isFrozen = frozen.has(pid);
    const left = lease.exp - Date.now();
    return [
      pid,
      isFrozen ? screen.paint('cyan', 'frozen') : screen.paint('green', 'alive'),
      left > 0 ? `${(left / 1000).toFixed(1)} s left` : screen.paint('red', 'expired'),
    ];
  });
  screen.table(['pid', 'function', 'lease'], lines);
}

/** @param {{ url: string, pool: import('../../types/pool.js').Pool }} demo */
async function showFreezer({ url, pool }) {
  if (process.platform === 'win32') {
    screen.note('Not on Windows, which cannot stop a process as platforms do.');
    return;
  }
  const secret = randomBytes(24).toString('base64url');
  const manager = new LeaseManager(SERVICE, 'observer', secret);
  const file = path.join(__dirname, 'function.js');
  const options = { connectionString: url, serviceName: SERVICE, ...HASTE };
  const functions = Array.from(
    { length: FUNCTIONS },
    () => new DemoFunction(file, options, { DEMO_SECRET: secret }),
  );
  try {
    const before = await Promise.all(functions.map((one) => one.invoke('warm')));
    const asleep = functions.slice(0, FROZEN);
    for (const one of asleep) one.freeze();
    const frozen = new Set(before.slice(0, FROZEN).map(({ pid }) => pid));
    screen.note(
      `${FUNCTIONS} processes with one connection each; ${FROZEN} are frozen (SIGSTOP). A lease lasts 1.2 s here:`,
    );
    // The others renew theirs by themselves, without being asked anything.
    let sessions = await pool.query(SESSIONS);
    const hasExpired = ({ pid, name }) =>
      !frozen.has(pid) || manager.parseAndVerify(name)?.isExpired === true;
    while (!sessions.every(hasExpired)) {
      await sleep(50);
      sessions = await pool.query(SESSIONS);
    }
    showSessions(sessions, manager, frozen);
    const started = performance.now();
    const isGone = () => sessions.every(({ pid }) => !frozen.has(pid));
    while (!isGone()) {
      assert.ok(performance.now() - started < 20_000, 'the frozen connections are reaped');
      await Promise.all(functions.slice(FROZEN).map((one) => one.invoke('work')));
      sessions = await pool.query(SESSIONS);
    }
    const ms = Math.round(performance.now() - started);
    assert.strictEqual(sessions.length, FUNCTIONS - FROZEN);
    screen.note(
      `${ms} ms later a living function has ended the ${FROZEN} left behind, and nothing else: ${sessions.length} remain.`,
    );

    for (const one of asleep) one.thaw();
    const after = await Promise.all(asleep.map((one) => one.invoke('thawed')));
    const changes = after.map(({ pid }, index) => `${before[index].pid} → ${pid}`);
    assert.ok(after.every(({ pid }) => !frozen.has(pid)));
    screen.note(
      `Thawed. The first statement of each answers, on a new connection: ${screen.paint('green', changes.join(', '))}.`,
    );
  } finally {
    await Promise.all(functions.map((one) => one.end()));
  }
}

module.exports = { showFreezer };
