// transaction(fn): begins, commits, runs again what certainly left nothing behind, and resolves a COMMIT in doubt.
'use strict';

const { setTimeout: sleep } = require('node:timers/promises');
const { TransactionRolledBackError } = require('../errors.js');
const { count, flag, oneOf, readOptions } = require('../option-rules.js');
const { Budget } = require('./retry.js');

/** @import { ServerlessClient, ServerlessTransaction } from '../../types/serverless.js' */
/** @typedef {{ retries: number, minBackoff: number, maxBackoff: number, maxQueryRetryTimeMs: number }} RetryOptions */

const OPTIONS = Object.freeze({
  retries: count,
  isolation: oneOf('read-committed', 'repeatable-read', 'serializable'),
  readOnly: flag,
});

/** Serialization failure and deadlock: the server rolled back and asks for another try. */
const CONFLICTS = new Set(['40001', '40P01']);

/** How long to wait before a transaction that is still in progress is looked at again. */
const POLL_MS = 50;

/** Beside the id what tells whether it still means the same: a restart may hand it out again (measured). */
const SERVER = `(select system_identifier from pg_catalog.pg_control_system())::text as system,
  pg_catalog.pg_postmaster_start_time()::text as started,
  pg_catalog.left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 8) as timeline`;

/** Names of version 13 and those before it. */
const ID = { true: 'pg_current_xact_id_if_assigned', false: 'txid_current_if_assigned' };
const STATUS = {
  true: 'pg_xact_status($1::text::xid8)',
  false: 'txid_status($1::text::bigint)',
};

/** @typedef {{ id: string | null, system: string, started: string, timeline: string }} Mark */

/** @param {Record<string, any>} read */
function beginText({ isolation, readOnly }) {
  const level = isolation ? ` ISOLATION LEVEL ${isolation.replace('-', ' ').toUpperCase()}` : '';
  return `BEGIN${level}${readOnly ? ' READ ONLY' : ''}`;
}

/**
 * The id of the present transaction, and the server it belongs to; null: nothing was written.
 * @param {ServerlessClient} client
 * @returns {Promise<Mark>}
 */
async function markOf(client) {
  const isNew = await isModern(client);
  const { rows } = await client.query(`select pg_catalog.${ID[isNew]}()::text as id, ${SERVER}`);
  return /** @type {Mark} */ (rows[0]);
}

/** Does the server know the names of version 13? @param {ServerlessClient} client @returns {Promise<'true' | 'false'>} */
async function isModern(client) {
  const { rows } = await client.query(
    `select pg_catalog.current_setting('server_version_num')::int >= 130000 as modern`,
  );
  return rows[0]?.modern ? 'true' : 'false';
}

/**
 * What became of a COMMIT without an answer. Only the same server, not restarted since, can tell.
 * @param {ServerlessClient} client @param {Mark} mark @param {InstanceType<typeof Budget>} budget
 * @returns {Promise<'committed' | 'aborted' | 'unknown'>}
 */
async function resolve(client, mark, budget) {
  for (;;) {
    /** @type {{ status: string | null, system: string, started: string, timeline: string } | undefined} */
    let seen;
    try {
      const isNew = await isModern(client);
      const { rows } = await client.query({
        text: `select pg_catalog.${STATUS[isNew]} as status, ${SERVER}`,
        values: [mark.id],
        idempotent: true,
      });
      seen = /** @type {any} */ (rows[0]);
    } catch (error) {
      // 22023: an id of the future, so this one was never written down.
      if (/** @type {any} */ (error).code === '22023') return 'aborted';
    }
    if (seen !== undefined) {
      const isSame =
        seen.system === mark.system &&
        seen.started === mark.started &&
        seen.timeline === mark.timeline;
      if (!isSame || seen.status === null) return 'unknown';
      if (seen.status === 'committed' || seen.status === 'aborted') return seen.status;
    }
    if (budget.leftMs <= POLL_MS) return 'unknown';
    await sleep(POLL_MS);
  }
}

/** Did it certainly leave nothing behind, and may another try help? @param {any} error */
function mayRunAgain(error) {
  return (
    CONFLICTS.has(error?.code) || error?.transactionLost === true || error?.safeToRetry === true
  );
}

/**
 * One try.
 * @param {ServerlessClient} client @param {string} begin @param {(tx: ServerlessTransaction) => any} fn
 * @param {boolean} isReadOnly @param {InstanceType<typeof Budget>} budget
 * @returns {Promise<{ value: any } | { again: any }>} `again`: why it left nothing behind and may run again
 */
async function attempt(client, begin, fn, isReadOnly, budget) {
  try {
    await client.query(begin);
  } catch (error) {
    const { outcomeUnknown, transactionLost } = /** @type {any} */ (error);
    if (!outcomeUnknown && !transactionLost) throw error;
    // A BEGIN without an answer has written nothing; the client forgets it with this.
    await client.query('ROLLBACK').catch(() => {});
    return { again: error };
  }
  /** @type {any} */
  let value;
  /** @type {Mark | undefined} */
  let mark;
  try {
    value = await fn({
      query: (/** @type {any[]} */ ...args) => /** @type {any} */ (client).query(...args),
    });
    if (!isReadOnly) mark = await markOf(client);
  } catch (error) {
    // Whatever the rollback says, the caller wants to know why it was needed.
    await client.query('ROLLBACK').catch(() => {});
    throw error;
  }
  try {
    const { command } = await client.query('COMMIT');
    if (command === 'ROLLBACK') {
      throw new TransactionRolledBackError(
        'COMMIT was answered with ROLLBACK: a statement had failed',
        {
          outcome: 'failed',
        },
      );
    }
  } catch (error) {
    const { outcomeUnknown } = /** @type {{ outcomeUnknown?: boolean }} */ (error);
    if (!outcomeUnknown) throw error;
    // Without an id nothing was written, so there is nothing in doubt.
    const isEmpty = isReadOnly || mark?.id === null || mark === undefined;
    const outcome = isEmpty
      ? 'committed'
      : await resolve(client, /** @type {Mark} */ (mark), budget);
    if (outcome === 'unknown') throw error;
    if (outcome === 'aborted') {
      const details = { outcome: /** @type {const} */ ('failed'), transient: true, cause: error };
      const message = 'the COMMIT was lost, and the server has rolled back';
      return { again: new TransactionRolledBackError(message, details) };
    }
  }
  return { value };
}

/** Transactions of one client follow one another. @type {WeakMap<object, Promise<unknown>>} */
const running = new WeakMap();

/**
 * @param {ServerlessClient} client @param {(tx: ServerlessTransaction) => any} fn
 * @param {object | undefined} given @param {RetryOptions} retry
 */
async function runTransaction(client, fn, given, retry) {
  if (typeof fn !== 'function') throw new TypeError(`fn must be a function, got ${typeof fn}`);
  const read = readOptions(OPTIONS, given);
  const before = running.get(client);
  const own = (async () => {
    // How the one before ended is its caller's business.
    await before?.catch(() => {});
    return repeat(client, fn, read, retry);
  })();
  running.set(client, own);
  return own;
}

/**
 * @param {ServerlessClient} client @param {(tx: ServerlessTransaction) => any} fn
 * @param {Record<string, any>} read @param {RetryOptions} retry
 */
async function repeat(client, fn, read, retry) {
  const budget = new Budget(
    { ...retry, retries: read.retries ?? retry.retries },
    retry.maxQueryRetryTimeMs,
  );
  for (;;) {
    budget.countSend();
    /** @type {any} */
    let failure;
    try {
      const result = await attempt(client, beginText(read), fn, read.readOnly === true, budget);
      if ('value' in result) return result.value;
      failure = result.again;
    } catch (error) {
      if (!mayRunAgain(error)) throw error;
      failure = error;
    }
    if (!budget.allows('sends')) throw failure;
    await sleep(budget.delay());
  }
}

module.exports = { runTransaction };
