// The public names: each loads its part of the package when it is first read, and is a plain property otherwise.
'use strict';

const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const path = require('node:path');
const { test } = require('node:test');
const { listFiles } = require('../../scripts/support/files.js');

const ROOT = path.join(__dirname, '../..');

/** What a program prints, as JSON, in a process of its own. */
function printed(code, type = 'commonjs') {
  const args = [`--input-type=${type}`, '-e', code];
  return JSON.parse(execFileSync(process.execPath, args, { cwd: ROOT, encoding: 'utf8' }));
}

/** `perf_hooks` comes with the first look at the global `performance`. */
const SLOW = ['crypto', 'http', 'module', 'net', 'perf_hooks', 'stream', 'tls'];

/** What a program loads: files of lib/, and the slow modules among Node's own. */
function loadedBy(code) {
  return printed(`
    const path = require('node:path');
    const slow = new Set(process.moduleLoadList);
    (async () => {
      ${code}
      const isNew = (name) => !slow.has('NativeModule ' + name);
      const loaded = process.moduleLoadList.map((name) => name.split(' ').at(-1)).filter(isNew);
      const own = Object.keys(require.cache).map((file) => path.relative('lib', file));
      console.log(JSON.stringify({
        own: own.filter((file) => !file.startsWith('..')),
        slow: loaded.filter((name) => ${JSON.stringify(SLOW)}.includes(name)),
      }));
    })();`);
}

test('a name that nobody reads is not loaded', () => {
  assert.deepEqual(loadedBy("require('./lib/index.js');"), {
    own: ['index.js', 'lazy.js'],
    slow: [],
  });
});

test('a pool is a third of the files, and no slow module of Node', () => {
  const { own, slow } = loadedBy(
    "const { createPool } = require('./lib/index.js'); createPool('postgres://localhost/x');",
  );
  assert.deepEqual(slow, []);
  const all = listFiles('lib', ['.js']).length;
  assert.ok(own.length * 3 <= all, `${own.length} of ${all} files: ${own.join(' ')}`);
  const faces = /^(pg|serverless|kysely)\/|health|resilience|shutdown|debug|listener|copy/;
  const later = /^(backoff|catalog-query|hooks|lease-options)\.js|^rows\/decoder/;
  assert.deepEqual(
    own.filter((file) => faces.test(file) || later.test(file)),
    [],
  );
});

test('a first statement needs no slow module of Node either', () => {
  const { own, slow } = loadedBy(`
    const pool = require('./lib/index.js').createPool({
      connectionString: 'postgres://localhost/x',
      acquireTimeoutMs: 100,
    });
    pool.query('select $1::text', ['a']).catch(() => {});
    await new Promise(setImmediate);`);
  assert.deepEqual(slow, []);
  const later =
    /^(spin|error-classes|errors|pool-news)\.js|^tracing\/(?!channels)|^rows\/(long-text|dates|user-oids|json-)/;
  assert.deepEqual(
    own.filter((file) => later.test(file)),
    [],
  );
});

test('what reads rows is loaded while the connection is opened, not behind the answer', () => {
  const waiting = printed(`
    const pool = require('./lib/index.js').createPool('postgres://localhost/x');
    pool.query('select 1').catch(() => {});
    console.log(JSON.stringify(process.getActiveResourcesInfo()));`);
  assert.ok(waiting.includes('Immediate'), String(waiting));
});

test('the first connection is asked for before what uses it is loaded', () => {
  const [before, after] = printed(`
    const native = require('./lib/native.js');
    const { sep } = require('node:path');
    const isLoaded = () => Object.keys(require.cache).some((file) => file.endsWith(sep + 'mailbox.js'));
    const seen = [];
    const { poolExpect } = native;
    native.poolExpect = (...given) => {
      seen.push(isLoaded());
      return poolExpect(...given);
    };
    const pool = require('./lib/index.js').createPool('postgres://localhost/x');
    pool.query('select 1').catch(() => {});
    console.log(JSON.stringify([...seen, isLoaded()]));`);
  assert.deepEqual([before, after], [false, true]);
});

test('a pool of the pg face loads neither cursors nor COPY, and no slow module of Node', () => {
  const { own, slow } = loadedBy("const { Pool } = require('./lib/index.js'); new Pool();");
  assert.deepEqual(slow, []);
  const others = /cursor|copy|batch|query-stream|insert-many/;
  assert.deepEqual(
    own.filter((file) => others.test(file)),
    [],
  );
});

test('the classes of errors need no engine', () => {
  const { own } = loadedBy("const { PgError } = require('./lib/index.js');");
  assert.deepEqual(own, ['index.js', 'lazy.js', 'error-classes.js']);
});

test('a program that imports one name as ESM loads no cryptography and no sockets of Node', () => {
  const { slow } = loadedBy("await import('./lib/index.js');");
  // the loader of ESM itself needs streams
  assert.deepEqual(
    slow.filter((name) => name !== 'stream'),
    [],
  );
});

test('what is read first is what is read afterwards', () => {
  const berth = require('../../lib/index.js');
  for (const name of Object.keys(berth)) assert.equal(berth[name], berth[name], name);
  assert.equal(berth.createPool, require('../../lib/pool.js').createPool);
  const { value, enumerable, writable } = Object.getOwnPropertyDescriptor(berth, 'createPool');
  assert.deepEqual({ value, enumerable, writable }, { value, enumerable: true, writable: true });
});

test('every name is defined, in the same order for require, spread and import', () => {
  const names = printed(`
    const berth = require('./lib/index.js');
    const copy = { ...berth };
    console.log(JSON.stringify([Object.keys(berth), Object.keys(copy).filter((n) => copy[n] !== undefined)]));`);
  assert.deepEqual(names[0], names[1]);
  const imported = printed(
    `import * as berth from './lib/index.js';
     console.log(JSON.stringify(Object.keys(berth).filter((n) => berth[n] !== undefined)));`,
    'module',
  );
  const rest = imported.filter((name) => name !== 'default' && name !== 'module.exports');
  assert.deepEqual(rest, [...names[0], 'native'].sort(), 'native is out of sight, as in pg');
});

test('a test may put something else in the place of a name', () => {
  const [own, other] = printed(`
    const berth = require('./lib/index.js');
    berth.createPool = 'mine';
    console.log(JSON.stringify([berth.createPool, Object.keys(berth).includes('createPool')]));`);
  assert.deepEqual([own, other], ['mine', true]);
});
