// connect-pg-simple: its table made by several statements in one text, sessions by callbacks.
'use strict';

const { promisify } = require('node:util');
const session = require('express-session');
const Store = require('connect-pg-simple')(session);

module.exports = async ({ pg, url, isInjected }) => {
  const pool = new pg.Pool({ connectionString: url });
  const store = new Store({
    ...(isInjected ? { pool } : { conString: url }),
    createTableIfMissing: true,
    pruneSessionInterval: false,
  });
  const [set, get, destroy] = ['set', 'get', 'destroy'].map((name) =>
    promisify(store[name]).bind(store),
  );
  await set('one', { cookie: { maxAge: 60_000 }, user: 'é' });
  const found = await get('one');
  await destroy('one');
  const gone = await get('one');
  await store.close();
  await pool.end();
  return { found, gone: gone === undefined };
};
