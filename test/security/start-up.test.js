// What a server, or somebody in between, says before the session stands: rules T01, T02, T04, T08, A01 and A07.
'use strict';

const assert = require('node:assert/strict');
const { describe, it } = require('node:test');
const { inspect } = require('node:util');
const m = require('../support/backend-messages.js');
const { behave, failureOf, scriptedPool } = require('../support/script-replies.js');

const TIMEOUT = { timeout: 20_000 };
const CANARY = 'c4n4ry-p4ssw0rd';

/** A pool whose server answers the start-up by the script. */
const startUp = (context, script, options) =>
  scriptedPool(context, script, { raw: true, password: CANARY, ...options });

/** Declines TLS and reads the start-up message. */
async function declined(connection) {
  let packet = await connection.readStartup();
  while (packet.kind === 'ssl' || packet.kind === 'gss') {
    await connection.send('N');
    packet = await connection.readStartup();
  }
  return packet;
}

const SET_UP = Buffer.concat([m.authOk(), m.primary(), m.backendKey(7), m.ready()]);

describe('TLS request', { concurrency: 8 }, () => {
  for (const mode of ['prefer', 'require']) {
    for (const answer of ['S', 'N']) {
      it(`sec_t01_plain_text_behind_${answer}_with_${mode}`, TIMEOUT, async (context) => {
        const { pool, server } = await startUp(
          context,
          async (connection) => {
            assert.equal((await connection.readStartup()).kind, 'ssl');
            await connection.send(answer, SET_UP);
            await connection.stall();
          },
          { sslmode: mode },
        );
        const error = await failureOf(pool.query('select x'));
        assert.match(error.code, /ERR_PROTOCOL|ERR_TLS/);
        assert.equal(error.outcome, 'not-sent');
        assert.equal(server.connections, 1, 'the attempt is not repeated in plain text');
      });
    }

    it(`sec_t01_plain_text_in_a_second_segment_with_${mode}`, TIMEOUT, async (context) => {
      const { pool } = await startUp(
        context,
        async (connection) => {
          await connection.readStartup();
          await connection.send('S');
          await connection.readBytes(1);
          await connection.send(SET_UP);
          await connection.stall();
        },
        { sslmode: mode },
      );
      const error = await failureOf(pool.query('select x'));
      assert.equal(error.outcome, 'not-sent', String(error));
    });
  }

  const answers = {
    N: 'N',
    error: m.error({ M: CANARY }),
    garbage: 'HTTP/1.1 400\r\n',
    nothing: '',
  };
  for (const [name, answer] of Object.entries(answers)) {
    it(`sec_t02_require_never_continues_in_plain_text_after_${name}`, TIMEOUT, async (context) => {
      let sawStartup = false;
      const { pool } = await startUp(
        context,
        async (connection) => {
          await connection.readStartup();
          await connection.send(answer);
          if (answer === '') return;
          const next = await connection.readStartup();
          sawStartup = next.kind === 'startup';
        },
        { sslmode: 'require' },
      );
      const error = await failureOf(pool.query('select x'));
      assert.equal(error.outcome, 'not-sent', String(error));
      assert.equal(sawStartup, false);
    });
  }

  it('sec_t02_prefer_falls_back_after_N', TIMEOUT, async (context) => {
    const { pool } = await startUp(
      context,
      async (connection) => {
        await connection.accept();
        await behave(connection);
      },
      { sslmode: 'prefer' },
    );
    assert.equal((await pool.query('select x')).length, 1);
  });

  it('sec_t02_prefer_does_not_fall_back_after_garbage', TIMEOUT, async (context) => {
    const { pool, server } = await startUp(
      context,
      async (connection) => {
        await connection.readStartup();
        await connection.send('HTTP/1.1 400 Bad Request\r\n');
        await connection.stall();
      },
      { sslmode: 'prefer' },
    );
    const error = await failureOf(pool.query('select x'));
    assert.equal(error.code, 'ERR_PROTOCOL', String(error));
    assert.equal(server.connections, 1);
  });

  it('sec_t04_error_before_tls_is_labelled_untrusted', TIMEOUT, async (context) => {
    const { pool } = await startUp(
      context,
      async (connection) => {
        await connection.readStartup();
        await connection.send(m.error({ C: '28P01', M: 'send \x1b[31mmoney' }));
      },
      { sslmode: 'require' },
    );
    const error = await failureOf(pool.query('select x'));
    assert.notEqual(error.code, '28P01');
    assert.match(error.message, /not trusted/);
    assert.ok(!error.message.includes('\x1b'));
  });

  it('a refusal that nobody waited for is told to who comes next', TIMEOUT, async (context) => {
    // The pool asks for a connection as soon as it is known that a statement will come, here a stream nobody reads yet.
    const { pool, server } = await startUp(context, async (connection) => {
      await declined(connection);
      await connection.send(m.error({ C: '28P01', M: 'no' }));
    });
    pool.stream('select x');
    const refused = new Promise((resolve) => pool.once('search', resolve));
    assert.equal((await refused).error.code, '28P01');
    const began = performance.now();
    assert.equal((await failureOf(pool.query('select x'))).code, '28P01');
    // A refusal holds for a tenth of a second: only a machine that was held up so long has tried again.
    if (performance.now() - began < 50) assert.equal(server.connections, 1);
    assert.equal(pool.status().counters.failedConnects, server.connections);
  });

  it('sec_t04_error_text_instead_of_a_protocol_message', TIMEOUT, async (context) => {
    const { pool } = await startUp(context, async (connection) => {
      await connection.readStartup();
      await connection.send('EFATAL: could not fork\n\0');
    });
    const error = await failureOf(pool.query('select x'));
    assert.equal(error.outcome, 'not-sent');
    assert.match(`${error.message} ${error.cause?.message}`, /not trusted/);
  });
});

describe('authentication requests', { concurrency: 8 }, () => {
  it('sec_a01_clear_text_is_refused_without_tls', TIMEOUT, async (context) => {
    const { pool } = await startUp(context, async (connection) => {
      await declined(connection);
      await connection.send(m.authentication(3));
      await assert.rejects(connection.readMessage(), { name: 'ConnectionGone' });
    });
    const error = await failureOf(pool.query('select x'));
    assert.equal(error.name, 'AuthError');
    assert.equal(error.code, 'ERR_AUTH');
    assert.equal(error.outcome, 'not-sent');
    assert.ok(!inspect(error, { depth: 9, showHidden: true }).includes(CANARY));
  });

  for (const [kind, name] of [
    [2, /kerberos/i],
    [6, /scm/i],
    [7, /gss/i],
    [9, /sspi/i],
    [99, /99/],
  ]) {
    it(`sec_a07_method_${kind}_is_named`, TIMEOUT, async (context) => {
      const { pool } = await startUp(context, async (connection) => {
        await declined(connection);
        await connection.send(m.authentication(kind));
        await connection.stall();
      });
      const error = await failureOf(pool.query('select x'));
      assert.equal(error.name, 'AuthError', String(error));
      assert.match(error.message, name);
    });
  }

  it('sec_a07_unknown_sasl_mechanisms_are_named', TIMEOUT, async (context) => {
    const { pool } = await startUp(context, async (connection) => {
      await declined(connection);
      await connection.send(m.authentication(10, Buffer.from('SCRAM-SHA-1\0OAUTHBEARER\0\0')));
      await connection.stall();
    });
    const error = await failureOf(pool.query('select x'));
    assert.equal(error.name, 'AuthError', String(error));
    assert.match(error.message, /SCRAM-SHA-1.*OAUTHBEARER/);
  });

  it('sec_t08_nothing_of_one_attempt_is_seen_by_the_next', TIMEOUT, async (context) => {
    const seen = [];
    const { pool } = await startUp(
      context,
      async (connection) => {
        const { parameters } = await declined(connection);
        seen.push(parameters);
        if (seen.length === 1) {
          // A parameter, a key and half a SCRAM exchange, then the line is cut.
          const sasl = m.authentication(10, Buffer.from('SCRAM-SHA-256\0\0'));
          await connection.send(sasl);
          const { body } = await connection.readMessage();
          seen.push(body.toString());
          connection.reset();
          return;
        }
        await connection.send(m.authentication(10, Buffer.from('SCRAM-SHA-256\0\0')));
        const { body } = await connection.readMessage();
        seen.push(body.toString());
        await connection.send(m.authentication(0));
        await connection.stall();
      },
      { acquireTimeoutMs: 800 },
    );
    const error = await failureOf(pool.query('select x'));
    assert.equal(error.outcome, 'not-sent');
    const [first, firstScram, second, secondScram] = seen;
    assert.deepEqual(first, second);
    const nonce = (text) => /r=([^,]+)/.exec(text)?.[1];
    assert.ok(nonce(firstScram) && nonce(secondScram));
    assert.notEqual(nonce(firstScram), nonce(secondScram));
  });
});
