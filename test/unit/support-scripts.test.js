// The checks find what they are for: imports that point up, undeclared names, blocks of documentation.
'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { jsImports, neonLines, rustImports, rustPath } = require('../../scripts/support/imports.js');
const { complaint, JS, moduleOf, RUST } = require('../../scripts/support/layers.js');
const { declarationsOf } = require('../../scripts/support/declarations.js');
const { compareRules } = require('../../scripts/support/security-rules.js');
const { run } = require('../../scripts/support/run.js');
const { brokenClaim, snippetsOf } = require('../../scripts/support/snippets.js');

/** What a Rust file is said to use wrongly. */
const wrongIn = (file, source) =>
  rustImports(file, source, RUST)
    .map(({ path }) => complaint(RUST, moduleOf(RUST, rustPath(file)), moduleOf(RUST, path)))
    .filter(Boolean)
    .map((reason) => /use (\S+);/.exec(reason)?.[1] ?? reason);

const RUST_CASES = [
  ['a layer below', 'native/src/pool/mod.rs', 'use crate::conn::Client;', []],
  ['a layer above', 'native/src/conn/mod.rs', 'use crate::pool::Pool;', ['pool']],
  ['the other core', 'native/src/frame/cell.rs', 'let x = crate::wire::MAX;', ['wire']],
  [
    'a braced list',
    'native/src/wire/mod.rs',
    'use crate::{error::{A, B}, conn, pool::X};',
    ['conn', 'pool'],
  ],
  ['by super', 'native/src/wire/auth.rs', 'use super::super::conn::Y;', ['conn']],
  ['its own folder', 'native/src/wire/auth.rs', 'use super::frontend; use super::conn_words;', []],
  ['in a comment', 'native/src/wire/auth.rs', '/// see [`crate::pool`]\n// crate::pool::x', []],
  ['in a string', 'native/src/wire/auth.rs', 'let s = "crate::pool::x"; let c = \'"\'; ', []],
  [
    'a lifetime before',
    'native/src/wire/a.rs',
    "fn f<'a>(x: &'a u8) {} use crate::pool::X;",
    ['pool'],
  ],
  ['an inline test', 'native/src/frame/a.rs', 'mod tests { use super::super::cell::X; }', []],
  ['signing', 'native/src/lease/clock.rs', 'use crate::conn::Client;', ['conn']],
  ['renewing', 'native/src/lease/renew.rs', 'use crate::conn::Client; use super::clock::X;', []],
  ['anything from addon', 'native/src/addon/mod.rs', 'use crate::pool::Pool;', []],
  ['addon from anywhere', 'native/src/pool/mod.rs', 'use crate::addon::X;', ['addon']],
];
for (const [name, file, source, expected] of RUST_CASES) {
  test(`layers, Rust: ${name}`, () => assert.deepEqual(wrongIn(file, source), expected));
}

test('layers, Rust: an unknown module asks for a rule', () => {
  assert.match(wrongIn('native/src/stray/mod.rs', 'use crate::error::X;')[0], /stray has no layer/);
});

test('the binding is found in code only', () => {
  assert.deepEqual(neonLines('// neon::x\nuse neon::prelude::*;\nlet neon_like = 1;'), [2]);
});

const JS_CASES = [
  ['a layer below', 'lib/pool.js', "require('./mailbox.js')", []],
  ['a folder of a layer below', 'lib/mailbox.js', "require('./rows/decoder.js')", []],
  ['a layer above', 'lib/rows/decoder.js', "require('../pool.js')", ['pool']],
  ['the package from inside', 'lib/health.js', "require('./index.js')", ['index']],
  ['only a type', 'lib/rows/decoder.js', "/** @import { Pool } from '../pool.js' */", []],
  ['the standard library', 'lib/rows/decoder.js', "require('node:util')", []],
  ['the index of a face', 'lib/serverless/client.js', "require('../pg/index.js')", []],
];
for (const [name, file, source, expected] of JS_CASES) {
  test(`layers, JavaScript: ${name}`, () => {
    const from = moduleOf(JS, file.replace(/^lib\/|\.js$/g, '').split('/'));
    const wrong = jsImports(file, source)
      .map(({ path }) => complaint(JS, from, moduleOf(JS, path)))
      .filter(Boolean)
      .map((reason) => /use (\S+);/.exec(reason)?.[1]);
    assert.deepEqual(wrong, expected);
  });
}

test('documentation: blocks run alone or after the hidden code above them', () => {
  const text = [
    '```js\nimport { Pool } from "pg-berth";\n```',
    '```sh\nnpm test\n```',
    '<!-- before: const pool = 1; -->\n```js\nawait pool;\n```',
    '<!-- not run: needs a cluster -->\n```js\nfail();\n```',
    "```js\nconst { Pool } = require('pg-berth');\n```",
  ].join('\n');
  const snippets = snippetsOf('docs/a.md', text);
  assert.deepEqual(
    snippets.map(({ name }) => name),
    ['docs-a-md-1.mjs', 'docs-a-md-8.cjs', 'docs-a-md-15.cjs'],
  );
  assert.match(snippets[1]?.code ?? '', /const pool = 1; \n+await pool;/);
  assert.doesNotMatch(snippets[2]?.code ?? '', /const pool = 1/);
});

test('documentation: what a block says it prints has to be printed, in its order', () => {
  const block = (code) => snippetsOf('a.md', `\`\`\`js\n${code}\n\`\`\``)[0]?.says;
  assert.deepEqual(block('console.log(a); // 1\nf(); // no claim\nconsole.log(b);\n// { c: 2 }'), [
    '1',
    '{ c: 2 }',
  ]);
  assert.equal(brokenClaim(['1', '{ c: 2 }'], '1\n{\n  c: 2\n}\n'), undefined);
  assert.equal(brokenClaim(['{ c: 2 }', '1'], '1\n{ c: 2 }'), '1');
  assert.equal(brokenClaim(["at: '2026-…'"], "{ at: '2026-01-02' }"), undefined);
  assert.equal(brokenClaim(['[1]'], '1'), '[1]');
});

test('documentation: TypeScript is checked as it stands', () => {
  const [{ name, code } = {}] = snippetsOf('a.md', '```ts\nconst n: number = 1;\n```');
  assert.deepEqual([name, code], ['a-md-1.mts', 'const n: number = 1;\n']);
});

test('api reference: declarations have their prose, their members and their overloads', () => {
  const text = [
    "import type { X } from './x.js';",
    '/** A thing. */',
    '// biome-ignore lint/a: why',
    'export interface Thing<T = { a: 1 }> {',
    '  /** A member. } */',
    '  run(options: { a: T }): void;',
    '}',
    'type Hidden = string;',
    '/**',
    ' * Makes one.',
    ' * @throws {TypeError} the name is wrong',
    ' */',
    'export function make(name: string): Thing;',
    'export function make(options: {',
    '  name: string;',
    '}): Thing;',
    'export const one: Thing;',
  ].join('\n');
  const found = declarationsOf(text);
  assert.deepEqual(
    found.map(({ name }) => name),
    ['Thing', 'make', 'one'],
  );
  assert.equal(found[0]?.prose, 'A thing.');
  assert.match(found[0]?.code ?? '', /A member[\s\S]*run\(options: [^\n]*\n\}$/);
  assert.equal(found[1]?.prose, 'Makes one.\n\nThrows `TypeError` when: the name is wrong');
  assert.equal(found[1]?.code.split('export function').length, 3);
});

test('security rules: a rule needs a test with its number or an excuse, and no excuse beside a test', () => {
  // Put together here, so that the check does not take these lines for tests.
  const named = (rule) => ['sec', rule].join('_');
  const sources = [
    `test('SC-1, ${named('w01')}: a', () => {})`,
    `fn ${named('e02')}_b() {}`,
    `test('${named('q09')}: c')`,
  ];
  const { complaints, rules, tested } = compareRules({
    rules: '| No | rule |\n| W01 | a |\n| E02 | b |\n| S03 | c |\n| S04 | d |',
    excuses: '| S03 | why |\n| E02 | stale |',
    sources,
  });
  assert.deepEqual([rules, tested], [4, 2]);
  assert.deepEqual(
    complaints.map((line) => line.split(':')[0]),
    ['S04', 'E02', 'Q09'],
  );
});

test('a program that is not there is named, with where it comes from', async () => {
  const { code, output } = await run('there-is-no-such-program', []);
  assert.equal(code, 127);
  assert.equal(output, 'there-is-no-such-program is not installed, or not in PATH\n');
  const cargo = await run('cargo', [], { env: { PATH: '/nowhere' } });
  assert.equal(cargo.code, 127);
  assert.match(cargo.output, /^cargo is not installed.*https:\/\/rustup\.rs/);
});

test('a script refuses words it does not take, so that a forgotten option does not run everything', async () => {
  for (const [args, said] of [
    [
      ['scripts/test.js', 'test/unit/params.test.js'],
      /Unexpected argument 'test\/unit\/params\.test\.js'/,
    ],
    [['scripts/server.js', '--conf', 'fsync'], /^--conf fsync: it takes NAME=VALUE\n$/],
    [['scripts/server.js', '--version', 'newest'], /^--version newest: it takes a major version/],
    [['scripts/fuzz.js', '--seconds', 'soon'], /^--seconds soon: it takes a whole number\n$/],
  ]) {
    const { code, output } = await run(process.execPath, args);
    assert.ok(code > 0, args.join(' '));
    assert.match(output, said);
  }
});

test('a wrong option of the benchmark is told before anything is built', async () => {
  const args = ['scripts/bench.js', '--rounds', 'many'];
  const { code, output } = await run(process.execPath, args);
  assert.equal(code, 2);
  assert.match(output, /^--rounds must be a positive integer, not many\n\nUsage: /);
});
