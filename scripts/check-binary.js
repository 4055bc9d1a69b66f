// Checks a release binary for Linux: its size, the glibc it needs, and what it exports.
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const { ADDON } = require('./support/addon.js');
const { cli, Failure } = require('./support/cli.js');
const { GLIBC_FLOOR } = require('./support/platforms.js');
const { ROOT, run } = require('./support/run.js');

const HELP = `
Usage: node scripts/check-binary.js [FILE]

Checks build/pg-berth.node, or the file given; it must be an ELF file built for release.

  size      at most 4 MiB
  symbols   of glibc none newer than ${GLIBC_FLOOR}
  exports   nothing but the entries that Node asks for

  --any-glibc  for a binary that only this machine has to load
  --help       this text
`;

const MAX_BYTES = 4 * 2 ** 20;
const ENTRIES = /^(napi_register_module_v1|node_api_module_get_api_version_v1)$/;

/** Versions compare by number: 2.9 is older than 2.28. */
function isNewer(version, than) {
  const [left, right] = [version, than].map((text) => text.split('.').map(Number));
  const at = left.findIndex((part, index) => part !== (right[index] ?? 0));
  return at !== -1 && left[at] > (right[at] ?? 0);
}

/** @returns {{ versions: string[], exported: string[] }} */
function readSymbols(table) {
  const versions = new Set([...table.matchAll(/@GLIBC_([\d.]+)/g)].map(([, version]) => version));
  const exported = [];
  // `Num: Value Size Type Bind Vis Ndx Name`
  for (const line of table.split('\n')) {
    const [, , , type, bind, , section, name] = line.trim().split(/\s+/);
    // linkers mark the ends of sections with NOTYPE: nothing that can be called or read
    const isThing = ['FUNC', 'OBJECT'].includes(type) && section !== 'UND';
    if (isThing && ['GLOBAL', 'WEAK'].includes(bind)) exported.push(name);
  }
  return { versions: [...versions], exported };
}

cli(HELP, { 'any-glibc': { type: 'boolean' } }, async (options, [given = ADDON]) => {
  const file = path.resolve(ROOT, given);
  const { code, output } = await run('readelf', ['-W', '--dyn-syms', file]);
  if (code !== 0) throw new Failure(output);
  const { versions, exported } = readSymbols(output);
  const bytes = fs.statSync(file).size;
  const newest = versions.reduce((most, next) => (isNewer(next, most) ? next : most), '0');
  console.log(`${path.relative(ROOT, file)}: ${(bytes / 2 ** 20).toFixed(2)} MiB, glibc ${newest}`);

  const complaints = [
    bytes > MAX_BYTES && `it has ${bytes} bytes, at most ${MAX_BYTES} are allowed`,
    !options['any-glibc'] &&
      isNewer(newest, GLIBC_FLOOR) &&
      `it needs glibc ${newest}, the floor is ${GLIBC_FLOOR}`,
    ...exported
      .filter((name) => !ENTRIES.test(name))
      .map((name) => `it exports ${name}, which nobody asks for`),
    exported.length === 0 && 'it exports nothing, so Node cannot load it',
  ].filter(Boolean);
  for (const complaint of complaints) console.error(complaint);
  return complaints.length > 0 ? 1 : 0;
});
