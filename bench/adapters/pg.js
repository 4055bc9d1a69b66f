// The reference family: `pg` with plain statements; pg-named, pg-pipeline and pg-berth's pg face are built from it.
'use strict';

/**
 * @param {{ named: boolean, load?: () => any, loadCursor?: () => any }} way named: statements carry a name, the server
 *   keeps them
 */
function adapter({ named, load = () => require('pg'), loadCursor = () => require('pg-cursor') }) {
  const shape = (statement, values) =>
    named
      ? { name: statement.name, text: statement.text, values }
      : { text: statement.text, values };

  async function open(url, { max, tls }) {
    const { Pool } = load();
    const ssl = tls ? { rejectUnauthorized: false } : undefined;
    const pool = new Pool({ connectionString: url, max, ssl, idleTimeoutMillis: 0 });
    const query = async (statement, values) => (await pool.query(shape(statement, values))).rows;

    return {
      query,

      async transaction(work) {
        const client = await pool.connect();
        try {
          await client.query('BEGIN');
          await work(async (statement, values) => {
            return (await client.query(shape(statement, values))).rows;
          });
          await client.query('COMMIT');
          client.release();
        } catch (error) {
          client.release(error);
          throw error;
        }
      },

      async stream(statement, batchSize, consume) {
        const Cursor = loadCursor();
        const client = await pool.connect();
        const cursor = client.query(new Cursor(statement.text, []));
        for (;;) {
          const rows = await cursor.read(batchSize);
          if (rows.length === 0) break;
          await consume(rows);
        }
        await cursor.close();
        client.release();
      },

      bulkWay: named ? 'COPY by pg-copy-streams' : 'unnest',
      async bulk(target, rows) {
        if (named) return copyIn(pool, target, rows);
        const columns = [[], [], [], []];
        for (const row of rows) for (let c = 0; c < 4; c++) columns[c].push(row[c]);
        await pool.query(target.unnest, columns);
      },

      close: () => pool.end(),
    };
  }

  return { open };
}

/** COPY in text format; the rows of the benchmark need no escapes, which `target.rows` promises. */
async function copyIn(pool, target, rows) {
  const { pipeline } = require('node:stream/promises');
  const { Readable } = require('node:stream');
  const copy = require('pg-copy-streams');
  const client = await pool.connect();
  try {
    await pipeline(Readable.from(target.copyText(rows)), client.query(copy.from(target.copy)));
  } finally {
    client.release();
  }
}

module.exports = { ...adapter({ named: false }), adapter };
