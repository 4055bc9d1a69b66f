// The tables of platforms agree, and the eight packages have one version.
'use strict';

const assert = require('node:assert/strict');
const { execFileSync, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { test } = require('node:test');
const vm = require('node:vm');
const own = require('../../package.json');
const { mainManifest, platformManifest } = require('../../scripts/support/manifests.js');
const { ownPlatform, PLATFORMS } = require('../../scripts/support/platforms.js');

const ROOT = path.join(__dirname, '../..');
const text = (file) => fs.readFileSync(path.join(ROOT, file), 'utf8');

test('the loader tries the packages that are published, and no others', () => {
  const [, table] = /PLATFORM_PACKAGES = [^{]*{[^{]*{([^}]*)}/.exec(text('lib/native.js')) ?? [];
  const named = [...table.matchAll(/'([a-z0-9-]+)'(?!:)/g)].map(([, name]) => name);
  assert.deepEqual(named.sort(), PLATFORMS.map(({ name }) => name).sort());
});

test('CP-95: the release builds every platform', () => {
  const workflow = text('.github/workflows/release.yml');
  for (const { name, triple } of PLATFORMS) {
    assert.match(workflow, new RegExp(`platform: ${name}\\b`));
    assert.match(workflow, new RegExp(`triple: ${triple}\\b`));
  }
});

test('all eight packages have one version, and so has the crate', () => {
  const { version, optionalDependencies, devDependencies, scripts } = mainManifest(own);
  assert.deepEqual([devDependencies, scripts], [undefined, undefined]);
  const names = PLATFORMS.map((platform) => platformManifest(platform, own).name);
  assert.deepEqual(Object.keys(optionalDependencies), names);
  assert.deepEqual(new Set(Object.values(optionalDependencies)), new Set([version]));
  assert.equal(JSON.parse(text('package-lock.json')).version, version);
  assert.match(text('Cargo.toml'), new RegExp(`^version = "${version}"$`, 'm'));
  for (const lock of ['Cargo.lock', 'fuzz/Cargo.lock']) {
    const own = [...text(lock).matchAll(/name = "pg-berth-(?:native|uv)"\nversion = "([^"]+)"/g)];
    assert.deepEqual(
      own.map(([, locked]) => locked),
      [version, version],
      lock,
    );
  }
});

test('CP-95: a platform package is chosen by system, processor and libc', () => {
  for (const platform of PLATFORMS) {
    const { os, cpu, libc, main, files } = platformManifest(platform, own);
    assert.deepEqual([os, cpu], [[platform.os], [platform.cpu]]);
    assert.deepEqual(libc, platform.os === 'linux' ? [platform.libc] : undefined);
    assert.deepEqual(files, [main, 'THIRD-PARTY-NOTICES']);
  }
  assert.equal(ownPlatform()?.os, process.platform);
});

test('packages that a workflow packs name its repository, which provenance needs', () => {
  const env = { GITHUB_SERVER_URL: 'https://github.com', GITHUB_REPOSITORY: 'someone/pg-berth' };
  const repository = { type: 'git', url: 'git+https://github.com/someone/pg-berth.git' };
  assert.deepEqual(mainManifest(own, env).repository, repository);
  const [platform] = PLATFORMS;
  assert.ok(platform);
  assert.deepEqual(platformManifest(platform, own, env).repository, repository);
  assert.equal(mainManifest(own, {}).repository, undefined);
});

/** What loading says where there are these folders and no binary. @param {(folder: string) => void} [prepare] */
function toldWithoutBinary(prepare) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pg-berth-bare-'));
  try {
    fs.cpSync(path.join(ROOT, 'lib'), path.join(folder, 'lib'), { recursive: true });
    prepare?.(folder);
    const load = `try { require('./lib/native.js') } catch (error) { console.log(error.message) }`;
    const env = { ...process.env, PG_BERTH_BINARY: '', NODE_PATH: '' };
    return execFileSync(process.execPath, ['-e', load], { cwd: folder, env, encoding: 'utf8' });
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
}

test('CP-95: without a binary the error names system, libc and the package to install', () => {
  const told = toldWithoutBinary();
  assert.match(told, new RegExp(`no engine for ${process.platform} ${process.arch}`));
  assert.match(told, new RegExp(`Install @pg-berth/${process.platform}-${process.arch}`));
  if (process.platform === 'linux') assert.match(told, /glibc/);
});

test('in a checkout that was not built the error says what builds it', () => {
  const told = toldWithoutBinary((folder) => {
    fs.mkdirSync(path.join(folder, 'native'));
    fs.writeFileSync(path.join(folder, 'native/Cargo.toml'), '');
  });
  assert.match(told, /no engine for .*This is a checkout .*"npm run build"/);
  assert.doesNotMatch(told, /Install/);
});

test('where addons are forbidden the error says which flag forbids them', () => {
  const load = `try { require('./lib/native.js') } catch (error) { console.log(error.message) }`;
  // Node 20 has the other one under a name that it had for trial.
  const permission = ['--permission', '--allow-fs-read=*'];
  const flags = [
    ['--no-addons'],
    ...(process.allowedNodeEnvironmentFlags.has('--permission') ? [permission] : []),
  ];
  for (const forbidding of flags) {
    const told = execFileSync(process.execPath, [...forbidding, '-e', load], {
      cwd: ROOT,
      encoding: 'utf8',
    });
    assert.match(
      told,
      /must not load addons: start Node without --no-addons, and with --allow-addons/,
    );
    assert.doesNotMatch(told, /npm run build|Install/);
  }
});

test('the engine is found where `require` knows only Node’s modules, as in bundles and single executables', () => {
  const file = path.join(ROOT, 'lib/native.js');
  const module = { exports: {} };
  const builtins = (name) => (name.startsWith('node:') ? require(name) : assert.fail(name));
  const names = ['module', 'require', '__filename', '__dirname'];
  const load = vm.compileFunction(fs.readFileSync(file, 'utf8'), names, { filename: file });
  load(module, builtins, file, path.dirname(file));
  // The same engine, in an instance of its own.
  const own = require('../../lib/native.js');
  assert.deepEqual(Object.keys(module.exports), Object.keys(own));
  assert.notEqual(module.exports, own);
});

test('while a startup snapshot is built the engine says that it cannot be in there; the names can', () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pg-berth-snapshot-'));
  try {
    const entry = path.join(folder, 'entry.js');
    const lib = JSON.stringify(path.join(ROOT, 'lib/index.js'));
    fs.writeFileSync(
      entry,
      `const { createPool, PgError } = require('node:module').createRequire(${lib})(${lib});`,
    );
    const blob = path.join(folder, 'blob');
    const args = ['--no-warnings', '--snapshot-blob', blob, '--build-snapshot', entry];
    const { stderr, status, signal } = spawnSync(process.execPath, args, { encoding: 'utf8' });
    assert.match(stderr, /cannot be part of a startup snapshot: .*setDeserializeMainFunction/);
    assert.deepEqual([status, signal], [1, null]);
    fs.writeFileSync(entry, `require('node:module').createRequire(${lib})(${lib}).PgError;`);
    execFileSync(process.execPath, args);
    assert.ok(fs.statSync(blob).size > 0);
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
});

test('TypeScript finds the subpaths without `exports` too', () => {
  const typed = Object.entries(own.exports).filter(([name, entry]) => name !== '.' && entry.types);
  assert.deepEqual(
    own.typesVersions,
    { '*': Object.fromEntries(typed.map(([name, { types }]) => [name.slice(2), [types]])) },
    '"moduleResolution": "node10", the default of "module": "commonjs" before TypeScript 7',
  );
});
