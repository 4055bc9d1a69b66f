// Measures one workload: fresh processes, interleaved rounds in random order, contents compared.
'use strict';

const { PeerProcess } = require('./process.js');
const { measureCold } = require('./cold-start.js');
const { shuffled } = require('./stats.js');
const { REFERENCE } = require('./peers.js');
const { sizes, statements, expected } = require('../workloads/data.js');

/** Most connections of every peer's pool. */
const MAX = 10;
/** Over this an operation hangs: the slowest known round takes 15 s. */
const PATIENCE_MS = 120_000;

/**
 * @typedef {{rounds: any[], checksum?: string, way?: string, error?: string}} Taken
 * @param {any} workload one of workloads/table.js
 * @param {string[]} peers
 * @param {{url: string, tls: boolean, smoke: boolean, rounds?: number, ops: number, slots: string[]}} how
 * @returns {Promise<Map<string, Taken>>}
 */
async function measure(workload, peers, how) {
  /** @type {Map<string, Taken>} */
  const taken = new Map(peers.map((peer) => [peer, { rounds: [] }]));
  const each = async (list, work) => {
    for (const peer of list) {
      const record = taken.get(peer);
      if (record.error) continue;
      try {
        await work(peer, record);
      } catch (error) {
        record.error = error.message;
      }
    }
  };
  const kinds = { rate: steady, delay: steady, memory: fresh, cold, soak };
  await kinds[workload.kind](workload, peers, how, each);
  compare(taken);
  return taken;
}

function roundsOf(workload, how) {
  if (how.smoke) return 2;
  if (workload.kind === 'memory') return workload.rounds;
  return Math.max(how.rounds ?? 9, workload.rounds ?? 1);
}

/** One process per peer for the whole workload. */
async function steady(workload, peers, how, each) {
  const processes = new Map();
  const message = runMessage(workload, how);
  const run = (peer) => processes.get(peer).ask(message, PATIENCE_MS);
  try {
    await each(peers, async (peer, record) => {
      processes.set(peer, new PeerProcess(peer));
      record.way = await open(processes.get(peer), how);
      await run(peer);
      if (!how.smoke && workload.kind === 'rate') await run(peer);
    });
    for (let round = 0; round < roundsOf(workload, how); round++) {
      await each(shuffled(peers), async (peer, record) => {
        record.rounds.push(await run(peer));
      });
    }
    await each(peers, async (peer, record) => {
      record.checksum = await content(processes.get(peer), workload);
    });
  } finally {
    await Promise.all([...processes.values()].map((process) => process.close()));
  }
}

/** One process per peer and round, because the peak of a process includes everything before. */
async function fresh(workload, peers, how, each) {
  for (let round = 0; round < roundsOf(workload, how); round++) {
    await each(shuffled(peers), async (peer, record) => {
      const process = new PeerProcess(peer);
      try {
        await open(process, how);
        record.rounds.push(await process.ask(runMessage(workload, how), PATIENCE_MS));
        if (round === 0) record.checksum = await content(process, workload);
      } finally {
        await process.close();
      }
    });
  }
}

async function cold(workload, peers, how, each) {
  for (let round = 0; round < roundsOf(workload, how); round++) {
    await each(shuffled(peers), async (peer, record) => {
      const { ms, row } = await measureCold(peer, how.url);
      record.checksum = row;
      record.rounds.push({ ops: 1, ms });
    });
  }
}

async function soak(workload, peers, how, each) {
  const count = how.smoke ? 20_000 : how.ops;
  await each(peers, async (peer, record) => {
    const process = new PeerProcess(peer);
    try {
      await open(process, how);
      const every = Math.max(1, Math.round(count / 100));
      const { op, statement, concurrency } = workload;
      const message = { cmd: 'soak', op, statement, concurrency, ops: count, every };
      record.rounds.push(await process.ask(message, 3_600_000));
    } finally {
      await process.close();
    }
  });
}

async function open(process, { url, tls, smoke, slots }) {
  const size = sizes(smoke);
  const message = {
    cmd: 'open',
    url,
    tls,
    max: MAX,
    size,
    statements: statements(size, slots.indexOf(process.peer)),
    expected: expected(size),
  };
  return (await process.ask(message, PATIENCE_MS)).way;
}

async function content(process, { op, statement }) {
  return (await process.ask({ cmd: 'content', op, statement }, PATIENCE_MS)).checksum;
}

function runMessage({ op, statement, concurrency, ms, kind }, { smoke }) {
  const length = smoke ? Math.min(ms, 50) : ms;
  return { cmd: 'run', op, statement, concurrency, ms: length, delay: kind === 'delay' };
}

/** Values that differ from the reference's (or, without it, from the first peer's) are an error. */
function compare(taken) {
  const [first] = taken.keys();
  const right = (taken.get(REFERENCE) ?? taken.get(first)).checksum;
  if (right === undefined) return;
  for (const record of taken.values()) {
    if (!record.error && record.checksum !== right) {
      record.error = `wrong content: checksum ${record.checksum} instead of ${right}`;
    }
  }
}

module.exports = { measure };
