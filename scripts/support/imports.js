// Reads which modules a Rust or JavaScript file imports, comments and strings left out.
'use strict';

const path = require('node:path');

/** Rust text with comments, strings and character literals blanked; line breaks stay, so lines keep their numbers. */
function withoutComments(text) {
  const parts =
    /\/\/[^\n]*|\/\*[\s\S]*?\*\/|b?r(#*)"[\s\S]*?"\1|b?"(?:\\[\s\S]|[^"\\])*"|'(?:\\[^\n]*?|[^\\'\n])'/g;
  return text.replaceAll(parts, (found) => found.replaceAll(/[^\n]/g, ' '));
}

const lineOf = (text, index) => text.slice(0, index).split('\n').length;

/** Module path of a Rust file below native/src: `pool/queue.rs` → `['pool', 'queue']`. */
function rustPath(file) {
  const parts = file
    .replace(/^native\/src\//, '')
    .replace(/\.rs$/, '')
    .split('/');
  return parts.at(-1) === 'mod' ? parts.slice(0, -1) : parts.filter((part) => part !== 'lib');
}

/** First names inside a braced list: `{self, conn::Client, pool}` → `conn::Client`, `pool`. */
function bracedNames(text, start) {
  let depth = 0;
  let end = start;
  do {
    if (text[end] === '{') depth += 1;
    if (text[end] === '}') depth -= 1;
    end += 1;
  } while (depth > 0 && end < text.length);
  const flat = text.slice(start + 1, end - 1).replaceAll(/\{[^{}]*\}/g, '');
  return flat
    .split(',')
    .map((name) => name.trim())
    .filter(Boolean);
}

/**
 * Paths from the crate root that a Rust file names by `crate::…` or by `super::` steps that reach the root.
 * @param {Record<string, unknown>} roots the modules of the root
 * @returns {{ path: string[], line: number }[]}
 */
function rustImports(file, source, roots) {
  const text = withoutComments(source);
  const here = rustPath(file);
  const found = [];
  for (const match of text.matchAll(
    /\b(crate|super(?:\s*::\s*super)*)\s*::\s*(\{|\w+(?:\s*::\s*\w+)?)/g,
  )) {
    const [all, start, rest = ''] = match;
    const steps = start === 'crate' ? here.length : start.split('super').length - 1;
    if (steps !== here.length) continue; // stays below the root
    const names = rest === '{' ? bracedNames(text, match.index + all.length - 1) : [rest];
    for (const name of names) {
      const parts = name.split('::').map((part) => part.trim());
      // inside `mod tests { … }` one step less is left: what is no module of the root is meant for below it
      const isRoot = start === 'crate' ? /^[a-z]/.test(parts[0] ?? '') : parts[0] in roots;
      if (isRoot) found.push({ path: parts, line: lineOf(text, match.index) });
    }
  }
  return found;
}

/** Lines of a Rust file that name the binding. */
function neonLines(source) {
  const text = withoutComments(source);
  return [...text.matchAll(/\bneon\s*(?:::|;)/g)].map(({ index }) => lineOf(text, index));
}

/**
 * Files of lib/ that a JavaScript file loads. Types imported in comments are no dependency.
 * @returns {{ path: string[], line: number }[]} without `.js`
 */
function jsImports(file, source) {
  const text = source.replaceAll(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, (found) =>
    found.replaceAll(/[^\n]/g, ' '),
  );
  const found = [...text.matchAll(/\b(?:require|import)\s*\(\s*['"](\.[^'"]*)['"]\s*\)/g)];
  return found.map(({ 1: target, index }) => {
    const absolute = path.posix.join(path.posix.dirname(file), target ?? '');
    const parts = absolute
      .replace(/^lib(\/|$)/, '')
      .replace(/\.js$/, '')
      .split('/');
    return { path: parts[0] ? parts : ['index'], line: lineOf(text, index) };
  });
}

module.exports = { rustPath, rustImports, neonLines, jsImports };
