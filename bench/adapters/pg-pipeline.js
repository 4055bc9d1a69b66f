// `pg` with `pipeline: true`: autocommit statements share a connection, else as in pg-named.
'use strict';

const { adapter } = require('./pg.js');

async function open(url, options) {
  const { Client } = require('pg');
  const pooled = await adapter({ named: true }).open(url, options);
  const ssl = options.tls ? { rejectUnauthorized: false } : undefined;
  const client = new Client({ connectionString: url, ssl, pipeline: true });
  await client.connect();
  return {
    ...pooled,
    async query({ name, text }, values) {
      return (await client.query({ name, text, values })).rows;
    },
    async close() {
      await client.end();
      await pooled.close();
    },
  };
}

module.exports = { open };
