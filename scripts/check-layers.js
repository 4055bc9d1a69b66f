// Checks that imports point down only, that files say their purpose and stay small.
'use strict';

const { cli } = require('./support/cli.js');
const { listFiles, readText } = require('./support/files.js');
const { jsImports, neonLines, rustImports, rustPath } = require('./support/imports.js');
const { complaint, JS, KNOWS_NEON, moduleOf, RUST } = require('./support/layers.js');

const HELP = `
Usage: node scripts/check-layers.js

Fails on
  an import that points up or sideways (rules: scripts/support/layers.js)
  the binding's name outside native/src/addon
  a file over 500 lines without a line "// table: why" ("//! table: why")
  a file that does not begin with a comment saying its purpose
  a file or folder called utils, common, misc or core (except lib/pg/utils.js, a public path of pg)

  --help   this text
`;

const MAX_LINES = 500;
const CODE = ['.rs', '.js', '.mjs', '.ts'];
const FOLDERS = ['native', 'lib', 'types', 'test', 'fuzz', 'bench', 'examples', 'scripts'];
const SHAPELESS = /(^|\/)(utils?|common|misc|core)(\.\w+)*(\/|$)/;
// node-postgres has it as a public deep import
const SHAPELESS_ALLOWED = ['lib/pg/utils.js', 'types/pg/utils.d.ts'];

/** @returns {string[]} complaints about one file of the engine */
function checkRust(file) {
  const source = readText(file);
  const from = moduleOf(RUST, rustPath(file));
  const imports = rustImports(file, source, RUST).flatMap(({ path, line }) => {
    const reason = complaint(RUST, from, moduleOf(RUST, path));
    return reason ? [`${file}:${line}: ${reason}`] : [];
  });
  if (KNOWS_NEON.includes(from)) return imports;
  return [...imports, ...neonLines(source).map((line) => `${file}:${line}: only addon says neon`)];
}

/** @returns {string[]} complaints about one file of lib/ */
function checkJs(file) {
  const from = moduleOf(JS, file.replace(/^lib\/|\.js$/g, '').split('/'));
  return jsImports(file, readText(file)).flatMap(({ path, line }) => {
    if (path[0] === '..') return path[1] === 'package' ? [] : [`${file}:${line}: leaves lib`];
    const reason = complaint(JS, from, moduleOf(JS, path));
    return reason ? [`${file}:${line}: ${reason}`] : [];
  });
}

/** @returns {string[]} complaints about name, size and first line of any file */
function checkShape(file) {
  const found = [];
  const lines = readText(file).split('\n');
  const first = lines[0]?.startsWith('#!') ? lines[1] : lines[0];
  if (!/^(\/\/|\/\*)/.test(first ?? '')) found.push(`${file}:1: begins without its purpose`);
  const isTable = lines.some((line) => /^\/\/!? table: \S/.test(line));
  if (lines.length > MAX_LINES + 1 && !isTable) {
    found.push(`${file}: ${lines.length - 1} lines; split it by purpose, or say "// table: why"`);
  }
  if (SHAPELESS.test(file) && !SHAPELESS_ALLOWED.includes(file)) {
    found.push(`${file}: the name says nothing`);
  }
  return found;
}

cli(HELP, {}, () => {
  const rust = listFiles('native/src', ['.rs']);
  const js = listFiles('lib', ['.js']);
  const all = FOLDERS.flatMap((folder) => listFiles(folder, CODE));
  const found = [...rust.flatMap(checkRust), ...js.flatMap(checkJs), ...all.flatMap(checkShape)];
  for (const line of found) console.log(line);
  console.log(`${all.length} files checked, ${found.length} complaints`);
  return found.length === 0 ? 0 : 1;
});
