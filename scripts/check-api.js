// Checks that the declared API is the real one: addon, package, and both ways of loading it.
'use strict';

const path = require('node:path');
const { pathToFileURL } = require('node:url');
const { ADDON } = require('./support/addon.js');
const { cli, Failure } = require('./support/cli.js');
const { declaredValues } = require('./support/declared.js');
const { ROOT } = require('./support/run.js');

const HELP = `
Usage: node scripts/check-api.js

Fails when
  types/native.d.ts and the exports of build/pg-berth.node differ
  a public entry of package.json exports other values than its declaration file
  require() and import of an entry give different names

  --help   this text
`;

/** Names that only one of the two sides has, as complaints. */
function differences(leftName, left, rightName, right) {
  const only = (name, of, others, missing) =>
    [...of]
      .filter((item) => !others.has(item))
      .map((item) => `${item}: in ${name}, not in ${missing}`);
  return [...only(leftName, left, right, rightName), ...only(rightName, right, left, leftName)];
}

/** Also what is out of sight, as `native` of pg. */
const namesOf = (module) => new Set(Object.getOwnPropertyNames(module));

function load(file) {
  try {
    return require(file);
  } catch (error) {
    throw new Failure(`${path.relative(ROOT, file)} does not load: ${error.message}`);
  }
}

/** @returns {Promise<string[]>} complaints about one entry of the package's exports */
async function checkEntry({ types, default: source }) {
  const file = path.join(ROOT, source);
  const required = namesOf(load(file));
  const imported = namesOf(await import(pathToFileURL(file).href));
  for (const name of ['default', 'module.exports', '__esModule']) imported.delete(name);
  const declaration = types.replace(/^\.\//, '');
  return [
    ...differences(declaration, declaredValues(declaration), source, required),
    ...differences(`require('${source}')`, required, `import '${source}'`, imported),
  ];
}

cli(HELP, {}, async () => {
  const native = process.env.PG_BERTH_BINARY ?? ADDON;
  const declared = declaredValues('types/native.d.ts');
  const found = differences('types/native.d.ts', declared, 'the addon', namesOf(load(native)));
  const entries = Object.values(require('../package.json').exports);
  for (const entry of entries)
    if (typeof entry === 'object') found.push(...(await checkEntry(entry)));
  for (const line of found) console.log(line);
  console.log(`${declared.size} native exports compared, ${found.length} complaints`);
  return found.length === 0 ? 0 : 1;
});
