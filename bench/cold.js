// Cold start: loads an adapter and nothing else, connects, reads one row, prints it.
'use strict';

const { writeSync } = require('node:fs');

const [, , peer, url] = process.argv;
const adapter = require(`./adapters/${peer}.js`);

async function main() {
  const db = await adapter.open(url, { max: 10 });
  const statement = { name: 'bench_cold', text: 'select id, name from bench.point where id = $1' };
  const [row] = await db.query(statement, [7]);
  // Straight to the descriptor: process.stdout would load streams and sockets, which only some clients have loaded anyway.
  writeSync(1, `${JSON.stringify(row)}\n`);
  await db.close();
}

main();
