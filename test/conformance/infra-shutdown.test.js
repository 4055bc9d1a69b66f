// Rules S1 to S11 without a real signal: order, limits, one state, registration.
'use strict';

const assert = require('node:assert/strict');
const { once } = require('node:events');
const { mock, test } = require('node:test');
const { Worker } = require('node:worker_threads');
const {
  createShutdownController,
  gracefulShutdown,
  registerShutdownHandlers,
  shutdownDatabase,
} = require('../../lib/shutdown.js');
const { waitFor } = require('../support/wait.js');
require('../support/stray-errors.js');

const quiet = { error() {}, info() {}, warn() {} };
const never = () => new Promise(() => {});
const stub = (destroy = async () => {}) => ({ destroy: mock.fn(destroy) });
const calls = ({ destroy }) => destroy.mock.callCount();

/** Tells the newest listener of a signal: the test runner listens too. */
const signal = (name) => process.listeners(name).at(-1)(name);

test('onShutdown runs first, then destroy', async () => {
  const order = [];
  const db = stub(async () => order.push('destroy'));
  await gracefulShutdown(db, { onShutdown: async () => void order.push('onShutdown') });
  assert.deepEqual(order, ['onShutdown', 'destroy']);
  const plain = stub();
  await shutdownDatabase(plain);
  assert.equal(calls(plain), 1);
});

test('a failed destroy is logged and rethrown, and the shutdown may be tried again', async () => {
  const error = new Error('no');
  const errors = [];
  let isBroken = true;
  const db = stub(async () => {
    if (isBroken) throw error;
  });
  const logger = { error: (line) => errors.push(line) };
  await assert.rejects(gracefulShutdown(db, { logger }), (thrown) => thrown === error);
  assert.deepEqual(errors, ['Error during shutdown: no']);
  isBroken = false;
  await gracefulShutdown(db, { logger });
  assert.equal(calls(db), 2);
});

test('a destroy that hangs ends with the timeout, and the timer is cleared', async (t) => {
  const rejected = gracefulShutdown(stub(never), { timeout: 20, logger: quiet });
  await assert.rejects(rejected, { message: 'Shutdown timeout after 20ms' });
  // What fails when nobody waits for it any more harms nobody.
  /** @type {(() => void)[]} */
  const late = [];
  const failsLate = () => new Promise((_, reject) => late.push(() => reject(new Error('late'))));
  const hanging = { timeout: 20, logger: quiet, onShutdown: failsLate };
  await assert.rejects(gracefulShutdown(stub(failsLate), hanging), /timeout/);
  for (const fail of late) fail();
  assert.equal(late.length, 2);
  const cleared = t.mock.method(globalThis, 'clearTimeout');
  await gracefulShutdown(stub());
  assert.ok(cleared.mock.callCount() > 0);
});

test('options are checked', async () => {
  await assert.rejects(gracefulShutdown(stub(), { timeout: 0 }), /timeout/);
  await assert.rejects(gracefulShutdown(stub(), { timeoutMs: 5 }), /unknown option "timeoutMs"/);
  assert.throws(() => registerShutdownHandlers(stub(), { signals: 'SIGTERM' }), /signals/);
});

test('signals that cannot come are refused by name, and nothing is registered', async () => {
  for (const [signals, message] of /** @type {[any, RegExp][]} */ ([
    [[], /must name a signal/],
    [['SIGTERM', 'SIGKILL'], /SIGKILL, which no process can catch/],
    [['SIGSTOP'], /SIGSTOP, which no process can catch/],
    [['SIGTERM', 'SIGNOTHING'], /"SIGNOTHING", which is no signal; names are/],
    [['sigterm'], /"sigterm", which is no signal; did you mean SIGTERM\?/],
    [['INT'], /did you mean SIGINT\?/],
    [['exit'], /"exit", which is no signal/],
  ])) {
    const wrong = { name: 'TypeError', code: 'ERR_CONFIG', option: 'signals', message };
    const before = process.eventNames();
    assert.throws(() => registerShutdownHandlers(stub(), { signals }), wrong);
    assert.throws(() => createShutdownController(stub(), { signals }), wrong);
    assert.deepEqual(process.eventNames(), before);
  }
});

test('a signal that is named twice has one listener, and one of another system harms nobody', () => {
  const signals = /** @type {const} */ (['SIGUSR2', 'SIGUSR2', 'SIGBREAK']);
  const unregister = registerShutdownHandlers(stub(), { signals });
  assert.equal(process.listenerCount('SIGUSR2'), 1);
  unregister();
  assert.equal(process.listenerCount('SIGUSR2'), 0);
});

test('what cannot be closed is refused at once, and leaves nothing behind', async () => {
  for (const db of [undefined, null, 5, 'postgres://', {}]) {
    const wrong = { name: 'TypeError', message: /^db must have a method destroy or end/ };
    const onShutdown = mock.fn();
    await assert.rejects(gracefulShutdown(/** @type {any} */ (db), { onShutdown }), wrong);
    assert.equal(onShutdown.mock.callCount(), 0);
    assert.throws(() => registerShutdownHandlers(/** @type {any} */ (db)), wrong);
    assert.throws(() => createShutdownController(/** @type {any} */ (db)), wrong);
    await assert.rejects(shutdownDatabase(/** @type {any} */ (db)), wrong);
  }
});

test('shutdownDatabase gives a promise, whatever the database does', async () => {
  const error = new Error('no');
  const given = shutdownDatabase({ destroy: () => 'done' });
  assert.ok(given instanceof Promise);
  assert.equal(await given, undefined);
  const failing = () => {
    throw error;
  };
  for (const db of [{ destroy: failing }, { end: failing }]) {
    await assert.rejects(shutdownDatabase(db), (thrown) => thrown === error);
  }
});

test('S1: onShutdown throws: the database is closed, and that error comes back', async () => {
  const error = new Error('hook');
  const db = stub();
  const onShutdown = () => {
    throw error;
  };
  const rejected = gracefulShutdown(db, { onShutdown, logger: quiet });
  await assert.rejects(rejected, (thrown) => thrown === error);
  assert.equal(calls(db), 1);
});

test('S2: onShutdown hangs: destroy begins with the reserve, and the promise rejects', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const db = stub();
  const shutdown = gracefulShutdown(db, { timeout: 1000, onShutdown: never, logger: quiet });
  const rejected = assert.rejects(shutdown, { message: 'Shutdown timeout after 1000ms' });
  t.mock.timers.tick(699);
  for (let i = 0; i < 10; i++) await null;
  assert.equal(calls(db), 0);
  t.mock.timers.tick(1);
  await rejected;
  assert.equal(calls(db), 1);
});

test('S2: the reserve is five seconds at most', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const db = stub();
  const shutdown = gracefulShutdown(db, { timeout: 30_000, onShutdown: never, logger: quiet });
  const rejected = assert.rejects(shutdown, /Shutdown timeout after 30000ms/);
  t.mock.timers.tick(24_999);
  for (let i = 0; i < 10; i++) await null;
  assert.equal(calls(db), 0);
  t.mock.timers.tick(1);
  await rejected;
  assert.equal(calls(db), 1);
});

test('S5: every execute gives the same promise', async () => {
  const db = stub();
  const controller = createShutdownController(db);
  assert.equal(controller.isShuttingDown(), false);
  const first = controller.execute();
  assert.equal(controller.execute(), first);
  await first;
  assert.equal(controller.execute(), first);
  assert.equal(controller.isShuttingDown(), true);
  assert.equal(calls(db), 1);
});

test('S6: what onShutdown asks for is the shutdown that it is part of', async () => {
  const db = stub();
  const seen = [];
  const controller = createShutdownController(db, {
    logger: quiet,
    onShutdown() {
      seen.push(controller.isShuttingDown(), controller.execute(), gracefulShutdown(db));
    },
  });
  const shutdown = controller.execute();
  await shutdown;
  assert.deepEqual([seen.length, seen[0], seen[1] === shutdown], [3, true, true]);
  await seen[2];
  assert.equal(calls(db), 1);
});

test('S6: what was begun elsewhere stays begun when it failed', async () => {
  const db = stub(async () => {
    throw new Error('no');
  });
  const controller = createShutdownController(db, { logger: quiet });
  const other = createShutdownController(db, { logger: quiet });
  await assert.rejects(gracefulShutdown(db, { logger: quiet }));
  assert.equal(controller.isShuttingDown(), true);
  await assert.rejects(other.execute());
  assert.deepEqual([controller.isShuttingDown(), other.isShuttingDown()], [true, true]);
});

test("S6: a signal's shutdown and the controller's are one", async (t) => {
  const exit = t.mock.method(process, 'exit', () => {});
  let finish;
  const db = stub(() => new Promise((resolve) => (finish = resolve)));
  const controller = createShutdownController(db, { logger: quiet });
  const unregister = controller.registerSignals();
  signal('SIGTERM');
  assert.equal(controller.isShuttingDown(), true);
  const executed = controller.execute();
  const direct = gracefulShutdown(db);
  await waitFor(() => finish);
  finish();
  await Promise.all([executed, direct]);
  await waitFor(() => exit.mock.callCount() === 1);
  assert.deepEqual(exit.mock.calls[0].arguments, [0]);
  assert.equal(calls(db), 1);
  unregister();
});

test('S7: the process ends when all databases have, with 1 when one failed', async (t) => {
  const exit = t.mock.method(process, 'exit', () => {});
  let finish;
  const quick = stub(() => Promise.reject(new Error('no')));
  const slow = stub(() => new Promise((resolve) => (finish = resolve)));
  const unregister = [quick, slow].map((db) => registerShutdownHandlers(db, { logger: quiet }));
  signal('SIGINT');
  await waitFor(() => finish);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(exit.mock.callCount(), 0);
  finish();
  await waitFor(() => exit.mock.callCount() === 1);
  assert.deepEqual(exit.mock.calls[0].arguments, [1]);
  for (const take of unregister) take();
});

test('S8: one listener per signal, gone with the last registration', () => {
  const before = process.listenerCount('SIGTERM');
  const taken = Array.from({ length: 15 }, () => registerShutdownHandlers(stub()));
  assert.equal(process.listenerCount('SIGTERM'), before + 1);
  for (const take of taken.slice(1)) take();
  assert.equal(process.listenerCount('SIGTERM'), before + 1);
  taken[0]();
  taken[0]();
  assert.equal(process.listenerCount('SIGTERM'), before);
  assert.equal(process.listenerCount('SIGINT'), before);
});

test("S9: a second signal ends the process at once with 128 plus the signal's number", async (t) => {
  const exit = t.mock.method(process, 'exit', () => {});
  const db = stub(never);
  const unregister = registerShutdownHandlers(db, { timeout: 200, logger: quiet });
  signal('SIGTERM');
  signal('SIGINT');
  assert.deepEqual(
    exit.mock.calls.map((call) => call.arguments),
    [[130]],
  );
  await waitFor(() => exit.mock.callCount() === 2, { what: 'the end of the first' });
  unregister();
});

test('S10: exit and exitCode decide how the process goes on', async (t) => {
  const exit = t.mock.method(process, 'exit', () => {});
  const error = new Error('no');
  const seen = [];
  const exitCode = (...args) => {
    seen.push(args);
    return 42;
  };
  const failing = stub(() => Promise.reject(error));
  const take = registerShutdownHandlers(failing, { exitCode, logger: quiet });
  signal('SIGTERM');
  await waitFor(() => exit.mock.callCount() === 1);
  assert.deepEqual(exit.mock.calls[0].arguments, [42]);
  assert.deepEqual(seen, [[error, 'SIGTERM']]);
  take();
  const staying = stub();
  const logger = { info: mock.fn() };
  const untake = registerShutdownHandlers(staying, { exit: false, logger });
  signal('SIGTERM');
  await waitFor(() => calls(staying) === 1);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(exit.mock.callCount(), 1);
  const [line] = logger.info.mock.calls[0].arguments;
  assert.equal(line, 'Received SIGTERM, starting graceful shutdown...');
  untake();
});

test('S11: where there is no process to listen to, or to end, there is a warning', (t) => {
  const real = globalThis.process;
  t.after(() => {
    globalThis.process = real;
  });
  const registered = mock.fn();
  for (const process of [undefined, { on: registered }, { exit() {} }]) {
    const warnings = [];
    globalThis.process = process;
    registerShutdownHandlers(stub(), { logger: { warn: (line) => warnings.push(line) } })();
    assert.deepEqual(warnings, [
      'There is no process to listen to: no shutdown handlers registered',
    ]);
  }
  assert.equal(registered.mock.callCount(), 0);
});

test('S11: a worker thread gets a warning and nothing is registered', async () => {
  const code = `
    const { parentPort } = require('node:worker_threads');
    const { registerShutdownHandlers } = require(${JSON.stringify(require.resolve('../../lib/shutdown.js'))});
    const warnings = [];
    const logger = { warn: (line) => warnings.push(line) };
    const before = process.listenerCount('SIGTERM');
    registerShutdownHandlers({ destroy() {} }, { logger })();
    parentPort.postMessage({ warnings, listeners: process.listenerCount('SIGTERM') - before });`;
  const worker = new Worker(code, { eval: true });
  const [{ warnings, listeners }] = await once(worker, 'message');
  await once(worker, 'exit');
  assert.deepEqual([warnings.length, listeners], [1, 0]);
});
