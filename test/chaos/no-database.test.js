// A pool without any database: deadlines are kept, attempts stay few, traffic resumes, nothing grows (CP-23).
'use strict';

const assert = require('node:assert/strict');
const { setTimeout: sleep } = require('node:timers/promises');
const { createPool } = require('../../lib/index.js');
const { figures, percentile } = require('../support/chaos.js');
const { failureOf } = require('../support/script-replies.js');
const { startNode } = require('../support/scripted-nodes.js');
const { startProxy } = require('../support/proxy.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');
require('../support/stray-errors.js');

/** `npm run test:chaos` asks for 20 longer ones. */
const OUTAGES = Number(process.env.PG_BERTH_OUTAGES ?? 3);
const OUTAGE_MS = Number(process.env.PG_BERTH_OUTAGE_MS ?? 1500);
const CALLERS = 500;
const ACQUIRE_MS = 400;

test(
  `CP-23: ${OUTAGES} outages with ${CALLERS} callers waiting all the time`,
  async (t) => {
    const nodes = await Promise.all(['standby', 'primary'].map((part) => startNode(part, part)));
    const addresses = nodes.map(({ host }) => new URL(`tcp://${host}`));
    const proxies = await Promise.all(
      addresses.map(({ hostname, port }) => startProxy({ host: hostname, port: Number(port) })),
    );
    const pool = createPool({
      hosts: proxies.map(({ host, port }) => `${host}:${port}`),
      user: 'u',
      database: 'd',
      sslmode: 'disable',
      acquireTimeoutMs: ACQUIRE_MS,
      poolSize: 10,
    });
    t.after(async () => {
      await pool.end({ timeoutMs: 200 });
      await Promise.all(proxies.map((proxy) => proxy.close()));
      await Promise.all(nodes.map((node) => node.close()));
    });
    const waits = [];
    const resumed = [];
    const perSecond = [];
    const heap = [];
    /** @type {Error[]} */
    const wrong = [];
    for (let outage = 0; outage < OUTAGES; outage++) {
      await pool.query('select name');
      for (const proxy of proxies) proxy.refuse();
      await Promise.all(proxies.map((proxy) => proxy.cutAll()));
      await waitFor(() => pool.status().size === 0, { what: 'the loss of all connections' });
      const refused = () => proxies.reduce((sum, proxy) => sum + proxy.counts.refused, 0);
      const [before, began] = [refused(), performance.now()];
      const call = async () => {
        while (performance.now() - began < OUTAGE_MS) {
          const asked = performance.now();
          const error = await failureOf(pool.query('select name'));
          waits.push(performance.now() - asked);
          // Looking closer at each would hold up those who hear of it behind this one.
          if (error.name !== 'NoPrimaryError' || !error.safeToRetry) wrong.push(error);
        }
      };
      await Promise.all(Array.from({ length: CALLERS }, call));
      perSecond.push((refused() - before) / ((performance.now() - began) / 1000));
      const { size, waiting } = pool.status();
      assert.deepEqual([size, waiting], [0, 0]);
      for (const proxy of proxies) proxy.heal();
      const healed = performance.now();
      await waitFor(() => pool.query('select name').catch(() => undefined), { what: 'traffic' });
      resumed.push(performance.now() - healed);
      await waitFor(() => proxies.every((proxy) => proxy.open <= 10), { what: 'few sockets' });
      heap.push(process.memoryUsage().rss / 2 ** 20);
      await sleep(0);
    }
    t.diagnostic(figures(`deadlines of ${ACQUIRE_MS} ms, kept after`, waits));
    t.diagnostic(figures('traffic resumed after', resumed));
    t.diagnostic(`attempts per second: ${perSecond.map(Math.round)}; MiB: ${heap.map(Math.round)}`);
    assert.deepEqual(wrong, []);
    assert.ok(percentile(waits, 0) >= ACQUIRE_MS - 1);
    // One search for all: two nodes, a pause of at least 75 ms each.
    assert.ok(Math.max(...perSecond) < 2 * 14, String(perSecond));
  },
  OUTAGES * (OUTAGE_MS + 20_000),
);
