// The licences of the crates that are linked into a binary: whoever hands it out has to hand out their texts.
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const { Failure } = require('./cli.js');
const { ROOT, run } = require('./run.js');

/** The one of our own that everything is linked into. */
const ENGINE = 'pg-berth-native';
const TEXTS = /^(licen[cs]e|copying|notice|copyright)/i;

/** Linked into everything that rustc makes, and in no manifest. */
const STANDARD_LIBRARY = Object.freeze({
  title: 'the standard library of Rust, MIT OR Apache-2.0, https://github.com/rust-lang/rust',
  owners: 'The Rust Project Contributors',
});

/**
 * What `cargo metadata` says of a crate, as far as it is needed here.
 * @typedef {{
 *   id: string,
 *   name: string,
 *   version: string,
 *   authors: string[],
 *   license: string | null,
 *   source: string | null,
 *   repository: string | null,
 *   manifest_path: string,
 *   targets: { kind: string[] }[],
 * }} Crate
 */

/**
 * The crates whose code gets into the binary, directly or through others: what only builds or tests is left out, macros too.
 * @param {{ packages: Crate[], resolve: { nodes: any[] } }} metadata of `cargo metadata`
 * @returns {Crate[]} without our own, by name
 */
function linkedCrates({ packages, resolve }) {
  const crates = new Map(packages.map((crate) => [crate.id, crate]));
  const nodes = new Map(resolve.nodes.map((node) => [node.id, node]));
  const isMacro = ({ targets }) => targets.some(({ kind }) => kind.includes('proc-macro'));
  const linked = new Set();
  const visit = (id) => {
    const crate = crates.get(id);
    if (crate === undefined || linked.has(crate) || isMacro(crate)) return;
    linked.add(crate);
    for (const { pkg, dep_kinds: kinds } of nodes.get(id)?.deps ?? []) {
      if (kinds.some(({ kind }) => kind === null)) visit(pkg);
    }
  };
  visit(packages.find(({ name }) => name === ENGINE)?.id);
  const foreign = [...linked].filter(({ source }) => source !== null);
  return foreign.sort((a, b) => (`${a.name} ${a.version}` < `${b.name} ${b.version}` ? -1 : 1));
}

/** Where there is a choice, the licence that asks for least is taken: its text is enough. @param {string[]} names */
function chosen(names) {
  const mit = names.filter((name) => /mit/i.test(name));
  return mit.length > 0
    ? names.filter((name) => mit.includes(name) || /^notice/i.test(name))
    : names;
}

/** The MIT licence is the same for everybody but for its owner. @param {string} owners */
function mitOf(owners) {
  const own = fs.readFileSync(path.join(ROOT, 'LICENSE'), 'utf8').trim();
  return own.replace(/^Copyright .*$/m, `Copyright (c) ${owners}`);
}

/** @param {Crate} crate the text of its licence */
function textOf({ name, authors, manifest_path: manifest, license }) {
  const folder = path.dirname(manifest);
  const names = fs
    .readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isFile() && TEXTS.test(entry.name))
    .map((entry) => entry.name)
    .sort();
  const words = license ?? '';
  const isChoice = /\bOR\b|\//.test(words) && !/\bAND\b/.test(words);
  const texts = (isChoice ? chosen(names) : names).map((file) =>
    fs.readFileSync(path.join(folder, file), 'utf8').trim(),
  );
  if (texts.length > 0) return texts.join('\n\n');
  if (/\bMIT\b/.test(words))
    return mitOf(
      authors.map((author) => author.replace(/ <.*>/, '')).join(', ') || `the authors of ${name}`,
    );
  throw new Failure(`${name} has the licence ${words || '(none)'} and no text of it: ${folder}`);
}

/** @param {Crate} crate */
function titleOf({ name, version, license, repository }) {
  return [`${name} ${version}`, license, repository].filter(Boolean).join(', ');
}

/**
 * One text for all: each licence once, below the crates it covers.
 * @param {Crate[]} crates
 */
function noticesOf(crates) {
  const { title, owners } = STANDARD_LIBRARY;
  /** @type {Map<string, string[]>} */
  const covered = new Map([[mitOf(owners), [title]]]);
  for (const crate of crates) {
    const text = textOf(crate);
    covered.set(text, [...(covered.get(text) ?? []), titleOf(crate)]);
  }
  const parts = [...covered].map(([text, titles]) => `${titles.join('\n')}\n\n${text}`);
  const lead = 'pg-berth.node contains code of these packages, under the licences below them.';
  return `${[lead, ...parts].join(`\n\n${'-'.repeat(80)}\n\n`)}\n`;
}

/** @param {import('./platforms.js').Platform} platform @returns {Promise<string>} */
async function thirdPartyNotices({ triple }) {
  const args = [
    'metadata',
    '--quiet',
    '--format-version',
    '1',
    '--locked',
    '--filter-platform',
    triple,
  ];
  const { code, output } = await run('cargo', args);
  if (code !== 0) throw new Failure(`cargo ${args.join(' ')} failed:\n${output}`);
  // Among it is what cargo tells of waiting and of downloads.
  const metadata = output.split('\n').find((line) => line.startsWith('{"packages"'));
  if (metadata === undefined)
    throw new Failure(`cargo metadata said nothing of packages:\n${output}`);
  return noticesOf(linkedCrates(JSON.parse(metadata)));
}

module.exports = { linkedCrates, noticesOf, thirdPartyNotices };
