// Entry of the benchmark: prepares server and peers, runs the workloads, reports, judges.
'use strict';

const { spawn, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { writeCharts } = require('./harness/charts.js');
const { writeDocuments } = require('./harness/documents.js');
const { openDatabase } = require('./harness/database.js');
const { installed } = require('./harness/installed.js');
const { measure } = require('./harness/measure.js');
const { read } = require('./harness/options.js');
const { BENCH, PEERS, REFERENCE, SUBJECT, missing } = require('./harness/peers.js');
const { details, ratios, verdict } = require('./harness/report.js');
const { summarize } = require('./harness/summary.js');

const { checks } = require('./floors.json');

const say = (text) => console.log(text);

async function main() {
  const options = read(process.argv.slice(2));
  if (options === undefined) return process.exitCode ?? 0;
  if (options.from) {
    publish(options, JSON.parse(fs.readFileSync(options.from, 'utf8')));
    return 0;
  }
  const { peers, absent } = present(options);
  const uninstall = installed();
  process.once('exit', uninstall);
  const database = await openDatabase({ smoke: options.smoke, slots: peers.length });
  // Ctrl-C must not leave a server behind
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.once(signal, () => database.close().finally(() => process.exit(1)));
  }
  const conditions = {
    node: process.version,
    server: database.version,
    cpus: `${os.cpus().length} x ${os.cpus()[0].model}`,
    load: os.loadavg()[0].toFixed(1),
    date: new Date().toISOString(),
  };
  say(
    `${Object.entries(conditions)
      .map(([key, value]) => `${key} ${value}`)
      .join(' · ')}\n`,
  );
  try {
    const quiet = await runAll(options, peers, database);
    say(`\nRatios to ${REFERENCE} (more is better)\n${ratios(quiet, peers)}\n`);
    const busy = options.busy ? await besideBusyLoop(options, peers, database) : undefined;
    const costs = options.overhead ? await costOf(options, database.url) : undefined;
    const run = { conditions, quiet, busy, overhead: costs?.figures };
    if (options.json) fs.writeFileSync(options.json, `${JSON.stringify(run, null, 2)}\n`);
    publish(options, run);
    const isOverheadAlone = costs !== undefined && quiet.length === 0;
    const code = isOverheadAlone ? 0 : judge(options, peers, absent, quiet);
    return costs?.above ? 1 : code;
  } finally {
    await database.close();
  }
}

async function costOf({ smoke }, url) {
  // It loads the engine, which reading the command line must not need.
  const { overhead } = require('./overhead.js');
  say('');
  return overhead({ url, smoke, say });
}

/** Charts and documents of a run. */
function publish({ charts, writeDocs }, run) {
  if (charts) {
    const { node, server, cpus } = run.conditions;
    const subtitle = `Node ${node}, PostgreSQL ${server}, ${cpus}`;
    for (const file of writeCharts(charts, run.quiet, subtitle)) say(`wrote ${file}`);
  }
  if (writeDocs) for (const file of writeDocuments(run, checks)) say(`wrote ${file}`);
}

/** Who can run; who cannot is named once. */
function present(options) {
  if (options.peers.includes('limit') && !options.smoke) buildLimit();
  const absent = [];
  const peers = options.peers.filter((peer) => {
    const reason = missing(peer);
    if (reason) absent.push(peer);
    if (reason) say(`without ${peer}: ${reason}`);
    return !reason;
  });
  return { peers, absent };
}

function buildLimit() {
  const args = ['build', '--release', '--locked'];
  spawnSync('cargo', args, { cwd: path.join(BENCH, 'limit'), stdio: 'inherit' });
}

async function runAll({ workloads, smoke, rounds, ops, named }, peers, database) {
  const results = [];
  for (const [index, workload] of workloads.entries()) {
    say(`[${index + 1}/${workloads.length}] ${workload.name}: ${workload.title}`);
    const { tls = false } = workload;
    const url = tls ? database.tlsUrl : database.url;
    if (url === null) {
      say('  the server offers no TLS');
      continue;
    }
    const able = peers.filter((peer) => runs(peer, workload, named));
    const how = { url, tls, smoke, rounds, ops, slots: peers };
    const taken = await measure(workload, able, how);
    const figures = summarize(workload, taken);
    results.push({ workload, figures });
    say(details(workload, figures));
  }
  return results;
}

/** The limit has no event loop of JS; a soak is about pg-berth unless peers were named. */
function runs(peer, { kind, tls }, named) {
  if (tls && PEERS[peer].isPlain) return false;

  if (kind === 'soak') return named ? peer !== 'limit' : peer === SUBJECT;
  return !(peer === 'limit' && kind === 'delay');
}

async function besideBusyLoop(options, peers, database) {
  say('Once more beside a busy loop');
  const loop = spawn(process.execPath, ['-e', 'for (;;);'], { stdio: 'ignore' });
  try {
    const results = await runAll(options, peers, database);
    say(`\nRatios beside a busy loop (not gated)\n${ratios(results, peers)}\n`);
    return results;
  } finally {
    loop.kill('SIGKILL');
  }
}

/** The exit code. */
function judge({ smoke, named }, peers, absent, results) {
  let code = 0;
  for (const { workload, figures } of results) {
    for (const own of Object.values(figures)) {
      if (!own.error) continue;
      say(`failed: ${workload.name}, ${own.error.split('\n', 1)[0]}`);
      code = 1;
    }
  }
  if (smoke) {
    if (absent.includes(SUBJECT)) code = 1;
    say(code === 0 ? 'smoke: everything ran, every content was right' : 'smoke: failed');
    return code;
  }
  if (!peers.includes(SUBJECT) || !peers.includes(REFERENCE)) {
    say(`no floors checked: they compare ${SUBJECT} with ${REFERENCE}`);
    return absent.length > 0 || !named ? 1 : code;
  }
  const { text, below } = verdict(checks, results);
  if (text) say(text);
  if (below > 0) say(`${below} below the floor`);
  return below > 0 ? 1 : code;
}

main().then(
  (code) => {
    process.exitCode = code;
  },
  (error) => {
    console.error(error);
    process.exitCode = 1;
  },
);
