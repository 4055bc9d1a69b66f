// JavaScript blocks of Markdown files, made runnable as they stand.
'use strict';

/**
 * @typedef {{ file: string, line: number, name: string, code: string, says: string[] }} Snippet
 * `name` ends in .cjs, .mjs or .mts; `says`: what it claims to print
 */

/** A block, or a comment for this runner: `<!-- before: code -->` or `<!-- not run: reason -->`. */
const PARTS =
  /^```(js|javascript|mjs|ts|typescript)[^\n]*\n([\s\S]*?)^```|<!--\s*(before|not run):([\s\S]*?)-->/gm;

const LOADS_PACKAGE = /(?:require\(|from\s+)['"]pg-berth/;

/** Runs a block that awaits at its top level as CommonJS too. */
function wrap(code) {
  if (/^\s*import\s/m.test(code)) return { ending: 'mjs', body: code };
  const body = `(async () => {\n${code}\n})().catch((error) => {\n  console.error(error);\n  process.exitCode = 1;\n});\n`;
  return { ending: 'cjs', body };
}

/** What comments behind `console.log(…);` say that it prints, `…` standing for anything. @param {string} block */
function claimsOf(block) {
  const claims = block.matchAll(/console\.log\(.*\);? *(?:\n *)?\/\/ (.*)$/gm);
  return [...claims].map(([, claim = '']) => claim.trim());
}

const collapsed = (text) => text.replaceAll(/\s+/g, ' ');

/**
 * The first claim that the output does not hold, in order; undefined when it holds all of them.
 * @param {string[]} says @param {string} output
 */
function brokenClaim(says, output) {
  let rest = collapsed(output);
  for (const claim of says) {
    const parts = collapsed(claim).split('…').map(escaped);
    const found = new RegExp(parts.join('.*?')).exec(rest);
    if (found === null) return claim;
    rest = rest.slice(found.index + found[0].length);
  }
  return undefined;
}

const escaped = (text) => text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');

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
  for (const { 1: language = '', 2: block, 3: word, 4: comment = '', index } of text.matchAll(
    PARTS,
  )) {
    if (word === 'before') before = comment;
    else if (word === 'not run') isLeftOut = true;
    else if (isLeftOut) isLeftOut = false;
    else if (block !== undefined) {
      const line = text.slice(0, index).split('\n').length;
      const whole = LOADS_PACKAGE.test(block) ? block : `${before}\n${block}`;
      const { ending, body } = language.startsWith('t')
        ? { ending: 'mts', body: block }
        : wrap(whole);
      const name = `${file.replaceAll(/\W/g, '-')}-${line}.${ending}`;
      snippets.push({ file, line, name, code: body, says: claimsOf(block) });
    }
  }
  return snippets;
}

module.exports = { brokenClaim, snippetsOf };
