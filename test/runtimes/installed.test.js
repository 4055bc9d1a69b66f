// The packed packages, installed into an empty folder, in every runtime they are for.
'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { after, before } = require('node:test');
const own = require('../../package.json');
const { exec, installInto, packAll } = require('../support/installed.js');
const { freshDatabase } = require('../support/shared.js');
const { test } = require('../support/timed-test.js');
const { toolFrom } = require('../support/tools.js');

/** Installing a runtime on first use takes its time. */
const LIMIT_MS = 180_000;

let packed;
let database;
let app;

before(async () => {
  [packed, database] = await Promise.all([packAll(), freshDatabase()]);
  app = path.join(packed.folder, 'app');
  await installInto(app, [packed.main, packed.platform]);
  fs.copyFileSync(path.join(__dirname, '../support/smoke.mjs'), path.join(app, 'smoke.mjs'));
});
after(async () => {
  await database?.drop();
  if (packed) fs.rmSync(packed.folder, { recursive: true, force: true });
});

/** Runs the smoke program. @param {string} command @param {string[]} [args] @param {string} [nodeOptions] */
async function runs(command, args = [], nodeOptions = undefined) {
  const env = { ...process.env, DATABASE_URL: database.url, NODE_OPTIONS: nodeOptions };
  const { stdout } = await exec(command, [...args, 'smoke.mjs'], {
    cwd: app,
    env,
    timeout: 60_000,
  });
  assert.equal(stdout.trim(), 'all well');
}

const node = async (version) =>
  path.join(await toolFrom(`node-${process.platform}-${process.arch}`, version), 'bin/node');

test('runs in this Node', () => runs(process.execPath));

test('runs where generating code from strings is forbidden', () =>
  runs(process.execPath, [], '--disallow-code-generation-from-strings'));

for (const version of ['20.20.2', '22.23.3', '24.21.0', '26.10.0']) {
  test(`runs in Node ${version}`, async () => runs(await node(version)), LIMIT_MS);
}

test('runs in Bun', () => {
  const bun = require.resolve('bun/package.json');
  return runs(path.join(path.dirname(bun), 'bin/bun.exe'), ['run']);
});

test(
  'runs in Deno',
  async () => {
    const deno = await toolFrom(`@deno/${process.platform}-${process.arch}-glibc`, '2.9.6');
    const allowed = ['--allow-ffi', '--allow-read', '--allow-env', '--allow-sys', '--allow-net'];
    await runs(path.join(deno, 'deno'), ['run', '--node-modules-dir=manual', ...allowed]);
  },
  LIMIT_MS,
);

test('sec_s02: without a binary the error names platform, libc and package', async () => {
  const bare = path.join(packed.folder, 'bare');
  await installInto(bare, [packed.main]);
  const program = `require('pg-berth').createPool()`;
  await assert.rejects(exec(process.execPath, ['-e', program], { cwd: bare }), ({ stderr }) => {
    const { platform, arch } = process;
    assert.ok(stderr.includes(`pg-berth has no engine for ${platform} ${arch}`), stderr);
    assert.match(stderr, /\(glibc \d|probably musl/);
    assert.ok(stderr.includes(`Install @pg-berth/${platform}-${arch}`), stderr);
    return true;
  });
  const files = fs.readdirSync(path.join(bare, 'node_modules/pg-berth'), { recursive: true });
  assert.ok(files.includes('README.md') && files.includes('LICENSE'));
  const foreign = files.filter((file) => /\.node$|^(native|test|scripts|build)\b/.test(file));
  assert.deepEqual(foreign, [], 'sources and binaries stay out of the main package');
});

test('sec_s02: a platform that has no binary is named, with those that have one', async () => {
  const program = `
    Object.defineProperty(process, 'arch', { value: 'riscv64' });
    require('pg-berth').createPool();`;
  await assert.rejects(exec(process.execPath, ['-e', program], { cwd: app }), ({ stderr }) => {
    assert.ok(stderr.includes(`pg-berth has no engine for ${process.platform} riscv64`), stderr);
    assert.match(
      stderr,
      /There are binaries for .*linux-x64.*; elsewhere build one from a checkout/,
    );
    return true;
  });
});

test('sec_s02: a broken binary is named, with the reason', async () => {
  const broken = path.join(packed.folder, 'broken.node');
  fs.writeFileSync(broken, 'no library'.repeat(1000));
  const env = { ...process.env, PG_BERTH_BINARY: broken };
  await assert.rejects(
    exec(process.execPath, ['-e', `require('pg-berth').createPool()`], { cwd: app, env }),
    ({ stderr }) => stderr.includes(broken) && /header|ELF|image/.test(stderr),
  );
});

test('sec_s02: the packages download and run nothing when they are installed, and have the licences of what is linked', () => {
  for (const name of fs.readdirSync(path.join(app, 'node_modules/@pg-berth'))) {
    const file = path.join(app, 'node_modules/@pg-berth', name, 'package.json');
    const { scripts, dependencies } = JSON.parse(fs.readFileSync(file, 'utf8'));
    assert.deepEqual([scripts, dependencies], [undefined, undefined]);
    const notices = fs.readFileSync(path.join(path.dirname(file), 'THIRD-PARTY-NOTICES'), 'utf8');
    assert.match(notices, /^tokio \d.*Copyright \(c\) Tokio Contributors/ms);
  }
  const main = path.join(app, 'node_modules/pg-berth/package.json');
  const { scripts, dependencies } = JSON.parse(fs.readFileSync(main, 'utf8'));
  assert.deepEqual([scripts, dependencies], [undefined, undefined]);
});

test(
  'publint and attw find nothing wrong',
  async () => {
    const publint = await toolFrom('publint', '0.3.25');
    await exec(process.execPath, [
      path.join(publint, 'src/cli.js'),
      'run',
      packed.main,
      '--strict',
    ]).catch((error) => assert.fail(error.stdout));
    const attw = await toolFrom('@arethetypeswrong/cli', '0.18.5');
    // Insides of pg that some libraries reach for: no types there either.
    const untyped = Object.keys(own.exports).filter((entry) => entry.startsWith('./lib/'));
    const excluded = ['--exclude-entrypoints', ...untyped];
    const args = [
      path.join(attw, 'dist/index.js'),
      packed.main,
      '--profile',
      'strict',
      ...excluded,
    ];
    await exec(process.execPath, args).catch((error) => assert.fail(error.stdout));
  },
  LIMIT_MS,
);
