// Reads the exported declarations of a .d.ts file with the comments in front of them.
'use strict';

/** @typedef {{ name: string, prose: string, code: string }} Declaration prose is Markdown */

const START =
  /^export (?:declare )?(?:abstract )?(?:interface|type|class|function|const|namespace|enum) (\w+)/;

/** A block comment as Markdown: tags become sentences, examples become code. @param {string[]} lines */
function proseOf(lines) {
  const text = lines
    .join('\n')
    .replace(/^\/\*\*|\*\/$/g, '')
    .replaceAll(/^ *\* ?/gm, '')
    .trim();
  const [before = '', ...tags] = text.split(/^@/m);
  const parts = [before.trim()];
  for (const tag of tags) {
    const [, word = '', rest = ''] = /^(\w+)\s*([\s\S]*)$/.exec(tag) ?? [];
    parts.push(sentenceOf(word, rest.trim()));
  }
  return parts.filter(Boolean).join('\n\n');
}

/** @param {string} word @param {string} rest */
function sentenceOf(word, rest) {
  if (word === 'example') return `\`\`\`text\n${rest}\n\`\`\``;
  const typed = /^\{([^}]*)\}\s*([\s\S]*)$/.exec(rest);
  const [kind, said] = typed ? [`\`${typed[1]}\` `, typed[2]] : ['', rest];
  if (word === 'throws') return `Throws ${kind}${said ? `when: ${said}` : ''}`.trim();
  if (word === 'returns') return `Returns ${said}`;
  if (word === 'param') return `Parameter ${said.replace(/^(\w+)/, '`$1`:')}`;
  return `${word}: ${said}`;
}

const depthOf = (line) => {
  const code = line.replaceAll(/'[^']*'|\/\/.*|\/\*.*?\*\//g, '');
  const count = (open, close) => code.split(open).length - code.split(close).length;
  return count('{', '}') + count('(', ')') + count('[', ']');
};

/** Lines from a declaration's first to its last one. @param {string[]} lines @param {number} start */
function bodyOf(lines, start) {
  const body = [];
  let depth = 0;
  let isComment = false;
  for (const line of lines.slice(start)) {
    if (/^\s*\/\*\*/.test(line)) isComment = true;
    if (!isComment) depth += depthOf(line);
    if (/\*\/\s*$/.test(line)) isComment = false;
    if (!line.trim().startsWith('// biome-ignore')) body.push(line);
    if (!isComment && depth === 0 && /[;}]\s*$/.test(line)) break;
  }
  return body;
}

/**
 * @param {string} text of a declaration file
 * @returns {Declaration[]} overloads of a function are one declaration
 */
function declarationsOf(text) {
  const lines = text.split('\n');
  /** @type {Declaration[]} */
  const found = [];
  let comment = [];
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at] ?? '';
    if (line.startsWith('/**')) {
      const end = lines.findIndex((other, index) => index >= at && other.includes('*/'));
      comment = lines.slice(at, end + 1);
      at = end;
      continue;
    }
    if (line.startsWith('// biome-ignore')) continue;
    const [, name] = START.exec(line) ?? [];
    if (name !== undefined) {
      const body = bodyOf(lines, at);
      const last = found.at(-1);
      const prose = proseOf(comment);
      const code = body.join('\n');
      if (last?.name === name && comment.length === 0) last.code += `\n${code}`;
      else found.push({ name, prose, code });
      at += body.length - 1;
    }
    comment = [];
  }
  return found;
}

module.exports = { declarationsOf };
