// What the build promises about its own ingredients: rules E02, S01 and S04.
'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { test } = require('node:test');
const { listFiles } = require('../../scripts/support/files.js');
const { linkedCrates, noticesOf } = require('../../scripts/support/notices.js');

const ROOT = path.join(__dirname, '../..');
const read = (file) => fs.readFileSync(path.join(ROOT, file), 'utf8');

test('sec_e02: lossy casts are denied in the whole workspace, and no file allows them', () => {
  const manifest = read('Cargo.toml');
  assert.match(manifest, /^as_conversions = "deny"$/m);
  assert.match(manifest, /^pedantic = \{ level = "deny"/m);
  const members = /^members = \[(.*)\]$/m.exec(manifest)?.[1]?.match(/[^", ]+/g) ?? [];
  assert.ok(members.length > 0);
  for (const member of members) {
    assert.match(read(`${member}/Cargo.toml`), /^\[lints\]\nworkspace = true$/m, member);
  }
  const lossy = /allow\([^)]*clippy::(as_conversions|cast_\w+|arithmetic_side_effects)/;
  const allowed = listFiles('native/src', ['.rs']).filter((file) => {
    const [product = ''] = read(file).split('#[cfg(test)]');
    return lossy.test(product) && !/tests?(\/|\.rs)|_tests\.rs/.test(file);
  });
  assert.deepEqual(allowed, []);
});

test('unsafe code is in one crate of its own, which says why each block is sound', () => {
  assert.match(read('Cargo.toml'), /^unsafe_code = "deny"$/m);
  assert.match(read('Cargo.toml'), /^undocumented_unsafe_blocks = "deny"$/m);
  assert.match(read('native/src/lib.rs'), /^#!\[forbid\(unsafe_code\)\]$/m);
  const allowed = listFiles('native', ['.rs']).filter((file) =>
    /allow\(unsafe_code/.test(read(file)),
  );
  assert.deepEqual(allowed, ['native/uv/src/lib.rs']);
});

/** Below these there are advisories: RUSTSEC-2026-0178, -0179, -0180. */
const LEAST = {
  'tokio-postgres': '0.7.18',
  'postgres-protocol': '0.6.12',
  'postgres-types': '0.2.14',
};

test('sec_s01: no crate with a known advisory, and CI looks for new ones', () => {
  const lock = read('Cargo.lock');
  const number = (version) =>
    version.split('.').reduce((sum, part) => sum * 10_000 + Number(part), 0);
  for (const [name, least] of Object.entries(LEAST)) {
    const locked = new RegExp(`name = "${name}"\\nversion = "([^"]+)"`).exec(lock)?.[1] ?? '0.0.0';
    assert.ok(number(locked) >= number(least), `${name} ${locked}`);
  }
  assert.match(read('.github/workflows/ci.yml'), /cargo audit/);
  assert.match(read('.github/workflows/release.yml'), /cargo audit/);
});

test('sec_s04: every fuzz target is built, has seeds, and runs in CI', () => {
  const manifest = read('fuzz/Cargo.toml');
  const targets = [...manifest.matchAll(/^\[\[bin\]\]\nname = "(\w+)"/gm)].map(([, name]) => name);
  assert.deepEqual(targets.toSorted(), ['dsn', 'encode', 'frame', 'lease', 'startup', 'wire']);
  for (const target of targets) {
    assert.ok(fs.existsSync(path.join(ROOT, `fuzz/fuzz_targets/${target}.rs`)), target);
    const seeds = fs.readdirSync(path.join(ROOT, `fuzz/seeds/${target}`));
    assert.ok(seeds.length > 0, `${target} has seeds`);
  }
  assert.match(read('.github/workflows/ci.yml'), /node scripts\/fuzz\.js/);
});

test('workflows pin their actions, and all eight packages are published behind every test, the main one last', () => {
  const release = read('.github/workflows/release.yml');
  for (const text of [read('.github/workflows/ci.yml'), release]) {
    const uses = [...text.matchAll(/uses: (\S+)/g)].map(([, action]) => action);
    assert.ok(uses.length > 0);
    for (const action of uses) assert.match(action, /@[0-9a-f]{40}$/);
  }
  const [, publish = ''] = release.split('\n  publish:\n');
  assert.match(publish, /needs: \[test, advisories\]/);
  assert.match(publish, /id-token: write/);
  assert.match(publish, /for tarball in built\/\*\/release\/\*\.tgz release\/\*\.tgz/);
  assert.match(publish, /npm publish .* --provenance/);
  const tested = new Set(
    [...release.matchAll(/platform: ([\w-]+), runner/g)].map(([, one]) => one),
  );
  assert.equal(tested.size, 7, 'every platform has a test job');
});

/** A crate as `cargo metadata` tells of it. */
const crate = (name, more = {}) => ({
  id: name,
  name,
  version: '1.0.0',
  authors: ['Ada <ada@example.com>'],
  license: 'MIT',
  source: 'registry',
  repository: null,
  manifest_path: path.join(os.tmpdir(), 'nowhere/Cargo.toml'),
  targets: [{ kind: ['lib'] }],
  ...more,
});

test('licences are handed out of what is linked, and not of what only builds, tests or writes code', () => {
  const packages = [
    crate('pg-berth-native', { source: null }),
    crate('pg-berth-uv', { source: null }),
    crate('tokio'),
    crate('mio'),
    crate('cc'),
    crate('proptest'),
    crate('serde_derive', { targets: [{ kind: ['proc-macro'] }] }),
    crate('syn'),
  ];
  const node = (id, ...deps) => ({
    id,
    deps: deps.map(([pkg, kind]) => ({ pkg, dep_kinds: [{ kind }] })),
  });
  const nodes = [
    node(
      'pg-berth-native',
      ['pg-berth-uv', null],
      ['tokio', null],
      ['cc', 'build'],
      ['proptest', 'dev'],
      ['serde_derive', null],
    ),
    node('tokio', ['mio', null]),
    node('mio', ['tokio', null]),
    node('serde_derive', ['syn', null]),
  ];
  const names = linkedCrates({ packages, resolve: { nodes } }).map(({ name }) => name);
  assert.deepEqual(names, ['mio', 'tokio']);
});

test('of two licences one is handed out, of two that both hold both, and without any nothing is packed', () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pg-berth-licences-'));
  try {
    for (const kind of ['APACHE', 'MIT']) {
      fs.writeFileSync(path.join(folder, `LICENSE-${kind}`), `text of ${kind}\n`);
    }
    const manifest_path = path.join(folder, 'Cargo.toml');
    const told = (license) => noticesOf([crate('some', { license, manifest_path })]);
    assert.match(told('MIT OR Apache-2.0'), /^some 1\.0\.0, MIT OR Apache-2\.0\n\ntext of MIT$/m);
    assert.doesNotMatch(told('MIT OR Apache-2.0'), /text of APACHE/);
    assert.match(told('MIT AND Apache-2.0'), /^text of APACHE\n\ntext of MIT$/m);
    const bare = { manifest_path: path.join(folder, 'empty/Cargo.toml') };
    fs.mkdirSync(path.join(folder, 'empty'));
    const ofAda = /some 1\.0\.0, MIT\n\nMIT License\n\nCopyright \(c\) Ada\n\nPermission/;
    assert.match(noticesOf([crate('some', bare)]), ofAda);
    assert.throws(() => noticesOf([crate('some', { ...bare, license: 'ISC' })]), /no text of it/);
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
});
