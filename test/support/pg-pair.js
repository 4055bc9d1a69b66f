// Runs one case against `pg` and against this package in one process, and compares what a program sees.
'use strict';

const assert = require('node:assert/strict');
const { after, before } = require('node:test');
const { inspect, isDeepStrictEqual } = require('node:util');
const reference = require('pg');
const ours = require('../../lib/index.js');
const { freshDatabase } = require('./shared.js');
const { test } = require('./timed-test.js');

const SHOWN = { depth: 20, maxArrayLength: 1000, breakLength: 120 };

/** Fields of a server error. */
const ERROR_FIELDS = [
  'name',
  'severity',
  'code',
  'detail',
  'hint',
  'position',
  'where',
  'schema',
  'table',
  'column',
  'dataType',
  'constraint',
  'file',
  'routine',
];

/** What a program sees of a value: results and errors without what is private to a driver. */
function seen(value) {
  if (value instanceof Error) return seenError(value);
  if (value && typeof value === 'object' && Array.isArray(value.rows) && 'rowCount' in value) {
    const { command, rowCount, oid, rows, fields, rowAsArray } = value;
    return { command, rowCount, oid, rows: rows.map(seen), fields: fields.map(copy), rowAsArray };
  }
  if (Array.isArray(value)) return value.map(seen);
  if (value && Object.getPrototypeOf(value) === Object.prototype) {
    return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, seen(one)]));
  }
  if (value instanceof Date && Number.isNaN(value.getTime())) return 'invalid date';
  if (value?.constructor?.name === 'PostgresInterval') return { interval: { ...value } };
  return value;
}

/** Numbers of what the cases make differ from one run to the next. */
const oid = (number) => (number >= 16_384 ? 'made by the case' : number);

const copy = (field) => ({
  ...field,
  tableID: oid(field.tableID),
  dataTypeID: oid(field.dataTypeID),
});

function seenError(error) {
  const fields = ERROR_FIELDS.filter((name) => error[name] !== undefined && name !== 'name');
  const isServer = typeof error.severity === 'string';
  return {
    message: error.message,
    ...(isServer ? Object.fromEntries(fields.map((name) => [name, error[name]])) : {}),
  };
}

/** What a promise comes to. */
async function outcome(promise) {
  try {
    return { value: seen(await promise) };
  } catch (error) {
    return { error: seenError(error) };
  }
}

/**
 * @typedef {{
 *   name: string,
 *   run: (driver: any, context: { url: string, observer: any, connect: (config?: object) => Promise<any>, pool: (config?: object) => any }) => unknown,
 *   differs?: string, expect?: unknown,
 * }} Case `differs` is the reason of a deliberate difference, `expect` what comes of it here
 */

/**
 * Call it once, at the top of a test file.
 * @param {string} [setUp] SQL that makes what the cases find; it is made anew for each
 */
function pair(setUp = '') {
  let database;
  let observer;
  before(async () => {
    database = await freshDatabase();
    observer = new reference.Client(database.url);
    await observer.connect();
  });
  after(async () => {
    await observer.end();
    await database.drop();
  });

  /** One driver's side of a case. */
  async function side(driver, run) {
    if (setUp) {
      await observer.query(
        `set client_min_messages = error; drop schema public cascade; create schema public; ${setUp}`,
      );
    }
    const opened = [];
    const config = (more) => ({ connectionString: database.url, ...more });
    const context = {
      url: database.url,
      observer,
      connect: async (more) => {
        const client = new driver.Client(config(more));
        client.on('error', () => {});
        opened.push(client);
        await client.connect();
        return client;
      },
      pool: (more) => {
        const pool = new driver.Pool(config(more));
        pool.on('error', () => {});
        opened.push(pool);
        return pool;
      },
    };
    try {
      return await outcome((async () => run(driver, context))());
    } finally {
      for (const one of opened) await one.end().catch(() => {});
    }
  }

  /** @param {Case} one */
  function compare({ name, run, differs, expect }) {
    test(name + (differs ? ` (differs: ${differs})` : ''), async () => {
      const here = await side(ours, run);
      if (differs) {
        const there = await side(reference, run);
        assert.notDeepEqual(here, there, 'the difference is gone: compare this case instead');
        assert.deepEqual(here, expect);
        return;
      }
      const there = await side(reference, run);
      if (isDeepStrictEqual(here, there)) return;
      // By `inspect`: a reporter that prints both sides fails at invalid dates.
      assert.equal(inspect(here, SHOWN), inspect(there, SHOWN));
      assert.fail('the sides differ in what inspect does not show');
    });
  }

  /** @param {readonly Case[]} cases */
  const compareAll = (cases) => {
    for (const one of cases) compare(one);
  };
  return { compare, compareAll };
}

/** The same case with the classes of a package on both sides: programs bring their own. @param {string} name */
const withForeign =
  (name) =>
  /** @param {Case} one @returns {Case} */
  (one) => ({
    ...one,
    name: `with ${name}: ${one.name}`,
    run: (driver, context) =>
      one.run(Object.create(driver, { isForeign: { value: true } }), context),
  });

module.exports = { pair, seen, withForeign };
