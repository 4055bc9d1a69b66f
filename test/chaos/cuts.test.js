// A connection that ends at any byte: what the caller is told is never wrong, and nobody waits for ever (X03).
'use strict';

const assert = require('node:assert/strict');
const { describe, it } = require('node:test');
const m = require('../support/backend-messages.js');
const { behave, readRequest, rightAnswer, scriptedPool } = require('../support/script-replies.js');
const { waitFor } = require('../support/wait.js');

const TIMEOUT = { timeout: 30_000 };
const FAST = { acquireTimeoutMs: 2000 };

const outcomeOf = (promise) =>
  promise.then(
    (rows) => ({ rows }),
    (error) => ({ error }),
  );

/**
 * Cuts the answer of one connection after each byte in turn; `end` is how.
 * @param {(connection: any) => Promise<void> | void} end
 */
async function cutEverywhere(context, result, end, check) {
  let cut = 0;
  let length = 1;
  const { pool } = await scriptedPool(
    context,
    async (connection) => {
      const bytes = Buffer.concat(result(await readRequest(connection)));
      length = bytes.length;
      await connection.send(bytes.subarray(0, cut));
      await end(connection);
    },
    FAST,
  );
  for (cut = 0; cut < length; cut++) check(await outcomeOf(pool.query('select x')), cut, length);
  return pool;
}

const ways = {
  fin: (connection) => connection.finish(),
  rst: (connection) => connection.reset(),
};

describe('cuts of a reply', { concurrency: 8 }, () => {
  for (const [name, end] of Object.entries(ways)) {
    it(`sec_x03_rows_cut_at_every_byte_by_${name}`, TIMEOUT, async (context) => {
      const result = (request) => rightAnswer(request, { rows: [['1'], ['2']] });
      await cutEverywhere(context, result, end, ({ rows, error }, cut) => {
        assert.equal(rows, undefined, `resolved although cut at ${cut}`);
        assert.equal(error.outcome, 'unknown', `${cut}: ${error}`);
        assert.equal(error.safeToRetry, false);
        assert.equal(error.code, 'IN_DOUBT');
      });
    });

    it(`sec_x03_error_cut_at_every_byte_by_${name}`, TIMEOUT, async (context) => {
      const error = m.error({ C: '23505', M: 'duplicate' });
      const result = () => [error, m.ready()];
      await cutEverywhere(context, result, end, (seen, cut) => {
        const verdict = cut >= error.length && name === 'fin';
        if (verdict) assert.equal(seen.error.code, '23505', `${cut}: ${seen.error}`);
        // After RST bytes that were under way may be lost: then there is no verdict.
        else if (seen.error.code !== '23505') assert.equal(seen.error.outcome, 'unknown', `${cut}`);
        assert.notEqual(seen.error.outcome, 'not-sent');
      });
    });
  }

  it(
    'sec_x03_fatal_error_before_the_end_is_the_cause_not_the_verdict',
    TIMEOUT,
    async (context) => {
      const { pool } = await scriptedPool(
        context,
        async (connection) => {
          await readRequest(connection);
          await connection.send(m.error({ S: 'FATAL', V: 'FATAL', C: '57P01', M: 'shutdown' }));
          await connection.finish();
        },
        FAST,
      );
      const { error } = await outcomeOf(pool.query('select x'));
      assert.equal(error.outcome, 'unknown', String(error));
      assert.equal(error.cause?.code, '57P01', String(error.cause));
    },
  );

  it('sec_x03_pipelined_neighbours_each_get_their_own_outcome', TIMEOUT, async (context) => {
    let cut = 0;
    let first = true;
    const { pool } = await scriptedPool(
      context,
      async (connection) => {
        if (first) {
          first = false;
          // Known as short by now, so the next ones share the connection.
          for (let warm = 0; warm < 3; warm++) {
            await connection.send(...rightAnswer(await readRequest(connection)));
          }
        }
        for (let left = cut; ; ) {
          const answer = Buffer.concat(rightAnswer(await readRequest(connection)));
          await connection.send(answer.subarray(0, left));
          left -= answer.length;
          if (left <= 0) break;
        }
        await connection.finish();
      },
      FAST,
    );
    for (let warm = 0; warm < 3; warm++) await pool.query('select x');
    for (cut = 0; cut < 100; cut += 7) {
      const seen = await Promise.all([1, 2, 3].map(() => outcomeOf(pool.query('select x'))));
      for (const { rows, error } of seen) {
        if (rows !== undefined) assert.deepEqual([...rows], [{ x: '1' }]);
        else assert.notEqual(error.outcome, 'failed', String(error));
      }
    }
  });

  it('sec_x03_half_close_still_delivers_what_was_sent', TIMEOUT, async (context) => {
    const { pool } = await scriptedPool(
      context,
      async (connection) => {
        await connection.send(...rightAnswer(await readRequest(connection)));
        await connection.finish();
      },
      FAST,
    );
    for (let round = 0; round < 20; round++) {
      const { rows, error } = await outcomeOf(pool.query('select x'));
      // The next statement may meet a connection that is just going: it was sent, or it was not.
      if (error === undefined) assert.deepEqual([...rows], [{ x: '1' }]);
      else assert.equal(error.outcome, 'unknown', String(error));
    }
  });

  it('sec_w06_garbage_instead_of_an_answer', TIMEOUT, async (context) => {
    let seed = 1;
    const random = () => {
      seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
      return seed;
    };
    const { pool } = await scriptedPool(
      context,
      async (connection) => {
        await readRequest(connection);
        const bytes = Buffer.from(
          Array.from({ length: (random() >> 8) % 64 }, () => random() >> 16),
        );
        await connection.send(bytes);
        await connection.finish();
      },
      FAST,
    );
    for (let round = 0; round < 300; round++) {
      const { error } = await outcomeOf(pool.query('select x'));
      assert.ok(error, 'garbage is no answer');
      assert.notEqual(error.name, 'InternalError', String(error));
      assert.notEqual(error.outcome, 'not-sent', String(error));
    }
  });
});

describe('cuts of the start-up', { concurrency: 4 }, () => {
  it(
    'sec_p06_start_up_cut_at_every_byte_is_not_sent_or_served_by_the_next',
    TIMEOUT,
    async (context) => {
      const greeting = Buffer.concat([
        m.authOk(),
        m.parameterStatus('server_version', '15.0'),
        m.backendKey(7),
        m.ready(),
      ]);
      let cut = 0;
      let good = false;
      const { pool } = await scriptedPool(
        context,
        async (connection) => {
          if (good) {
            await connection.accept();
            await behave(connection);
            return;
          }
          await connection.readStartup();
          await connection.send(greeting.subarray(0, cut));
          await connection.finish();
        },
        { raw: true, acquireTimeoutMs: 60, idleTimeoutMs: 0 },
      );
      for (cut = 0; cut < greeting.length; cut += 3) {
        const { error } = await outcomeOf(pool.query('select x'));
        assert.equal(error?.outcome, 'not-sent', `${cut}: ${error}`);
      }
      good = true;
      // The pauses between attempts have grown to half a second meanwhile.
      await waitFor(async () => (await pool.query('select x')).length === 1, { timeoutMs: 2000 });
    },
  );
});
