// `postgres` (postgres.js), by template tag; it prepares every statement by itself.
'use strict';

const { tagged } = require('./tagged.js');

async function open(url, { max, tls }) {
  const postgres = require('postgres');
  const how = tls ? { ssl: { rejectUnauthorized: false } } : {};
  const sql = postgres(url, { max, idle_timeout: 0, max_lifetime: null, ...how });

  return {
    query: tagged(sql),
    transaction: (work) => sql.begin((tx) => work(tagged(tx))),

    async stream(statement, batchSize, consume) {
      await tagged(sql)(statement).cursor(batchSize, consume);
    },

    // Its COPY by writable() is no faster here: the server's answer waits for a delayed ACK.
    bulkWay: 'multi-row insert helper',
    async bulk(target, rows) {
      const objects = rows.map(([id, name, score, at]) => ({ id, name, score, at }));
      await sql`insert into ${sql(target.table)} ${sql(objects)}`;
    },

    close: () => sql.end(),
  };
}

module.exports = { open };
