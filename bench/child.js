// A peer's process: JSON lines from stdin are commands for its adapter, answered on stdout.
'use strict';

const readline = require('node:readline');
const { checksum } = require('./harness/canon.js');
const { drive, soak } = require('./harness/drive.js');
const { ops } = require('./workloads/ops.js');

const adapter = require(`./adapters/${process.argv[2]}.js`);

const ENCRYPTED = {
  name: 'encrypted',
  text: 'select ssl from pg_stat_ssl where pid = pg_backend_pid()',
};

/** What the operations see. */
let env;

const commands = {
  async open({ url, max, tls, size, statements, expected }) {
    const db = await adapter.open(url, { max, tls });
    const [{ ssl }] = await db.query(ENCRYPTED, []);
    if (ssl !== tls) throw new Error(`TLS: ${ssl}, asked for: ${tls}`);
    env = { db, size, statements, expected };
    return { way: db.bulkWay };
  },

  async run({ op, statement, concurrency, ms, delay }) {
    const { before, run, after } = ops[op];
    const here = { ...env, statement };
    if (before) await before(here);
    const result = await drive(run(here), { concurrency, ms, delay });
    if (after) await after(here, result.ops);
    return result;
  },

  async content({ op, statement }) {
    return { checksum: checksum(await ops[op].content({ ...env, statement })) };
  },

  async soak({ op, statement, concurrency, ops: count, every }) {
    return soak(ops[op].run({ ...env, statement }), { concurrency, ops: count, every });
  },

  async close() {
    await env?.db.close();
    return {};
  },
};

async function answer(message) {
  try {
    return await commands[message.cmd](message);
  } catch (error) {
    return { error: error.stack ?? String(error) };
  }
}

readline.createInterface({ input: process.stdin }).on('line', async (line) => {
  const message = JSON.parse(line);
  const reply = await answer(message);
  process.stdout.write(`${JSON.stringify(reply)}\n`, () => {
    if (message.cmd === 'close') process.exit(0);
  });
});
