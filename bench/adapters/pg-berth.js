// pg-berth's createPool, with the type preset that produces the values of `pg`.
'use strict';

/** @param {object} [options] of the pool, beside the usual ones */
function adapter(options) {
  const secured = (tls) => (tls ? { ...options, sslmode: 'require' } : options);
  return { open: (url, { max, tls }) => open(url, max, secured(tls)) };
}

async function open(url, max, options) {
  const { createPool } = require(process.env.PG_BERTH_PUBLISHED ?? '../..');
  const pool = createPool({ connectionString: url, poolSize: max, types: 'pg', ...options });

  return {
    query: (statement, values) => pool.query(statement.text, values),

    transaction: (work) =>
      pool.transaction((tx) => work((statement, values) => tx.query(statement.text, values))),

    async stream(statement, batchSize, consume) {
      let rows = [];
      for await (const row of pool.stream(statement.text, [], { batchSize })) {
        rows.push(row);
        if (rows.length === batchSize) {
          await consume(rows);
          rows = [];
        }
      }
      if (rows.length > 0) await consume(rows);
    },

    bulkWay: 'COPY by insertMany',
    async bulk(target, rows) {
      await pool.insertMany(target.table.split('.'), rows, { columns: target.columns });
    },

    close: () => pool.end(),
  };
}

module.exports = { ...adapter(), adapter };
