// Messages out of state, between any two others, and text that is no text: rules W06, W09, W10 and W11.
'use strict';

const assert = require('node:assert/strict');
const { describe, it } = require('node:test');
const m = require('../support/backend-messages.js');
const replies = require('../support/script-replies.js');

const { failureOf, readRequest, rightAnswer, scriptedPool, spoiledOnce } = replies;

const TIMEOUT = { timeout: 20_000 };

/** One well-formed message of every kind a server can send after start-up. */
const ANY = {
  parseComplete: m.parseComplete(),
  bindComplete: m.bindComplete(),
  closeComplete: m.closeComplete(),
  parameterDescription: m.parameterDescription([]),
  rowDescription: m.rowDescription([{ name: 'x' }]),
  noData: m.noData(),
  dataRow: m.dataRow(['1']),
  commandComplete: m.commandComplete('SELECT 1'),
  emptyQuery: m.emptyQuery(),
  portalSuspended: m.portalSuspended(),
  ready: m.ready(),
  copyIn: m.copyResponse('G'),
  copyOut: m.copyResponse('H'),
  copyBoth: m.copyResponse('W'),
  copyData: m.copyData('x'),
  copyDone: m.copyDone(),
  authenticationOk: m.authOk(),
  backendKey: m.backendKey(1),
  negotiate: m.message('v', Buffer.concat([m.int32(0), m.int32(0)])),
  functionResult: m.message('V', m.int32(-1)),
  unknown: m.message('~'),
  zero: m.message('\0'),
};

/** Messages that may come at any time. */
const UNASKED = [
  m.notice({ M: 'by the way' }),
  m.notification(1, 'channel', 'payload'),
  m.parameterStatus('application_name', 'x'),
  m.notice({ C: '01000', M: '' }),
];

describe('messages out of state', { concurrency: 8 }, () => {
  for (const [name, bytes] of Object.entries(ANY)) {
    it(`sec_w06_${name}_at_every_place_of_an_answer`, TIMEOUT, async (context) => {
      let place = 0;
      let places = 1;
      const { pool } = await scriptedPool(context, async (connection) => {
        for (;;) {
          const answer = rightAnswer(await readRequest(connection));
          places = answer.length + 1;
          answer.splice(place, 0, bytes);
          await connection.send(...answer);
        }
      });
      for (place = 0; place < places; place++) {
        // Some are in state here and there (an extra row, an early end): then the answer counts, or the next call fails.
        const options = { timeoutMs: 2000 };
        for (let call = 0; call < 2; call++) {
          const error = await pool.query('select x', [], options).then(
            () => undefined,
            (reason) => reason,
          );
          if (error === undefined) continue;
          assert.notEqual(error.name, 'InternalError', String(error));
          assert.notEqual(error.name, 'TimeoutError', `${name} at ${place}: ${error}`);
          assert.notEqual(error.cause?.name, 'TimeoutError', `${name} at ${place}: ${error}`);
        }
      }
    });

    it(`sec_w06_${name}_while_idle`, TIMEOUT, async (context) => {
      let first = true;
      const { pool } = await scriptedPool(context, async (connection) => {
        for (;;) {
          await connection.send(...rightAnswer(await readRequest(connection)));
          if (first) await connection.send(bytes);
          first = false;
        }
      });
      await pool.query('select x');
      const results = await Promise.allSettled([pool.query('select x'), pool.query('select x')]);
      for (const { reason } of results) {
        if (reason === undefined) continue;
        assert.equal(reason.name, 'OutcomeUnknownError', String(reason));
        assert.equal(reason.cause?.name, 'ProtocolError', String(reason.cause));
      }
      assert.deepEqual([...(await pool.query('select x'))], [{ x: '1' }]);
    });
  }

  it('sec_w06_ready_for_query_that_never_comes_meets_the_deadline', TIMEOUT, async (context) => {
    const { pool } = await spoiledOnce(context, async (connection, request) => {
      await connection.send(...rightAnswer(request).slice(0, -1));
      await connection.stall();
    });
    const error = await failureOf(pool.query('select x', [], { timeoutMs: 200 }));
    assert.equal(error.outcome, 'unknown', String(error));
    assert.deepEqual([...(await pool.query('select x'))], [{ x: '1' }]);
  });

  const unterminated = {
    commandComplete: m.message('C', Buffer.from('SELECT 1')),
    error: m.message('E', Buffer.from('SERROR\0C42601\0Mtext')),
    errorWithoutEnd: m.message('E', Buffer.from('SERROR\0C42601\0Mtext\0')),
    notice: m.message('N', Buffer.from('SNOTICE')),
    parameterStatus: m.message('S', Buffer.from('name\0value')),
    notification: m.message('A', Buffer.concat([m.int32(1), Buffer.from('channel')])),
    rowDescription: m.message('T', Buffer.concat([m.int16(1), Buffer.from('x')])),
    rowDescriptionCount: m.message('T', Buffer.concat([m.int16(65_535)])),
    readyWithoutStatus: m.message('Z'),
    readyWithUnknownStatus: m.ready('Q'),
    behindTheEnd: m.message('C', Buffer.from('SELECT 1\0x')),
  };
  for (const [name, bytes] of Object.entries(unterminated)) {
    it(`sec_w06_malformed_${name}`, TIMEOUT, async (context) => {
      const { pool } = await spoiledOnce(context, async (connection, request) => {
        const answer = rightAnswer(request);
        const at = answer.findIndex((message) => message[0] === bytes[0]);
        if (at < 0) answer.splice(1, 0, bytes);
        else answer[at] = bytes;
        await connection.send(...answer);
        await connection.stall();
      });
      const error = await failureOf(pool.query('select x'));
      assert.equal(error.cause?.name, 'ProtocolError', `${error}; cause ${error.cause}`);
      assert.deepEqual([...(await pool.query('select x'))], [{ x: '1' }]);
    });
  }
});

describe('messages at any time', { concurrency: 8 }, () => {
  it('sec_w09_at_every_boundary_of_queries_and_pipelines', TIMEOUT, async (context) => {
    const { pool } = await scriptedPool(context, async (connection) => {
      for (;;) {
        const answer = rightAnswer(await readRequest(connection), { rows: [['1'], ['2']] });
        await connection.send(...answer.flatMap((message) => [...UNASKED, message]), ...UNASKED);
      }
    });
    for (let round = 0; round < 3; round++) {
      const results = await Promise.all(Array.from({ length: 20 }, () => pool.query('select x')));
      for (const rows of results) assert.deepEqual([...rows], [{ x: '1' }, { x: '2' }]);
    }
  });

  it('sec_w09_around_the_end_of_the_start_up', TIMEOUT, async (context) => {
    const { pool } = await scriptedPool(
      context,
      async (connection) => {
        await connection.readStartup();
        const setUp = [
          m.parameterStatus('server_version', '15'),
          m.primary(),
          m.backendKey(7),
          m.ready(),
        ];
        const notice = m.notice({ M: 'hello' });
        await connection.send(notice, m.authOk(), ...setUp.flatMap((each) => [notice, each]));
        await connection.send(...UNASKED);
        await replies.behave(connection);
      },
      { raw: true },
    );
    assert.deepEqual([...(await pool.query('select x'))], [{ x: '1' }]);
  });
});

describe('backend key', { concurrency: 8 }, () => {
  for (const [length, accepted] of [
    [0, false],
    [3, false],
    [4, true],
    [5, false],
    [257, false],
  ]) {
    it(`sec_w10_key_of_${length}_bytes_in_protocol_3_0`, TIMEOUT, async (context) => {
      const { pool } = await scriptedPool(
        context,
        async (connection) => {
          await connection.readStartup();
          const zero = m.message('v', Buffer.concat([m.int32(196_608), m.int32(0)]));
          const greeting = [
            m.authOk(),
            m.primary(),
            m.backendKey(7, Buffer.alloc(length, 1)),
            m.ready(),
          ];
          await connection.send(
            ...(connection.startup.version > 196_608 ? [zero] : []),
            ...greeting,
          );
          await replies.behave(connection);
        },
        { raw: true },
      );
      if (accepted) assert.equal((await pool.query('select x')).length, 1);
      else assert.equal((await failureOf(pool.query('select x'))).code, 'ERR_PROTOCOL');
    });
  }
});

describe('bytes that are no text', { concurrency: 8 }, () => {
  const bad = Buffer.from([0x61, 0xff, 0xc3, 0x28, 0xed, 0xa0, 0x80, 0x62]);

  it(
    'sec_w11_in_a_text_value_is_an_error_or_a_replacement_always_the_same',
    TIMEOUT,
    async (context) => {
      const { pool } = await scriptedPool(context, (connection) =>
        replies.behave(connection, { rows: [[bad]] }),
      );
      const seen = new Set();
      for (let round = 0; round < 3; round++) {
        const outcome = await pool.query('select x').then(
          ([{ x }]) => x,
          (error) => String(error.message),
        );
        seen.add(outcome);
      }
      assert.equal(seen.size, 1, [...seen].join(' | '));
      assert.ok([...seen][0].isWellFormed());
    },
  );

  it('sec_w11_in_names_errors_notices_and_tags', TIMEOUT, async (context) => {
    const inject = (message) => {
      const at = message.indexOf('BAD.....');
      bad.copy(message, at);
      return message;
    };
    let kind = '';
    const { pool } = await scriptedPool(context, async (connection) => {
      for (;;) {
        const request = await readRequest(connection);
        if (kind === 'error') {
          await connection.send(inject(m.error({ C: '42601', M: 'BAD.....' })), m.ready());
          continue;
        }
        const answer = rightAnswer(request, { fields: [{ name: 'BAD.....' }] });
        const description = answer.find((message) => message[0] === 0x54);
        if (description) inject(description);
        await connection.send(inject(m.notice({ M: 'BAD.....' })), ...answer);
      }
    });
    const [row] = await pool.query('select x');
    const [name] = Object.keys(row);
    assert.ok(name.isWellFormed() && name.startsWith('a'));
    kind = 'error';
    const error = await failureOf(pool.query('select x'));
    assert.equal(error.code, '42601');
    assert.ok(error.message.isWellFormed());
  });
});
