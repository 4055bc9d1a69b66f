// A process of a fleet, to be frozen and thawed: opens a ServerlessClient and does what its parent asks, line by line.
'use strict';

const readline = require('node:readline');
const { ServerlessClient } = require('../../lib/index.js');

const counts = {};
const hooks = Object.fromEntries(
  ['onConnect', 'onClientDead', 'onHeartbeat', 'onHeartbeatFail'].map((name) => [
    name,
    () => {
      counts[name] = (counts[name] ?? 0) + 1;
    },
  ]),
);
const { library, ...options } = JSON.parse(process.argv[2]);
const client = new ServerlessClient({
  ...options,
  ...(library && { library: require(library) }),
  hooks: {
    ...hooks,
    onReap: ({ killed }) => {
      counts.killed = (counts.killed ?? 0) + killed;
    },
  },
});
process.on('unhandledRejection', (error) => {
  console.error(error);
  process.exit(9);
});

/** @param {{ id: number, text?: string, block?: number }} line */
async function serve({ id, text, block }) {
  if (block !== undefined) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, block);
  const answer = { id, counts, clock: Date.now() };
  try {
    if (text !== undefined) answer.rows = (await client.query(text)).rows;
  } catch ({ name, code, message, outcomeUnknown }) {
    answer.error = { name, code, message, outcomeUnknown };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}

readline.createInterface({ input: process.stdin }).on('line', (line) => serve(JSON.parse(line)));
process.stdin.on('end', () => client.end());
