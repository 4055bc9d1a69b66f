// A worker with a leased client of its own: the latency of its point selects, measured when it is asked to.
'use strict';

const { parentPort, workerData } = require('node:worker_threads');
const { ServerlessClient } = require('../lib/index.js');
const { median } = require('./harness/paired.js');

const client = new ServerlessClient(workerData);

/** Median milliseconds of a point select, over so many milliseconds. */
async function latency(ms) {
  const until = performance.now() + ms;
  const took = [];
  while (performance.now() < until) {
    const began = performance.now();
    const { rows } = await client.query('select relname from pg_class where oid = $1', [1259]);
    if (rows[0].relname !== 'pg_class') throw new Error('a wrong answer');
    took.push(performance.now() - began);
  }
  return median(took);
}

parentPort.on('message', async ({ ms }) => {
  if (ms === 0) {
    await client.end();
    parentPort.close();
    return;
  }
  // Said before it begins, because the other thread is about to be blocked.
  parentPort.postMessage({ began: true });
  parentPort.postMessage({ latency: await latency(ms) });
});
