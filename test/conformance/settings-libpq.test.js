// Values of settings are accepted and refused as libpq does it; the vectors are libpq's own answers (rule D01).
'use strict';

const assert = require('node:assert/strict');
const { createPool } = require('../../lib/index.js');
const { test } = require('../support/timed-test.js');
const { judgements } = require('../vectors/settings.json');

/** What libpq takes and is refused here, with the reason: nothing that was asked for is ignored. */
const STRICTER = {
  "sslmode='verify-ca'": 'roots are missed when the pool is made, not with the first connection',
  "sslmode='verify-full'": 'the same',
  'sslnegotiation=direct sslmode=verify-ca': 'the same',
};

function complaint(connectionString) {
  try {
    createPool({ connectionString }).end();
    return undefined;
  } catch (error) {
    assert.equal(error.code, 'ERR_CONFIG');
    assert.equal(error.name, 'TypeError');
    return error.message;
  }
}

test('CP-40, sec_d01: values of settings are judged as libpq judges them', () => {
  assert.ok(judgements.length > 80);
  for (const [text, isRight] of judgements) {
    const host = text.includes('host') ? '' : 'host=/nowhere ';
    const problem = complaint(`${host}user=u ${text}`);
    const expected = isRight && !Object.hasOwn(STRICTER, text);
    assert.equal(problem === undefined, expected, `${text}: ${problem}`);
  }
  for (const text of Object.keys(STRICTER)) {
    assert.match(complaint(`user=u ${text}`) ?? '', /needs root certificates/);
  }
});

test('sec_d02: what cannot be obeyed is refused by its name, whatever it would have done', () => {
  for (const [text, says] of [
    ['gssencmode=require', /"gssencmode" must be disable or prefer/],
    ['krbsrvname=x', /"krbsrvname" is not supported/],
    ['gsslib=gssapi', /"gsslib" is not supported/],
    ['gssdelegation=1', /"gssdelegation" must be 0/],
    ['requirepeer=postgres', /"requirepeer" is not supported/],
    ['replication=database', /"replication" is not supported/],
    ['sslcompression=1', /"sslcompression" must be 0/],
    ['sslkeylogfile=/tmp/keys', /"sslkeylogfile" is not supported/],
    ['oauth_issuer=https://x', /"oauth_issuer" is not supported/],
    ['scram_client_key=AAAA', /"scram_client_key" is not supported/],
    ['client_encoding=LATIN1', /"client_encoding" must be utf8/],
    ['ssl_max_protocol_version=TLSv1.1', /"ssl_max_protocol_version" must be TLSv1.2 or TLSv1.3/],
  ]) {
    assert.match(complaint(`user=u ${text}`) ?? 'accepted', says);
  }
});

test('CP-40, sec_d02: an unknown key is refused, and the nearest known one is named', () => {
  for (const [text, says] of [
    ['postgres://u@h/d?sslmod=require', 'did you mean "sslmode"?'],
    ['hosst=h', 'did you mean "host"?'],
    ['user=u pasword=canary', 'did you mean "password"?'],
    ['postgres://u:canary@h/d?require-auth=none', 'did you mean "require_auth"?'],
    ['postgres://u:canary@h/d?pgbouncer=true', 'has an unknown key at character'],
  ]) {
    const problem = complaint(text) ?? 'accepted';
    assert.ok(problem.includes(says), problem);
    assert.ok(!problem.includes('canary'), problem);
  }
});

test('sec_d03: NUL, control characters and endless values are refused before anything is sent', () => {
  for (const options of [
    { user: 'a\nb' },
    { database: 'a\u001bb' },
    { applicationName: 'a\rb' },
    { host: 'a\tb' },
    { user: 'x'.repeat(256) },
    { options: '-c a=b '.repeat(1500) },
    { connectionString: `host=h user=${'x'.repeat(300)}` },
    { connectionString: `host=h application_name='a\u0007b'` },
    { connectionString: `user=${'x'.repeat(200_000)}` },
    { password: 'x'.repeat(70_000) },
  ]) {
    assert.throws(() => createPool({ host: 'h', ...options }), { code: 'ERR_CONFIG' });
  }
});
