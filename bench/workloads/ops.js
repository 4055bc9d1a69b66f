// The operations: for each how to run it once, what must hold after a round, and what to checksum.
'use strict';

const { writes } = require('./writes.js');

/** What cannot be right ends the run, however fast it was. */
class WrongContent extends Error {
  constructor(what) {
    super(`wrong content: ${what}`);
    this.name = 'WrongContent';
  }
}

/** Spreads keys over the table without a random source: the step is coprime to the sizes. */
const key = (i, size) => ((i * 7_919) % size) + 1;

const point = {
  run: ({ db, statements, size }) => {
    return async (i) => {
      const id = key(i, size.points);
      const rows = await db.query(statements.point, [id]);
      if (rows.length !== 1 || rows[0].id !== id) throw new WrongContent(`point select of ${id}`);
    };
  },
  async content({ db, statements, size }) {
    const found = [];
    for (let id = 1; id <= 200; id++) {
      found.push(...(await db.query(statements.point, [key(id, size.points)])));
    }
    return found;
  },
};

const one = {
  run: ({ db, statements }) => {
    return async () => {
      const rows = await db.query(statements.select1);
      if (rows[0].one !== 1) throw new WrongContent('select 1');
    };
  },
  content: ({ db, statements }) => db.query(statements.select1),
};

const rows = {
  run: ({ db, statements, statement, expected }) => {
    const { [statement]: count } = expected;
    return async () => {
      const found = await db.query(statements[statement]);
      if (found.length !== count) throw new WrongContent(`${found.length} of ${count} rows`);
    };
  },
  content: ({ db, statements, statement }) => db.query(statements[statement]),
};

const bytea = {
  run: ({ db, statements, size }) => {
    const sent = payload(size.bytes);
    return async () => {
      const [{ bytes }] = await db.query(statements.echo, [sent]);
      if (bytes.length !== sent.length || bytes[4_711] !== sent[4_711]) {
        throw new WrongContent('bytea');
      }
    };
  },
  content: ({ db, statements, size }) => db.query(statements.echo, [payload(size.bytes)]),
};

/** bench/limit builds the same bytes. */
function payload(length) {
  const bytes = Buffer.allocUnsafe(length);
  for (let i = 0; i < length; i++) bytes[i] = (i * 31 + (i >>> 8)) & 255;
  return bytes;
}

const stream = {
  run: (env) => async () => {
    const { count } = await drain(env, 2);
    if (count !== env.expected.stream) throw new WrongContent(`${count} rows streamed`);
  },
  content: async (env) => [await drain(env, 0)],
};

/** Reads the whole stream in batches of 1 000 rows, resting after each. */
async function drain({ db, statements }, restMs) {
  let count = 0;
  let total = 0;
  let notes = 0;
  await db.stream(statements.stream, 1_000, async (batch) => {
    for (const row of batch) {
      count += 1;
      total += row.id;
      notes += row.note.length;
    }
    if (restMs > 0) await new Promise((resolve) => setTimeout(resolve, restMs));
  });
  return { count, total, notes };
}

module.exports = {
  ops: { point, one, rows, bytea, stream, ...writes(WrongContent) },
  WrongContent,
};
