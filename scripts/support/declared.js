// Names that a declaration file exports as values, following its `export … from` lines.
'use strict';

const path = require('node:path');
const { readText } = require('./files.js');

const withoutComments = (text) => text.replaceAll(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');

/** Names in an export list that are values: `A as B` counts as B, `type C` not at all. */
function listed(list) {
  return list
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item && !item.startsWith('type '))
    .map((item) => item.split(/\s+as\s+/).at(-1) ?? item);
}

/**
 * House rule that keeps this simple: types are exported with `export type` or `export interface`,
 * so everything else that is exported is a value.
 *
 * @param {string} file a `.d.ts` relative to the repository
 * @returns {Set<string>}
 */
function declaredValues(file) {
  const text = withoutComments(readText(file));
  const names = new Set();
  const direct =
    /^export\s+(?:declare\s+)?(?:abstract\s+)?(?:async\s+)?(?:function|const|let|class|enum|namespace)\s+(\w+)/gm;
  for (const [, name = ''] of text.matchAll(direct)) names.add(name);
  for (const [, list = ''] of text.matchAll(/^export\s+\{([^}]*)\}/gm)) {
    for (const name of listed(list)) names.add(name);
  }
  for (const [, target = ''] of text.matchAll(/^export\s+\*\s+from\s+['"](\.[^'"]+)['"]/gm)) {
    const next = path.posix.join(path.posix.dirname(file), target);
    const source = next.endsWith('.d.ts') ? next : `${next.replace(/\.js$/, '')}.d.ts`;
    for (const name of declaredValues(source)) names.add(name);
  }
  return names;
}

module.exports = { declaredValues };
