// Bun's SQL, by template tag. Runs under Bun only.
'use strict';

const { tagged } = require('./tagged.js');

async function open(url, { max, tls }) {
  const { SQL } = require('bun');
  const how = tls ? { tls: { rejectUnauthorized: false } } : {};
  const sql = new SQL(url, { max, idleTimeout: 0, maxLifetime: 0, ...how });

  return {
    query: tagged(sql),
    transaction: (work) => sql.begin((tx) => work(tagged(tx))),

    // It has no cursor of its own, so the server's is used.
    async stream(statement, batchSize, consume) {
      await sql.begin(async (tx) => {
        await tx.unsafe(`declare bench_cursor no scroll cursor for ${statement.text}`);
        for (;;) {
          const rows = await tx.unsafe(`fetch ${batchSize} from bench_cursor`);
          if (rows.length === 0) break;
          await consume(rows);
        }
      });
    },

    bulkWay: 'multi-row insert helper',
    async bulk(target, rows) {
      const objects = rows.map(([id, name, score, at]) => ({ id, name, score, at }));
      await sql`insert into ${sql.unsafe(target.table)} ${sql(objects)}`;
    },

    close: () => sql.end(),
  };
}

module.exports = { open };
