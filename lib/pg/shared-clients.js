// The clients that run queries of a pool, and who may travel behind them: when all are busy, queries that were quick
// when they ran last are sent ahead of the answers to others (native/src/pool/queue.rs has the same rules).
'use strict';

const { isPassing, isQuick } = require('../statements.js');
const { hasOwnQuery, runByClient } = require('./by-client.js');
const { describe } = require('./failures.js');
const { RUN, hostOf } = require('./for-pools.js');
const { DEFAULT_DEPTH } = require('./pool-options.js');
const { turnNow } = require('./pooled-query.js');
const { limitOf } = require('./settings.js');

/** @typedef {InstanceType<typeof import('./pooled-query.js').PooledQuery>} PooledQuery */

/**
 * A client in the hands of the pool's own queries.
 * @typedef {object} Use
 * @property {any} client
 * @property {(error: any, uses: number, isClean: boolean) => void} release
 * @property {boolean} isShared what runs on it is quick and leaves the session as it was
 * @property {boolean} isOpen further queries may join
 * @property {number} unanswered
 * @property {number} served queries so far
 * @property {number} since when the last answer came, or the first query went
 * @property {any} failure why the client cannot be used any more
 */

/** A client without progress for so long gets no further queries: something slow is in front. */
const STALLED_MS = 5;

class SharedClients {
  /** Those that others may join. @type {Use[]} */
  #open = [];
  #depth;
  #maxUses;
  #resets;
  #pool;

  /**
   * @param {{ pipelineDepth?: number, maxUses: number, resetQuery?: string }} options of the pool
   * @param {{
   *   joined: (client: any) => void, left: (client: any, failure: any) => void, serve: () => void,
   *   again: (query: PooledQuery) => boolean, running: () => void, answered: () => void, usesOf: (client: any) => number,
   * }} pool what becomes of its clients and waiters
   */
  constructor({ pipelineDepth = DEFAULT_DEPTH, maxUses, resetQuery }, pool) {
    this.#depth = pipelineDepth;
    this.#maxUses = maxUses;
    this.#resets = resetQuery !== undefined;
    this.#pool = pool;
  }

  /**
   * The pool has lent a client to a query.
   * @param {PooledQuery} query @param {any} client @param {any} release @param {number} [now]
   */
  begin(query, client, release, now = turnNow()) {
    if (hasOwnQuery(client)) {
      runByClient(client, query.text, query.values, (error, result) =>
        error ? query.reject(error) : query.resolve(result),
      );
      return;
    }
    const { text } = query.asked;
    const isShared = this.#mayShare(text) && !isLimited(query, client);
    /** @type {Use} */
    const use = {
      client,
      release,
      isShared,
      isOpen: isShared && this.#depth > 1,
      unanswered: 0,
      served: 0,
      since: now,
      failure: undefined,
    };
    if (use.isOpen) this.#open.push(use);
    this.#run(query, use);
  }

  /** May a query travel among others? What is removed behind it from the session must not be met by them. @param {string} text */
  #mayShare(text) {
    return isQuick(text) && (!this.#resets || isPassing(text));
  }

  /** @param {PooledQuery} query @param {Use} use */
  #run(query, use) {
    query.use = use;
    use.unanswered++;
    use.served++;
    if (use.isOpen && this.#maxUses !== Number.POSITIVE_INFINITY) this.#count(use);
    query.asked.isAhead = use.isShared;
    this.#pool.running();
    if (query.context === undefined) use.client[RUN](query);
    else query.context.runInAsyncScope(() => use.client[RUN](query));
  }

  /** Has it been used as often as it may be? @param {Use} use */
  #count(use) {
    if (this.#pool.usesOf(use.client) + use.served >= this.#maxUses) this.#close(use);
  }

  /** Sends a query behind others, if it may. @param {PooledQuery} query */
  join(query) {
    const open = this.#open;
    if (open.length === 0 || !this.#mayShare(query.asked.text)) return false;
    const now = turnNow();
    /** @type {Use | undefined} */
    let best;
    let fewest = this.#depth;
    for (const use of open) {
      if (use.unanswered < fewest && now - use.since < STALLED_MS) {
        best = use;
        fewest = use.unanswered;
      }
    }
    if (best === undefined || isLimited(query, best.client)) return false;
    clearTimeout(query.late);
    query.told?.(undefined, hostOf(best.client));
    this.#pool.joined(best.client);
    this.#run(query, best);
    return true;
  }

  /** A query was answered. @param {PooledQuery} query @returns {boolean} it runs again elsewhere */
  over(query) {
    const use = /** @type {Use} */ (query.use);
    const { reason } = query;
    this.#pool.answered();
    use.unanswered--;
    if (query.hasFailed && !isVerdict(reason)) {
      // What the server answered with leaves the connection as good as it was.
      use.failure ??= describe(reason);
      this.#close(use);
    }
    const moves = wasNotSent(query) && this.#pool.again(query);
    if (use.unanswered === 0) {
      this.#close(use);
      use.release(use.failure, use.served, use.isShared);
    } else {
      use.since = turnNow();
      this.#pool.left(use.client, use.failure);
    }
    this.#pool.serve();
    return moves;
  }

  /** Nothing joins a client any more. @param {any} client */
  retire(client) {
    for (const use of this.#open) if (use.client === client) this.#close(use);
  }

  /** @param {Use} use */
  #close(use) {
    if (!use.isOpen) return;
    use.isOpen = false;
    // Mostly the one that was opened last.
    if (this.#open.at(-1) === use) this.#open.pop();
    else this.#open.splice(this.#open.indexOf(use), 1);
  }
}

/** May it be cancelled? Then nothing travels with it. @param {PooledQuery} query @param {any} client */
function isLimited({ asked }, { connectionParameters }) {
  return limitOf(asked, connectionParameters.query_timeout) > 0;
}

/** Did the server answer, and stay? A result that cannot be read is an answer too. @param {any} reason */
function isVerdict(reason) {
  return (reason?.kind === 'server' && reason.severity === 'ERROR') || reason?.kind === 'result';
}

/** Its connection has ended before anything of it was sent. @param {PooledQuery} query */
function wasNotSent({ reason, hasMoved }) {
  return !hasMoved && reason?.kind === 'lost' && reason.outcome === 'not-sent';
}

module.exports = { SharedClients };
