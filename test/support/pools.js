// Pools of createPool on a database of the test file's own, and a second pair of eyes on its server.
'use strict';

const { after, before } = require('node:test');
const { Client } = require('pg');
const { createPool } = require('../../lib/index.js');
const { startProxy } = require('./proxy.js');
const { freshDatabase } = require('./shared.js');
const { waitFor } = require('./wait.js');

/**
 * Call it once, at the top of a test file.
 * @param {string} [setUp] SQL that makes what the tests need
 */
function testDatabase(setUp = '') {
  /** @type {Awaited<ReturnType<typeof freshDatabase>>} */
  let database;
  /** @type {import('pg').Client} */
  let observer;
  before(async () => {
    database = await freshDatabase();
    observer = new Client({ connectionString: database.url, application_name: 'observer' });
    await observer.connect();
    await observer.query(setUp);
  });
  after(async () => {
    await observer.end();
    await database.drop();
  });

  /** Runs a statement past the pools. @returns {Promise<any[]>} rows */
  const sql = async (text, values) => (await observer.query(text, values)).rows;

  /** How many connections there are to the database, apart from the observer's. */
  const connections = async () => {
    const [{ n }] = await sql(`select count(*)::int as n from pg_stat_activity
      where datname = current_database() and application_name <> 'observer'
        and backend_type = 'client backend'`);
    return n;
  };

  return {
    get url() {
      return database.url;
    },
    sql,
    connections,

    /** A pool that ends with the test. */
    openPool(t, options = {}) {
      const pool = createPool({ connectionString: database.url, ...options });
      t.after(() => pool.end());
      return pool;
    },

    /** A proxy in front of the server, closed with the test. */
    async openProxy(t) {
      const { hostname: host, port } = new URL(database.url);
      const proxy = await startProxy({ host, port: Number(port) });
      t.after(() => proxy.close());
      return proxy;
    },

    /**
     * Waits until statements that contain `text` are running, and resolves to the pids of their backends. `asleep`: until
     * they execute `pg_sleep`, because one counts as active from its Parse on, when nothing of it is bound yet.
     */
    running(text, count = 1, { asleep = false } = {}) {
      return waitFor(
        async () => {
          // Inside a transaction of the observer's, activity stays what it was when it looked first.
          await sql('select pg_stat_clear_snapshot()');
          const rows = await sql(
            `select pid from pg_stat_activity where datname = current_database()
               and state = 'active' and position($1 in query) > 0 and pid <> pg_backend_pid()
               and (wait_event is not distinct from 'PgSleep' or not $2)`,
            [text, asleep],
          );
          return rows.length === count && rows.map(({ pid }) => pid);
        },
        { what: `${count} statements with ${text}` },
      );
    },

    /** Waits until no statement that contains `text` is running. */
    idle(text) {
      return waitFor(
        async () => {
          await sql('select pg_stat_clear_snapshot()');
          const rows = await sql(
            `select pid from pg_stat_activity where datname = current_database()
               and state = 'active' and position($1 in query) > 0 and pid <> pg_backend_pid()`,
            [text],
          );
          return rows.length === 0;
        },
        { what: `the end of statements with ${text}` },
      );
    },

    /** Is there a backend of this pid? */
    isBackend: async (pid) =>
      (await sql('select from pg_stat_activity where pid = $1', [pid])).length === 1,

    /** Waits until nobody uses the pool any more. */
    released(pool) {
      return waitFor(() => pool.status().inUse === 0, { what: 'the return of all connections' });
    },
  };
}

module.exports = { testDatabase };
