// Writes docs/api from the type declarations, or checks that it is what they say.
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const { cli } = require('./support/cli.js');
const { declarationsOf } = require('./support/declarations.js');
const { listFiles, readText } = require('./support/files.js');
const { ROOT } = require('./support/run.js');

const HELP = `
Usage: npm run api-reference [-- options]

Writes docs/api/*.md: a page for each declaration file that a public entry of the package reaches.

  --check   write nothing; fail when a page is not what the declarations say
  --help    this text
`;

const FOLDER = 'docs/api';
const { exports: ENTRIES } = require('../package.json');

/** Declaration files a file exports from. @param {string} file */
function reexported(file) {
  const found = readText(file).matchAll(/^export\s+[^;]*?\sfrom\s+'(\.[^']+)\.js'/gm);
  return [...new Set([...found].map(([, target]) => path.posix.join('types', `${target}.d.ts`)))];
}

/** Which entries export from which file: file → `pg-berth`, `pg-berth/health`, … */
function entriesByFile() {
  const entries = new Map();
  for (const [name, entry] of Object.entries(ENTRIES)) {
    if (typeof entry !== 'object') continue;
    const file = entry.types.replace(/^\.\//, '');
    const own = declarationsOf(readText(file)).length > 0 ? [file] : [];
    for (const reached of [...own, ...reexported(file)]) {
      entries.set(reached, [...(entries.get(reached) ?? []), path.posix.join('pg-berth', name)]);
    }
  }
  return entries;
}

const titleOf = (file) => /^\/\/ (?!biome)(.*?)\.?$/m.exec(readText(file))?.[1] ?? file;
const pageOf = (file) => `${path.basename(file, '.d.ts')}.md`;
const quoted = (names) => names.map((name) => `\`${name}\``).join(', ');

/** A page: each exported declaration with its prose, and its members with theirs. */
function page(file, entries) {
  const parts = declarationsOf(readText(file)).map(({ name, prose, code }) => {
    const fenced = `\`\`\`ts\n${code}\n\`\`\``;
    return [`## ${name}`, prose, fenced].filter(Boolean).join('\n\n');
  });
  const head = `# ${titleOf(file)}\n\nFrom ${quoted(entries)}. Generated from [${file}](../../${file}).`;
  return `${[head, ...parts].join('\n\n')}\n`;
}

function index(entries) {
  const rows = [...entries].map(([file, names]) => {
    const exported = declarationsOf(readText(file)).map(({ name }) => name);
    return `| [${titleOf(file)}](${pageOf(file)}) | ${quoted(names)} | ${quoted(exported)} |`;
  });
  return `# API reference

Generated from the type declarations by \`npm run api-reference\`; CI checks that it is what they say. The declarations
are also what an editor shows. The [guides](../README.md) explain.

| page | from | names |
| --- | --- | --- |
${rows.join('\n')}
`;
}

/** File name → text of everything in the folder. */
function pages() {
  const entries = entriesByFile();
  const all = new Map([['README.md', index(entries)]]);
  for (const [file, names] of entries) all.set(pageOf(file), page(file, names));
  return all;
}

cli(HELP, { check: { type: 'boolean', default: false } }, ({ check }) => {
  const wanted = pages();
  const present = listFiles(FOLDER, ['.md']).map((file) => path.basename(file));
  const stale = present.filter((name) => !wanted.has(name));
  const changed = [...wanted].filter(([name, text]) => {
    return !present.includes(name) || readText(`${FOLDER}/${name}`) !== text;
  });
  const names = [...stale, ...changed.map(([name]) => name)];
  if (check) {
    for (const name of names)
      console.log(`${FOLDER}/${name} is not what types/ says: npm run api-reference`);
    console.log(`${wanted.size} pages compared, ${names.length} complaints`);
    return names.length === 0 ? 0 : 1;
  }
  fs.mkdirSync(path.join(ROOT, FOLDER), { recursive: true });
  for (const name of stale) fs.rmSync(path.join(ROOT, FOLDER, name));
  for (const [name, text] of changed) fs.writeFileSync(path.join(ROOT, FOLDER, name), text);
  console.log(`${wanted.size} pages, ${names.length} written`);
  return 0;
});
