// The command line of the benchmark.
'use strict';

const { parseArgs } = require('node:util');
const { WORKLOADS } = require('../workloads/table.js');
const { PEERS } = require('./peers.js');

const names = WORKLOADS.map(({ name, title }) => `  ${name.padEnd(16)}${title}`).join('\n');
/** Not between peers, but between two ways of pg-berth's own. */
const OVERHEAD = 'overhead';
const peers = Object.entries(PEERS).map(([name, { title }]) => `  ${name.padEnd(16)}${title}`);

const HELP = `Usage: node bench/run.js [options]

Compares pg-berth with other clients in interleaved rounds, prints ratios to pg with named
statements, checks bench/floors.json and writes the charts. Exit code 1: below a floor, wrong
content, or a peer that failed. Takes about 20 minutes on an otherwise idle machine.
The server is DATABASE_URL if set (schema "bench" is dropped and created), else a private one.

  --only a,b      only these workloads (soak runs only when named here; overhead is what leases,
                  following the primary, tracing and counting cost, and what blocked JavaScript does)
  --peers a,b     only these peers; without pg-berth and pg-named no floors are checked, and no overhead
  --rounds N      rounds per workload (default 9; at least as many as a workload asks for)
  --smoke         tiny: does everything run, is every content right; no floors, no charts
  --busy          a second run beside a busy loop, reported and not gated
  --ops N         operations of the soak (default 10000000)
  --json FILE     writes all figures
  --charts DIR    writes the charts there (default docs/charts, after a full run only)
  --write-docs    puts the figures into README.md and docs/performance.md; of a complete run only
  --from FILE     runs nothing: charts and documents of the figures that --json wrote
  --help          this text

Figures: rate is the 80th percentile of the rounds; CPU is the total over all rounds; p50, p99 and
the worst event-loop delay are the median of the rounds' values; memory is the peak resident one.

Workloads:
${names}

Peers (pg-pipeline only when named):
${peers.join('\n')}`;

/** @param {string[]} args */
function parse(args) {
  const { values } = parseArgs({
    args,
    options: {
      only: { type: 'string' },
      peers: { type: 'string' },
      rounds: { type: 'string' },
      smoke: { type: 'boolean', default: false },
      busy: { type: 'boolean', default: false },
      ops: { type: 'string', default: '10000000' },
      json: { type: 'string' },
      charts: { type: 'string' },
      'write-docs': { type: 'boolean', default: false },
      from: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  const only = pick('--only', values.only, [...WORKLOADS.map(({ name }) => name), OVERHEAD]);
  const isPart = values.smoke || only !== undefined || values.peers !== undefined;
  if (values['write-docs'] && isPart) {
    throw new RangeError(
      '--write-docs publishes a complete run: without --only, --peers and --smoke',
    );
  }
  const usual = Object.keys(PEERS).filter((name) => !PEERS[name].optional);
  return {
    help: values.help,
    smoke: values.smoke,
    busy: values.busy,
    json: values.json,
    charts: values.charts ?? (isPart ? undefined : 'docs/charts'),
    writeDocs: values['write-docs'],
    from: values.from,
    overhead: only === undefined ? values.peers === undefined : only.includes(OVERHEAD),
    rounds: values.rounds === undefined ? undefined : positive('--rounds', values.rounds),
    ops: positive('--ops', values.ops),
    workloads: WORKLOADS.filter(({ name, onlyOnRequest }) => {
      return only ? only.includes(name) : !onlyOnRequest;
    }),
    peers: pick('--peers', values.peers, Object.keys(PEERS)) ?? usual,
    named: values.peers !== undefined,
  };
}

/**
 * Parses a command line for a program that is about to end where it is wrong, or asks for the help.
 * Exit codes are those of the scripts: 0 for the help, 2 for wrong usage.
 * @param {string[]} args @returns {ReturnType<typeof parse> | undefined}
 */
function read(args) {
  try {
    const options = parse(args);
    if (!options.help) return options;
    console.log(HELP);
  } catch (error) {
    console.error(`${error.message}\n\n${HELP}`);
    process.exitCode = 2;
  }
  return undefined;
}

function pick(option, text, known) {
  if (text === undefined) return undefined;
  const list = text.split(',').map((part) => part.trim());
  for (const name of list) {
    if (!known.includes(name)) throw new RangeError(`${option}: ${name} is none of ${known}`);
  }
  return list;
}

function positive(option, text) {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1) {
    throw new RangeError(`${option} must be a positive integer, not ${text}`);
  }
  return number;
}

module.exports = { read };
