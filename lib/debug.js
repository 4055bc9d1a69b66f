// pg-berth/debug: withDebug, which logs and times what a Kysely instance runs.
'use strict';

const { callHook } = require('./hooks.js');
const { inRange, logger, notBelowZero, number } = require('./infra-options.js');
const { loggerOf } = require('./infra-logger.js');
const { callback, flag, readOptions } = require('./option-rules.js');
const { SampleRing } = require('./sample-ring.js');

/** @import { QueryMetrics } from '../types/health.js' */

const DEBUG_OPTIONS = Object.freeze({
  logQuery: flag,
  logParams: flag,
  captureParams: flag,
  slowQueryThreshold: number,
  onSlowQuery: callback,
  logger,
  maxMetrics: number,
});

/** Larger parameters are kept as a note of their size; in bytes. */
const LARGEST_PARAMETER = 1024;

/** What gives a new instance, or a new executor, with the same driver. */
const DERIVING = {
  instance: [
    ...['withPlugin', 'withoutPlugins', 'withSchema', 'withTables'],
    // From Kysely 0.29 on.
    ...['$extendTables', '$omitTables', '$pickTables'],
  ],
  executor: [
    'withConnectionProvider',
    'withPlugin',
    'withPlugins',
    'withPluginAtFront',
    'withoutPlugins',
  ],
};

/** @typedef {{ sql: string, parameters: readonly unknown[] }} Text */

/** Times statements, keeps the samples and writes the log. */
class Recorder {
  /** @type {InstanceType<typeof SampleRing<QueryMetrics>>} */
  #samples;
  #options;
  #logger;
  #threshold;

  /** @param {unknown} given */
  constructor(given) {
    const read = readOptions(DEBUG_OPTIONS, given);
    const isCount = (/** @type {number} */ value) => Number.isInteger(value) && value >= 1;
    const { maxMetrics = 1000, slowQueryThreshold = 100 } = read;
    this.#samples = new SampleRing(
      inRange('maxMetrics', maxMetrics, isCount, 'a whole number of at least 1'),
    );
    this.#threshold = notBelowZero('slowQueryThreshold', slowQueryThreshold);
    this.#options = read;
    this.#logger = loggerOf(read.logger);
  }

  /**
   * Begins a statement; call what it returns when the statement has ended.
   * @param {Text} text
   */
  begin({ sql, parameters }) {
    const start = performance.now();
    return (/** @type {boolean} */ failed) => {
      const duration = performance.now() - start;
      const params = this.#options.captureParams === false ? [] : parameters.map(briefly);
      const sample = { sql, params, duration, timestamp: Date.now() };
      this.#samples.push(failed ? { ...sample, failed } : sample);
      this.#report(sample);
    };
  }

  /** @param {QueryMetrics} sample */
  #report({ sql, params, duration }) {
    const { logQuery = true, logParams = false, onSlowQuery } = this.#options;
    const time = `${duration.toFixed(2)}ms`;
    if (logQuery) {
      this.#logger.debug(logParams ? `[SQL] ${sql} ${jsonOf(params)}` : `[SQL] ${sql}`);
      this.#logger.debug(`[Duration] ${time}`);
    }
    if (duration <= this.#threshold) return;
    if (onSlowQuery) callHook(onSlowQuery, [sql, duration]);
    else this.#logger.warn(`[SLOW QUERY] ${sql} (${time})`);
  }

  samples() {
    return this.#samples.toArray();
  }

  clear() {
    this.#samples.clear();
  }
}

/** @param {any} value a parameter */
function briefly(value) {
  if (leftBy(LARGEST_PARAMETER, value) >= 0) return value;
  if (typeof value === 'string') return `[string of ${value.length} characters]`;
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  if (Array.isArray(value)) return `[array of ${value.length} elements]`;
  return `[object of more than ${LARGEST_PARAMETER} bytes]`;
}

/**
 * What is left of the bytes when the value has taken its own, below 0 if they are too few. It looks at no more than fits, so a
 * large value costs no more than a small one, and a loop ends.
 * @param {number} left @param {any} value
 * @returns {number}
 */
function leftBy(left, value) {
  if (typeof value === 'string') return leftByText(left, value);
  if (typeof value !== 'object' || value === null) return left - 1;
  if (ArrayBuffer.isView(value)) return left - value.byteLength;
  if (Array.isArray(value) && value.length > left) return -1;
  let rest = left - 1;
  try {
    for (const name in value) {
      if (rest < 0) break;
      if (!Array.isArray(value)) rest = leftByText(rest, name);
      if (rest >= 0) rest = leftBy(rest, value[name]);
    }
  } catch {
    // A getter of the program's that throws: nobody knows how large it is.
    return -1;
  }
  return rest;
}

/** @param {number} left @param {string} text */
function leftByText(left, text) {
  let rest = left - text.length;
  for (let at = 0; at < text.length && rest >= 0; at++) {
    const unit = text.charCodeAt(at);
    // As UTF-8: the halves of a pair have four bytes together.
    if (unit > 0x7f) rest -= unit > 0x7ff && (unit < 0xd800 || unit > 0xdfff) ? 2 : 1;
  }
  return rest;
}

/** @param {unknown} value */
function jsonOf(value) {
  try {
    return JSON.stringify(value, (_, part) => (typeof part === 'bigint' ? String(part) : part));
  } catch {
    return '[parameters that are no JSON]';
  }
}

/** Passive, unless there is no executor to watch: then statements are timed from here to their result. */
class DebugPlugin {
  isActive = true;
  #recorder;
  /** @type {WeakMap<object, (failed: boolean) => void>} */
  #running = new WeakMap();

  /** @param {Recorder} recorder */
  constructor(recorder) {
    this.#recorder = recorder;
  }

  /** @param {{ node: any, queryId: object }} args */
  transformQuery({ node, queryId }) {
    if (this.isActive && typeof queryId === 'object' && queryId !== null) {
      this.#running.set(queryId, this.#recorder.begin({ sql: textOf(node), parameters: [] }));
    }
    return node;
  }

  /** @param {{ result: any, queryId: object }} args */
  async transformResult({ result, queryId }) {
    this.#running.get(queryId)?.(false);
    this.#running.delete(queryId);
    return result;
  }
}

/** What can be said of a query that nobody compiled. @param {any} node */
function textOf(node) {
  if (Array.isArray(node?.sqlFragments)) return node.sqlFragments.join('?');
  return String(node?.kind ?? 'unknown query');
}

/**
 * Makes an executor, and those it derives, tell the recorder. A transaction's executor calls one of these, so that each
 * statement passes here once.
 * @param {any} executor @param {Recorder} recorder
 */
function watch(executor, recorder) {
  const { executeQuery, stream } = executor;
  replace(executor, 'executeQuery', async (/** @type {Text} */ compiled, ...rest) => {
    const end = recorder.begin(compiled);
    let failed = true;
    try {
      const result = await executeQuery.call(executor, compiled, ...rest);
      failed = false;
      return result;
    } finally {
      end(failed);
    }
  });
  replace(executor, 'stream', async function* (/** @type {Text} */ compiled, ...rest) {
    const end = recorder.begin(compiled);
    let failed = false;
    try {
      yield* stream.call(executor, compiled, ...rest);
    } catch (error) {
      failed = true;
      throw error;
    } finally {
      end(failed);
    }
  });
  for (const name of DERIVING.executor) {
    const derive = executor[name];
    if (typeof derive !== 'function') continue;
    replace(executor, name, (...args) => watch(derive.apply(executor, args), recorder));
  }
  return executor;
}

/**
 * Gives an instance, and those derived from it, the methods that read the samples.
 * @param {any} db @param {Recorder} recorder @param {boolean} isWatched
 */
function equip(db, recorder, isWatched) {
  db.getMetrics = () => recorder.samples();
  db.clearMetrics = () => recorder.clear();
  if (!isWatched) return db;
  for (const name of DERIVING.instance) {
    const derive = db[name];
    if (typeof derive !== 'function') continue;
    replace(db, name, (...args) => equip(derive.apply(db, args), recorder, true));
  }
  return db;
}

/** @param {object} target @param {string} name @param {(...args: any[]) => unknown} method */
function replace(target, name, method) {
  Object.defineProperty(target, name, { value: method, writable: true, configurable: true });
}

/**
 * @param {any} db
 * @param {import('../types/debug.js').DebugOptions} [options]
 */
function withDebug(db, options) {
  const recorder = new Recorder(options);
  const plugin = new DebugPlugin(recorder);
  const debugDb = db.withPlugin(plugin);
  const isWatched = typeof debugDb.getExecutor === 'function';
  if (isWatched) {
    plugin.isActive = false;
    watch(debugDb.getExecutor(), recorder);
  }
  return equip(debugDb, recorder, isWatched);
}

module.exports = { withDebug };
