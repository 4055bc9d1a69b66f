// A function of the demo in a process of its own, so that it can be frozen: answers one line for each line it gets.
'use strict';

const readline = require('node:readline');
const { ServerlessClient } = require('../..');

const db = new ServerlessClient({
  ...JSON.parse(process.argv[2]),
  secret: process.env.DEMO_SECRET,
});

/** What a platform calls for each event. */
async function handler({ note }) {
  const { rows } = await db.query('select pg_backend_pid() as pid, $1::text as note', [note]);
  return rows[0];
}

readline.createInterface({ input: process.stdin }).on('line', async (line) => {
  const { id, ...event } = JSON.parse(line);
  const answer = await handler(event).catch(({ message }) => ({ error: message }));
  process.stdout.write(`${JSON.stringify({ id, ...answer })}\n`);
});
process.stdin.on('end', () => db.end());
