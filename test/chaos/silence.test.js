// Servers that stop talking: every deadline holds, and late answers reach nobody (C04, P06).
'use strict';

const assert = require('node:assert/strict');
const net = require('node:net');
const { describe, it } = require('node:test');
const { createPool } = require('../../lib/index.js');
const m = require('../support/backend-messages.js');
const replies = require('../support/script-replies.js');
const { waitFor } = require('../support/wait.js');

const { behave, failureOf, readRequest, rightAnswer, scriptedPool } = replies;
const TIMEOUT = { timeout: 20_000 };

/** Runs `work` and asserts that it took between the two times. */
async function within(least, most, work) {
  const started = performance.now();
  const result = await work();
  const took = performance.now() - started;
  assert.ok(took >= least && took <= most, `took ${took} ms, expected ${least} to ${most}`);
  return result;
}

describe('silence', { concurrency: 16 }, () => {
  it('sec_p06_nobody_listens', TIMEOUT, async (context) => {
    const probe = net.createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => probe.once('listening', resolve));
    const { port } = /** @type {net.AddressInfo} */ (probe.address());
    await new Promise((resolve) => probe.close(resolve));
    const pool = createPool({ host: '127.0.0.1', port, user: 'x', acquireTimeoutMs: 300 });
    context.after(() => pool.end());
    const error = await within(250, 900, () => failureOf(pool.query('select 1')));
    assert.equal(error.outcome, 'not-sent');
    assert.equal(error.name, 'NoPrimaryError');
    assert.equal(error.cause?.code, 'ECONNREFUSED');
  });

  it('sec_p06_accepts_and_says_nothing', TIMEOUT, async (context) => {
    const { pool } = await scriptedPool(context, (connection) => connection.stall(), {
      raw: true,
      connectTimeoutMs: 200,
      acquireTimeoutMs: 500,
    });
    const error = await within(400, 1200, () => failureOf(pool.query('select 1')));
    assert.equal(error.outcome, 'not-sent');
    assert.match(error.message, /200ms/);
  });

  it(
    'CP-53: a cancel that nobody takes has its own deadline, and its connection is never used again',
    TIMEOUT,
    async (context) => {
      /** @type {string[]} */
      const kinds = [];
      const { pool } = await scriptedPool(
        context,
        async (connection) => {
          const packet = await connection.readStartup();
          kinds.push(packet.kind);
          if (packet.kind === 'cancel') return connection.stall();
          const roles = ['in_hot_standby', 'default_transaction_read_only'];
          const reports = roles.map((name) => m.parameterStatus(name, 'off'));
          await connection.send(m.authOk(), ...reports, m.backendKey(7), m.ready());
          await readRequest(connection);
          await connection.stall();
        },
        { raw: true, connectTimeoutMs: 300 },
      );
      const error = await within(1900, 4000, () =>
        failureOf(pool.query('select 1', [], { timeoutMs: 100 })),
      );
      assert.deepEqual([error.outcome, error.code], ['unknown', 'IN_DOUBT'], error.stack);
      await waitFor(() => pool.status().size === 0, { what: 'the end of the connection' });
      assert.deepEqual(kinds, ['startup', 'cancel']);
    },
  );

  it('sec_p06_silent_during_authentication', TIMEOUT, async (context) => {
    const { pool, server } = await scriptedPool(
      context,
      async (connection) => {
        await connection.readStartup();
        await connection.send(m.authentication(10, Buffer.from('SCRAM-SHA-256\0\0')));
        await connection.stall();
      },
      { raw: true, password: 'x', connectTimeoutMs: 200, acquireTimeoutMs: 300 },
    );
    const error = await within(250, 1000, () => failureOf(pool.query('select 1')));
    assert.equal(error.outcome, 'not-sent');
    await waitFor(() => server.open <= 1);
  });

  for (const phase of ['TLS', 'set-up']) {
    it(`sec_p06_silent_during_${phase}`, TIMEOUT, async (context) => {
      const { pool } = await scriptedPool(
        context,
        async (connection) => {
          const { kind } = await connection.readStartup();
          await connection.send(kind === 'ssl' ? 'S' : m.authOk());
          await connection.stall();
        },
        {
          raw: true,
          sslmode: phase === 'TLS' ? 'require' : 'disable',
          connectTimeoutMs: 200,
          acquireTimeoutMs: 300,
        },
      );
      const error = await within(250, 1000, () => failureOf(pool.query('select 1')));
      assert.equal(error.outcome, 'not-sent', String(error));
    });
  }

  for (const [name, pool, query] of [
    ['timeoutMs', {}, { timeoutMs: 200 }],
    ['maxStatementMs', { maxStatementMs: 200 }, {}],
  ]) {
    it(`sec_c04_silent_after_the_query_meets_${name}`, TIMEOUT, async (context) => {
      let first = true;
      const scripted = await scriptedPool(
        context,
        async (connection) => {
          if (!first) return behave(connection);
          first = false;
          await readRequest(connection);
          await connection.stall();
          return undefined;
        },
        { ...pool, poolSize: 1 },
      );
      const slow = within(200, 3500, () => failureOf(scripted.pool.query('select 1', [], query)));
      const error = await slow;
      assert.equal(error.outcome, 'unknown', String(error));
      assert.equal(error.cause?.name, 'TimeoutError', String(error.cause));
      const rows = await scripted.pool.query('select x');
      assert.deepEqual([...rows], [{ x: '1' }]);
    });
  }

  it('sec_c04_a_late_reply_never_reaches_the_next_borrower', TIMEOUT, async (context) => {
    let late;
    let isCancelled = false;
    const { pool } = await scriptedPool(
      context,
      async (connection) => {
        await connection.accept().catch((error) => {
          // Whoever hangs up without a start-up packet has asked for a cancel.
          isCancelled ||= connection.startup === undefined;
          throw error;
        });
        for (;;) {
          const request = await readRequest(connection).catch(() => undefined);
          if (request === undefined) return;
          const isSlow = request.some(({ text }) => text.includes('slow'));
          const answer = rightAnswer(request, { rows: [[isSlow ? 'old' : 'new']] });
          if (isSlow) late = () => connection.send(...answer);
          else await connection.send(...answer);
        }
      },
      { raw: true, acquireTimeoutMs: 6000 },
    );
    const slow = pool.query('select slow', [], { timeoutMs: 100 });
    await waitFor(() => late, { what: 'the statement that is answered late' });
    const victims = [1, 2, 3].map(() => pool.query('select quick'));
    await waitFor(() => isCancelled, { what: 'the cancel request' });
    await late();
    // It was finished before the cancel had reached it, so its answer is its own.
    assert.deepEqual([...(await slow)], [{ x: 'old' }]);
    for (const rows of await Promise.all(victims)) assert.deepEqual([...rows], [{ x: 'new' }]);
  });

  it('sec_p06_end_is_bounded_while_a_statement_hangs', TIMEOUT, async (context) => {
    const { pool } = await scriptedPool(context, async (connection) => {
      await readRequest(connection);
      await connection.stall();
    });
    const hanging = failureOf(pool.query('select 1'));
    await waitFor(() => pool.status().inUse === 1);
    const waiting = failureOf(pool.query('select 1', [], {}));
    await within(0, 3500, () => pool.end({ timeoutMs: 100 }));
    await pool.end();
    assert.equal((await hanging).outcome, 'unknown');
    assert.equal((await waiting).outcome, 'not-sent');
  });

  it('sec_p06_end_is_bounded_while_a_connection_is_being_opened', TIMEOUT, async (context) => {
    const { pool } = await scriptedPool(context, (connection) => connection.stall(), {
      raw: true,
      connectTimeoutMs: 30_000,
      acquireTimeoutMs: 30_000,
    });
    const waiting = failureOf(pool.query('select 1'));
    await waitFor(() => pool.status().waiting === 1);
    await within(0, 4000, () => pool.end({ timeoutMs: 100 }));
    assert.equal((await waiting).name, 'ClosedError');
  });

  it('sec_p06_end_during_a_transaction_that_is_left_open', TIMEOUT, async (context) => {
    const { pool } = await scriptedPool(context, (connection) =>
      behave(connection, { status: 'T' }),
    );
    const tx = await pool.begin();
    await within(0, 3500, () => pool.end({ timeoutMs: 100 }));
    const error = await failureOf(tx.query('select 1'));
    assert.ok(['failed', 'not-sent'].includes(error.outcome), String(error));
    await tx.rollback().catch(() => {});
  });
});
