// JavaScript blocks of Markdown files, made runnable as they stand.
'use strict';

/**
 * @typedef {{ file: string, line: number, name: string, code: string }} Snippet
 * `name` ends in .cjs or .mjs
 */

/** A block, or a comment for this runner: `<!-- before: code -->` or `<!-- not run: reason -->`. */
const PARTS =
  /^```(?:js|javascript|mjs)[^\n]*\n([\s\S]*?)^```|<!--\s*(before|not run):([\s\S]*?)-->/gm;

const LOADS_PACKAGE = /(?:require\(|from\s+)['"]pg-berth/;

/** Runs a block that awaits at its top level as CommonJS too. */
function wrap(code) {
  if (/^\s*import\s/m.test(code)) return { ending: 'mjs', body: code };
  const body = `(async () => {\n${code}\n})().catch((error) => {\n  console.error(error);\n  process.exitCode = 1;\n});\n`;
  return { ending: 'cjs', body };
}

/**
 * Blocks that do not load the package themselves run after the code of the last `<!-- before: … -->` comment
 * above them, which readers of the rendered page do not see. `<!-- not run: reason -->` leaves out the next block.
 *
 * @param {string} file
 * @param {string} text
 * @returns {Snippet[]}
 */
function snippetsOf(file, text) {
  const snippets = [];
  let before = '';
  let isLeftOut = false;
  for (const { 1: block, 2: word, 3: comment = '', index } of text.matchAll(PARTS)) {
    if (word === 'before') before = comment;
    else if (word === 'not run') isLeftOut = true;
    else if (isLeftOut) isLeftOut = false;
    else if (block !== undefined) {
      const line = text.slice(0, index).split('\n').length;
      const { ending, body } = wrap(LOADS_PACKAGE.test(block) ? block : `${before}\n${block}`);
      const name = `${file.replaceAll(/\W/g, '-')}-${line}.${ending}`;
      snippets.push({ file, line, name, code: body });
    }
  }
  return snippets;
}

module.exports = { snippetsOf };
