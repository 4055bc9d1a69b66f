// What the documents claim about options is true, and their links lead somewhere.
'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const { createPool } = require('../../lib/index.js');
const options = require('../../lib/options.js');
const { listFiles } = require('../../scripts/support/files.js');

const read = (file) => fs.readFileSync(path.join(__dirname, '../..', file), 'utf8');

const { POOL_OPTIONS } = options;

test('the README describes every option, and none that does not exist', () => {
  const [, section] = read('README.md').split(/^## Options$/m);
  const [table, rows] = section.split('| options of |');
  const names = [...table.matchAll(/^\| (`[^|]+`) \|/gm)].flatMap(([, cell]) =>
    [...cell.matchAll(/`([^`]+)`/g)].map(([, name]) => name),
  );
  assert.deepEqual([...new Set(names)].sort(), Object.keys(POOL_OPTIONS).sort());
  const tables = [
    ['query', options.SINGLE_OPTIONS],
    ['insert', options.INSERT_OPTIONS],
    ['insertMany', options.INSERT_MANY_OPTIONS],
    ['copyFrom', options.COPY_OPTIONS],
    ['begin', options.BEGIN_OPTIONS],
    ['end', options.END_OPTIONS],
  ];
  for (const [name, own] of tables) {
    const [line = ''] = rows.split('\n').filter((text) => text.startsWith(`| \`${name}\``));
    const [, , cells = ''] = line.split('|');
    const listed = [...cells.matchAll(/`([a-z]\w*)`/gi)].map(([, option]) => option);
    assert.deepEqual(listed.sort(), Object.keys(own).sort(), name);
  }
});

test('the guide lists every metric of a pool, and none that does not exist', async () => {
  const [, table = ''] = read('docs/observability.md').split('| metric (behind `pgberth_`) |');
  const [rows = ''] = table.split('\n\n');
  const cells = [...rows.matchAll(/^\| (`[^|]+) \|/gm)].map(([, cell]) => cell);
  const listed = cells.flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, name]) => name));
  const pool = createPool({ host: 'localhost' });
  const told = [...pool.metricsText().matchAll(/^# TYPE pgberth_(\S+)/gm)].map(([, name]) => name);
  await pool.end();
  assert.deepEqual(listed.sort(), told.sort());
});

/** Anchors as GitHub makes them of headings. @param {string} page */
function anchorsOf(page) {
  const headings = page.replaceAll(/^```[\s\S]*?^```/gm, '').matchAll(/^#+ (.*)$/gm);
  return [...headings].map(([, text]) =>
    text
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

test('every link of a document leads to a file and a heading that exist', () => {
  const root = path.join(__dirname, '../..');
  const pages = ['docs', 'examples', 'bench'].flatMap((folder) => listFiles(folder, ['.md']));
  const own = fs.readdirSync(root).filter((file) => file.endsWith('.md'));
  const broken = [];
  let links = 0;
  for (const page of [...own, ...pages.filter((file) => !file.includes('node_modules'))]) {
    const text = read(page).replaceAll(/^```[\s\S]*?^```/gm, '');
    for (const [, target = ''] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      links++;
      const [file = '', anchor] = target.split('#');
      const place = file === '' ? page : path.posix.join(path.posix.dirname(page), file);
      const isThere = fs.existsSync(path.join(root, place));
      const hasAnchor =
        anchor === undefined || (isThere && anchorsOf(read(place)).includes(anchor));
      if (!isThere || !hasAnchor) broken.push(`${page}: ${target}`);
    }
  }
  assert.ok(links > 80, `${links} links`);
  assert.deepEqual(broken, []);
});

test('the guide explains every warning of the process, and none that does not exist', () => {
  const [, section = ''] = read('docs/troubleshooting.md').split('## Warnings of the process');
  const explained = [...section.matchAll(/^\| `(PG_\w+)` \|/gm)].map(([, code]) => code);
  const given = listFiles('lib', ['.js']).flatMap((file) =>
    [...read(file).matchAll(/\bcode: '(PG_[A-Z_]+)'/g)].map(([, code]) => code),
  );
  assert.deepEqual(explained, [...new Set(given)].sort());
});

test('every table of a document has a head, and as many cells in each row', () => {
  const pages = ['docs', 'examples', 'bench'].flatMap((folder) => listFiles(folder, ['.md']));
  const own = fs.readdirSync(path.join(__dirname, '../..')).filter((file) => file.endsWith('.md'));
  const cellsOf = (row) => row.replaceAll(/`[^`]*`|\\\|/g, '').split('|').length;
  const broken = [];
  for (const page of [...own, ...pages.filter((file) => !file.includes('node_modules'))]) {
    const text = read(page).replaceAll(/^```[\s\S]*?^```/gm, '');
    for (const [table] of text.matchAll(/(?:^ *\|.*\n)+/gm)) {
      const [head = '', rule = '', ...rows] = table.trim().split('\n');
      const isEven = rows.every((row) => cellsOf(row) === cellsOf(head));
      if (!/^[\s|:-]+$/.test(rule) || !isEven) broken.push(`${page}: ${head.slice(0, 60)}`);
    }
  }
  assert.deepEqual(broken, []);
});

test('ARCHITECTURE.md says what each module of lib is, and each folder', () => {
  const [, table = ''] = read('ARCHITECTURE.md').split('\n| `lib` | |\n');
  const [rows = ''] = table.split('\n\n');
  const named = [...rows.matchAll(/`([\w*-]+(?:\.js|\/))`/g)].map(([, name = '']) => name);
  const patterns = named.map((name) => new RegExp(`^${name.replaceAll('*', '.*')}$`));
  const entries = fs.readdirSync(path.join(__dirname, '../../lib'), { withFileTypes: true });
  const modules = entries.map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name));
  const missing = modules.filter((name) => !patterns.some((pattern) => pattern.test(name)));
  assert.deepEqual(missing, []);
});

/** Codes that no user meets: what they belong to becomes another error. */
const INTERNAL = ['ERR_LAG'];
/** Codes of Node that are looked at, not given. */
const NODES = ['ERR_DLOPEN_DISABLED', 'ERR_INVALID_URL'];

test('the guide explains every code of this package', () => {
  const guide = read('docs/troubleshooting.md');
  const sources = [...listFiles('lib', ['.js']), ...listFiles('native/src', ['.rs'])];
  const given = sources.flatMap((file) =>
    [...read(file).matchAll(/['"]((?:ERR|CERT|CRL|UNABLE)_[A-Z_]+[A-Z])['"]/g)].map(
      ([, code]) => code,
    ),
  );
  const missing = [...new Set(given)].filter((code) => !guide.includes(`\`${code}\``)).sort();
  assert.deepEqual(missing, [...INTERNAL, ...NODES].sort());
});
