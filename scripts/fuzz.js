// Runs the fuzz targets for a while each: the seeds first, then what the fuzzer makes of them.
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const { cli, Failure } = require('./support/cli.js');
const { ROOT, run } = require('./support/run.js');
const { Steps } = require('./support/steps.js');

const HELP = `
Usage: npm run fuzz -- [options]

Builds the targets of fuzz/ with sanitizers and runs each: its seeds, then for --seconds whatever the
fuzzer makes of them. Needs a nightly toolchain and cargo-fuzz (cargo install cargo-fuzz). What a run
finds interesting is kept in fuzz/corpus, what broke a target in fuzz/artifacts.

  --only NAME    only this target; may be repeated
  --seconds N    for each target (default 60; 0: the seeds only)
  --help         this text
`;

const OPTIONS = {
  only: { type: 'string', multiple: true, default: [] },
  seconds: { type: 'string', default: '60' },
};

/** Longest input, bytes: larger ones find nothing new and are slow. */
const LONGEST = 4096;

function targetsOf(only) {
  const manifest = fs.readFileSync(path.join(ROOT, 'fuzz/Cargo.toml'), 'utf8');
  const known = [...manifest.matchAll(/^\[\[bin\]\]\nname = "(\w+)"/gm)].map(([, name]) => name);
  const unknown = only.find((name) => !known.includes(name));
  if (unknown) throw new Failure(`--only ${unknown}: there are ${known.join(', ')}`);
  return only.length > 0 ? only : known;
}

const fuzz = (...args) =>
  run('cargo', ['+nightly', 'fuzz', ...args], { env: { CARGO_TERM_COLOR: 'never' } });

cli(HELP, OPTIONS, async ({ only, seconds }) => {
  if (!/^\d+$/.test(seconds)) throw new Failure(`--seconds ${seconds}: it takes a whole number`);
  const targets = targetsOf(only);
  const steps = new Steps();
  const built = await steps.run('build of the targets', () => fuzz('build'));
  for (const name of built ? targets : []) {
    const corpus = path.join(ROOT, 'fuzz/corpus', name);
    fs.mkdirSync(corpus, { recursive: true });
    const limits =
      seconds === '0' ? ['-runs=0'] : [`-max_total_time=${seconds}`, '-print_final_stats=1'];
    await steps.run(name, async () => {
      const ended = await fuzz(
        'run',
        name,
        corpus,
        `fuzz/seeds/${name}`,
        '--',
        ...limits,
        `-max_len=${LONGEST}`,
        '-rss_limit_mb=2048',
      );
      const count = /number_of_executed_units:\s*(\d+)/.exec(ended.output)?.[1];
      if (ended.code === 0 && count) console.log(`  ${name}: ${count} inputs`);
      return { ...ended, passed: ended.code === 0 ? 1 : 0, failed: ended.code === 0 ? 0 : 1 };
    });
  }
  return steps.finish();
});
