// Lengths and counts a server announces: rules W01 to W05 and W08 through the whole stack.
'use strict';

const assert = require('node:assert/strict');
const { describe, it } = require('node:test');
const m = require('../support/backend-messages.js');
const replies = require('../support/script-replies.js');

const { behave, failureOf, readRequest, rightAnswer, scriptedPool, spoiledOnce } = replies;

const TIMEOUT = { timeout: 20_000 };
const TAGS = '123ACDEGHIKNRSTVWZcdnstv';
const RESIDENT_LIMIT = 24 * 1024 * 1024;

/** A message with any announced length and no body. */
const announced = (type, length) => Buffer.concat([Buffer.from(type), m.int32(length)]);

/** Asserts that exactly one call failed, with the protocol error as its cause, and that the pool goes on. */
async function assertBroken(context, bytes) {
  let closed;
  const { pool } = await spoiledOnce(context, async (connection, request) => {
    await connection.send(...(typeof bytes === 'function' ? bytes(request) : [bytes]));
    closed = connection.closed;
    await connection.stall();
  });
  const error = await failureOf(pool.query('select x'));
  assert.equal(error.name, 'OutcomeUnknownError');
  assert.equal(error.cause?.name, 'ProtocolError', `cause is ${error.cause}`);
  await closed;
  assert.deepEqual([...(await pool.query('select x'))], [{ x: '1' }]);
}

/** Everything of the right answer up to the row. */
const upToRow = (request, result) => {
  const answer = rightAnswer(request, result);
  return answer.slice(
    0,
    answer.findIndex((message) => message[0] === 0x44),
  );
};

describe('lengths', { concurrency: 8 }, () => {
  for (const length of [0, 1, 2, 3, -1, -(2 ** 31)]) {
    it(`sec_w01_message_length_${length}_for_every_tag`, TIMEOUT, async (context) => {
      for (const tag of TAGS) await assertBroken(context, announced(tag, length));
    });
  }

  it('sec_w02_authentication_messages_have_a_small_cap', TIMEOUT, async (context) => {
    const { pool } = await scriptedPool(
      context,
      async (connection) => {
        await connection.readStartup();
        await connection.send(m.authentication(5, Buffer.alloc(2001)));
        await connection.stall();
      },
      { raw: true },
    );
    assert.equal((await failureOf(pool.query('select 1'))).code, 'ERR_PROTOCOL');
  });

  for (const length of [-2, -(2 ** 31), 2 ** 31 - 1, 2]) {
    it(`sec_w03_field_length_${length}`, TIMEOUT, async (context) => {
      await assertBroken(context, (request) => [
        ...upToRow(request),
        m.message('D', Buffer.concat([m.int16(1), m.int32(length), Buffer.from('a')])),
      ]);
    });
  }

  it('sec_w03_bytes_behind_the_last_field', TIMEOUT, async (context) => {
    await assertBroken(context, (request) => [
      ...upToRow(request),
      m.message('D', Buffer.concat([m.int16(1), m.int32(1), Buffer.from('ab')])),
    ]);
  });

  it('sec_w03_bytes_behind_an_authentication_message', TIMEOUT, async (context) => {
    const behind = Buffer.from([0]);
    for (const [method, rest] of Object.entries({
      0: '',
      3: '',
      5: 'salt',
      10: 'SCRAM-SHA-256\0\0',
    })) {
      const { pool } = await scriptedPool(
        context,
        async (connection) => {
          await connection.readStartup();
          await connection.send(
            m.authentication(Number(method), Buffer.concat([Buffer.from(rest), behind])),
          );
          await connection.stall();
        },
        { raw: true, password: 'x', allowCleartext: true },
      );
      const error = await failureOf(pool.query('select 1'));
      assert.equal(error.code, 'ERR_PROTOCOL', `${method}: ${error}`);
      assert.match(error.message, /1 bytes after its last field/);
    }
  });

  for (const values of [[], ['1', '2'], Array(1600).fill('1')]) {
    it(`sec_w04_row_of_${values.length}_fields_for_one_column`, TIMEOUT, async (context) => {
      await assertBroken(context, (request) => [...upToRow(request), m.dataRow(values)]);
    });
  }

  it('sec_w04_field_count_beyond_the_message', TIMEOUT, async (context) => {
    await assertBroken(context, (request) => [
      ...upToRow(request),
      m.message('D', Buffer.concat([m.int16(65_535)])),
    ]);
  });

  it('sec_w05_longest_message_is_bounded', TIMEOUT, async (context) => {
    await assertBroken(context, announced('D', 2 ** 31 - 1));
  });
});

/** One after the other: what is measured is the whole process. */
describe('memory and time', () => {
  it('sec_w02_one_gigabyte_before_authentication', TIMEOUT, async (context) => {
    for (const tag of ['R', 'E', 'N', 'v', 'D', 'Z', 'X', '\0']) {
      const { pool } = await scriptedPool(
        context,
        async (connection) => {
          await connection.readStartup();
          await connection.send(announced(tag, 2 ** 30));
          await connection.stall();
        },
        { raw: true },
      );
      const before = process.memoryUsage.rss();
      const started = performance.now();
      const error = await failureOf(pool.query('select 1'));
      const took = performance.now() - started;
      assert.equal(error.outcome, 'not-sent', String(error));
      if (tag !== 'E') assert.equal(error.code, 'ERR_PROTOCOL', String(error));
      if (tag !== 'E') assert.ok(took < 500, `took ${took} ms`);
      assert.ok(process.memoryUsage.rss() - before < RESIDENT_LIMIT);
    }
  });

  it('sec_w05_announced_gigabyte_allocates_nothing', TIMEOUT, async (context) => {
    const { pool } = await spoiledOnce(context, async (connection, request) => {
      await connection.send(...upToRow(request), announced('D', 2 ** 30 - 1), '0123456789');
      await connection.stall();
    });
    const before = process.memoryUsage.rss();
    const error = await failureOf(pool.query('select x', [], { timeoutMs: 400 }));
    assert.ok(process.memoryUsage.rss() - before < RESIDENT_LIMIT);
    assert.equal(error.outcome, 'unknown');
    assert.deepEqual([...(await pool.query('select x'))], [{ x: '1' }]);
  });

  it('sec_w08_a_large_field_in_small_pieces_costs_linear_time', {
    timeout: 60_000,
  }, async (context) => {
    const bytes = 64 * 1024 * 1024;
    const field = Buffer.alloc(bytes, 'a');
    const { pool } = await scriptedPool(context, async (connection) => {
      for (let pieces = 64 * 1024; ; pieces = 1024) {
        const [...parts] = rightAnswer(await readRequest(connection), { rows: [[field]] });
        connection.split(pieces);
        await connection.send(...parts);
        connection.split(0);
      }
    });
    const times = [];
    for (let round = 0; round < 2; round++) {
      const started = process.cpuUsage();
      const [{ x }] = await pool.query('select x');
      const { user, system } = process.cpuUsage(started);
      assert.equal(x.length, bytes);
      times.push((user + system) / 1000);
    }
    // Both ends share this process: 64 times as many writes cost something, quadratic work would cost minutes.
    assert.ok(times[1] < times[0] * 8 + 4000, `CPU in large and small pieces: ${times} ms`);
  });

  it('sec_w08_every_byte_in_a_packet_of_its_own', TIMEOUT, async (context) => {
    const { pool } = await scriptedPool(context, async (connection) => {
      connection.split(1);
      await behave(connection, { fields: [{ name: 'a' }, { name: 'b' }], rows: [['ä', null]] });
    });
    for (let round = 0; round < 3; round++) {
      assert.deepEqual([...(await pool.query('select'))], [{ a: 'ä', b: null }]);
    }
  });
});
