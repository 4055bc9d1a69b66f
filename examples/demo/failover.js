// Seventh part of the demo: eight writers on a cluster of three local nodes while its primary dies.
'use strict';

const assert = require('node:assert');
const { randomUUID } = require('node:crypto');
const { setTimeout: sleep } = require('node:timers/promises');
const { createPool } = require('../..');
const { SCHEMA, place } = require('../cluster/orders.js');
const screen = require('./screen.js');

const WRITERS = 8;
/** How long is written before the failover and behind it. */
const CALM_MS = 1200;
const SLOT_MS = 50;

/** Writes until `stop`, and remembers what was acknowledged and when. */
function startWriting(pool) {
  const started = performance.now();
  const acknowledged = [];
  const ports = new Set();
  const losses = [];
  let isStopping = false;
  const write = async () => {
    while (!isStopping) {
      const id = randomUUID();
      ports.add(await place(pool, { id, item: 'tea' }, (error) => losses.push(error.outcome)));
      acknowledged.push({ id, at: performance.now() - started });
    }
  };
  const done = Promise.all(Array.from({ length: WRITERS }, write));
  return {
    acknowledged,
    ports,
    losses,
    now: () => performance.now() - started,
    stop() {
      isStopping = true;
      return done;
    },
  };
}

/** Acknowledged orders over time, a place for each slot, and marks below it. */
function drawTimeline(acknowledged, marks) {
  const last = Math.max(...acknowledged.map(({ at }) => at));
  const counts = new Array(Math.ceil((last + 1) / SLOT_MS)).fill(0);
  for (const { at } of acknowledged) counts[Math.floor(at / SLOT_MS)]++;
  const most = Math.max(...counts);
  const line = counts.map((count) => screen.level(count / most)).join('');
  screen.note(`${screen.paint('green', line)}`);
  for (const [at, text] of marks) {
    screen.note(`${' '.repeat(Math.floor(at / SLOT_MS))}${screen.paint('yellow', `↑ ${text}`)}`);
  }
  screen.note(
    screen.paint('dim', `acknowledged orders, a column for ${SLOT_MS} ms, highest: ${most}`),
  );
}

async function showFailover() {
  // Only here, because a server of DATABASE_URL needs no programs of PostgreSQL on this machine.
  const { startCluster } = require('../../test/support/cluster.js');
  const started = performance.now();
  const cluster = await startCluster();
  const pool = createPool(cluster.options({ poolSize: WRITERS, acquireTimeoutMs: 10_000 }));
  try {
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    const names = cluster.nodes.map(({ name }) => name).join(', ');
    screen.note(
      `Three nodes, ${names}; a commit waits for a standby (made in ${seconds} s). ${WRITERS} writers begin.`,
    );
    await pool.query(SCHEMA);
    const writing = startWriting(pool);
    await sleep(CALM_MS);
    const dead = cluster.primary;
    const killedAt = writing.now();
    await dead.kill();
    await cluster.promoteBest(dead);
    const promotedAt = writing.now();
    await sleep(CALM_MS);
    await writing.stop();
    drawTimeline(writing.acknowledged, [
      [killedAt, `${dead.name} is killed`],
      [promotedAt, `${cluster.primary.name} is promoted`],
    ]);
    await judge(pool, cluster, writing);
  } finally {
    await pool.end();
    await cluster.stop();
  }
}

/** What the new primary holds beside what was acknowledged. */
async function judge(pool, cluster, { acknowledged, losses, ports }) {
  const [{ found, held }] = await pool.query(
    `select count(*) filter (where id = any($1::uuid[]))::int as found, count(*)::int as held from orders`,
    [acknowledged.map(({ id }) => id)],
  );
  const unknown = losses.filter((outcome) => outcome === 'unknown').length;
  const pause = longestPause(acknowledged);
  screen.table(
    ['acknowledged', 'of these in the table', 'answers lost', 'sent again', 'longest silence'],
    [
      [
        screen.grouped(acknowledged.length),
        screen.paint('green', screen.grouped(found)),
        unknown,
        losses.length,
        `${Math.round(pause)} ms`,
      ],
    ],
    { right: [0, 1, 2, 3, 4] },
  );
  assert.strictEqual(found, acknowledged.length);
  assert.strictEqual(held, acknowledged.length);
  assert.ok(ports.has(String(cluster.primary.port)));
  screen.note('Nothing acknowledged is missing, nothing is there twice, no caller saw an error.');
}

/** @param {{ at: number }[]} acknowledged in order */
function longestPause(acknowledged) {
  return acknowledged.reduce(
    (longest, { at }, index) => Math.max(longest, at - (acknowledged[index - 1]?.at ?? at)),
    0,
  );
}

module.exports = { showFailover };
