// Builds the native addon and puts it where lib/native.js looks for it.
'use strict';

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { Failure } = require('./cli.js');
const { ROOT, run } = require('./run.js');

const ADDON = path.join(ROOT, 'build/pg-berth.node');
const LIBRARY = { win32: 'pg_berth.dll', darwin: 'libpg_berth.dylib' }[process.platform];
const PROGRESS_EVERY_MS = 5_000;

/** Prints what cargo is at, one line every few seconds: works in a log as in a terminal. */
function progress() {
  const started = Date.now();
  let last = '';
  const timer = setInterval(() => {
    const seconds = Math.round((Date.now() - started) / 1000);
    console.log(`  building ${last || 'waiting for cargo'}  ${seconds} s`);
  }, PROGRESS_EVERY_MS);
  return {
    /** Cargo's bar reads `Building [==>   ] 45/105: tokio, rustls`. */
    read(text) {
      const [, done, all, names] = [...text.matchAll(/\] (\d+)\/(\d+): ([^\r\n]*)/g)].at(-1) ?? [];
      if (done) last = `crate ${done} of ${all} (${names?.trim()})`;
    },
    stop: () => clearInterval(timer),
  };
}

/**
 * @param {{ debug?: boolean }} [options]
 * @returns {Promise<string>} path of the addon
 */
async function buildAddon({ debug = false } = {}) {
  const shown = progress();
  const args = ['rustc', '-p', 'pg-berth-native', '--lib', '--locked'];
  // The manifest also asks for a library that tests and fuzzers link, and for both at once cargo leaves LTO out.
  if (!debug) args.push('--release', '--crate-type', 'cdylib', '--', ...(await folding()));
  const env = {
    CARGO_TERM_PROGRESS_WHEN: 'always',
    CARGO_TERM_PROGRESS_WIDTH: '100',
    ...(debug ? {} : { RUSTFLAGS: withoutPaths() }),
  };
  const { code, output } = await run('cargo', args, { env, onText: shown.read });
  shown.stop();
  if (code !== 0) throw new Failure(`cargo ${args.join(' ')} failed:\n${withoutBar(output)}`);
  const target = process.env.CARGO_TARGET_DIR ?? path.join(ROOT, 'target');
  const built = path.join(target, debug ? 'debug' : 'release', LIBRARY ?? 'libpg_berth.so');
  // copied beside and renamed: a process that has the old file mapped keeps it whole
  fs.mkdirSync(path.dirname(ADDON), { recursive: true });
  const draft = `${ADDON}.${process.pid}`;
  fs.copyFileSync(built, draft);
  fs.renameSync(draft, ADDON);
  return ADDON;
}

/**
 * Flags for a binary that names no folder of the machine it was built on, which also makes it the same size everywhere.
 */
function withoutPaths() {
  const cargo = process.env.CARGO_HOME ?? path.join(os.homedir(), '.cargo');
  const flags = [process.env.RUSTFLAGS, `--remap-path-prefix=${path.join(cargo, 'registry/src')}=`];
  return flags.filter(Boolean).join(' ');
}

/**
 * Functions that came out the same are kept once, where rustc links with LLD by itself: the binary has a limit. Data keeps
 * addresses of its own, and Rust promises none for functions.
 */
async function folding() {
  const { output } = await run('rustc', ['-vV']);
  const minor = Number(/^release: 1\.(\d+)/m.exec(output)?.[1] ?? 0);
  const isLld = minor >= 90 && /^host: x86_64-unknown-linux-gnu$/m.test(output);
  const isChosen = /-fuse-ld|linker/.test(process.env.RUSTFLAGS ?? '');
  return isLld && !isChosen ? ['-Clink-arg=-Wl,--icf=all'] : [];
}

/** Cargo's messages without the frames of its progress bar. */
const withoutBar = (text) => text.replaceAll(/\s*Building \[[^\r\n]*[\r\n]?/g, '\n').trim();

module.exports = { buildAddon, ADDON };
