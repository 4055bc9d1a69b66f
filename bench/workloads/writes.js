// The operations that write; after each round the server must hold exactly what was sent.
'use strict';

const { ACCOUNTS } = require('./data.js');

const EPOCH = Date.UTC(2025, 0, 1);

/** The i-th row of an insert, free of what COPY would escape. bench/limit has the same. */
const row = (i) => [i, `inserted ${i}`, i * 0.5, new Date(EPOCH + i * 1_001)];

function* copyText(rows) {
  // COPY's readers want pieces of some size, not one line at a time
  for (let start = 0; start < rows.length; start += 500) {
    let text = '';
    for (const [id, name, score, at] of rows.slice(start, start + 500)) {
      text += `${id}\t${name}\t${score}\t${at.toISOString()}\n`;
    }
    yield text;
  }
}

/** What an adapter's bulk() may choose from. */
function bulkTarget(statements) {
  return {
    table: /into (\S+)/.exec(statements.insert.text)[1],
    columns: /\(([^)]*)\)/.exec(statements.insert.text)[1].split(/,\s*/),
    copy: statements.copy.text,
    unnest: statements.unnest.text,
    copyText,
  };
}

/** @param {new (what: string) => Error} WrongContent */
function writes(WrongContent) {
  async function expectStored({ db, statements }, count, total) {
    const [found] = await db.query(statements.stored);
    if (found.count !== String(count) || found.total !== String(total)) {
      throw new WrongContent(
        `${found.count} rows stored of ${count}, sum ${found.total} of ${total}`,
      );
    }
  }

  const insert = {
    before: ({ db, statements }) => db.query(statements.empty),
    run: ({ db, statements }) => {
      return async (i) => {
        await db.query(statements.insert, row(i));
      };
    },
    after: (env, count) => expectStored(env, count, (count * (count - 1)) / 2),
    async content({ db, statements }) {
      await db.query(statements.empty);
      for (let i = 0; i < 100; i++) await db.query(statements.insert, row(i));
      return db.query(statements.first);
    },
  };

  const bulk = {
    before: ({ db, statements }) => db.query(statements.empty),
    run: ({ db, statements, size }) => {
      const target = bulkTarget(statements);
      const list = Array.from({ length: size.bulk }, (_, i) => row(i));
      return () => db.bulk(target, list);
    },
    after: (env, count) => {
      const each = env.size.bulk;
      return expectStored(env, count * each, (count * each * (each - 1)) / 2);
    },
    async content(env) {
      await env.db.query(env.statements.empty);
      await bulk.run(env)();
      return env.db.query(env.statements.first);
    },
  };

  let balanceBefore = 0;
  const total = async ({ db, statements }) =>
    Number((await db.query(statements.balances))[0].total);

  const tx = {
    async before(env) {
      balanceBefore = await total(env);
    },
    run: ({ db, statements }) => {
      return async (i) => {
        const id = i % ACCOUNTS;
        await db.transaction(async (query) => {
          await query(statements.update, [id]);
          const rows = await query(statements.balance, [id]);
          if (!(Number(rows[0].balance) > 0)) throw new WrongContent('balance');
        });
      };
    },
    async after(env, count) {
      const grown = (await total(env)) - balanceBefore;
      if (grown !== count) throw new WrongContent(`${grown} updates stored of ${count}`);
    },
    // A balance depends on how much was run; that a rollback undoes does not.
    async content(env) {
      const before = await total(env);
      const gone = env.db.transaction(async (query) => {
        await query(env.statements.update, [1]);
        throw new Error('undo');
      });
      const outcome = await gone.then(String, (error) => error.message);
      return [{ outcome, grown: (await total(env)) - before }];
    },
  };

  return { insert, bulk, tx };
}

module.exports = { writes };
