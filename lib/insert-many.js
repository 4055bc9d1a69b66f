// Bulk insert: rows of values as one COPY. Values are prepared as parameters are; the engine writes them as the columns want.
'use strict';

const { setImmediate } = require('node:timers');
const { hearAbort, throwIfAborted } = require('./abort-hearers.js');
const { Transfer, WINDOW } = require('./copy.js');
const { argumentError } = require('./error-classes.js');
const { openSession, release } = require('./handles.js');
const { quoteIdentifier, quotePath } = require('./identifiers.js');
const { FLAG, flush } = require('./mailbox.js');
const { INSERT_MANY_OPTIONS, readOptions } = require('./options.js');
const { encodeParams, encodeToBuffer } = require('./rows/params.js');
const { prepareJsonParams } = require('./rows/json-values.js');
const { prepareParams } = require('./rows/prepare.js');

/** @import { Target } from '../types/internal.js' */
/** @import { Place } from './copy.js' */
/** @import { Encoding } from './rows/prepare.js' */

/** @typedef {(sql: string, params: unknown[], limits: { timeoutMs?: number, signal?: AbortSignal }) => Promise<any[]>} Query */

/** What is asked for, checked. @typedef {ReturnType<typeof readRequest>} Request */

/**
 * Who loads it: asks for the types of columns, has a connection to run the COPY on, writes values as parameters.
 * `lost` rejects when it has a connection already that is lost.
 * @typedef {{
 *   query: Query, place: () => Place, encoding: Encoding, utcDates?: boolean, lost?: Promise<never>,
 *   isJsonValue?: boolean,
 * }} Loader
 */

/** Bytes of rows handed over at a time. */
const BLOCK = 64 * 1024;

/** What columns want of values with more than one form. Source: native/src/wire/copy_rows.rs. */
const JSON_COLUMN = 1;
const BYTES_COLUMN = 2;
const JSON_ARRAY_COLUMN = 3;
const WANTS = /** @type {Record<number, number>} */ ({
  114: JSON_COLUMN,
  3802: JSON_COLUMN,
  199: JSON_ARRAY_COLUMN,
  3807: JSON_ARRAY_COLUMN,
  17: BYTES_COLUMN,
});

/** Types of columns, of domains those below. */
const COLUMNS = `
  with recursive base as (
    select a.attname as name, t.oid, t.typbasetype
    from pg_catalog.pg_attribute a join pg_catalog.pg_type t on t.oid operator(pg_catalog.=) a.atttypid
    where a.attrelid operator(pg_catalog.=) $1::pg_catalog.regclass and a.attnum operator(pg_catalog.>) 0 and not a.attisdropped
    union all
    select base.name, t.oid, t.typbasetype
    from base join pg_catalog.pg_type t on t.oid operator(pg_catalog.=) base.typbasetype
  )
  select name::pg_catalog.text, oid from base where typbasetype operator(pg_catalog.=) 0::pg_catalog.oid`;

/**
 * @param {Target} pool @param {Query} query of the same pool
 * @param {string | readonly string[]} table @param {Iterable<any> | AsyncIterable<any>} rows @param {unknown} given
 * @param {{ json?: 'text' | 'value', maxStatementMs?: number }} settings of the pool
 * @returns {Promise<number>} rows inserted
 */
async function insertMany(pool, query, table, rows, given, { json, maxStatementMs }) {
  const place = () => {
    const session = openSession(pool, 'cluster');
    return /** @type {Place} */ ({
      target: session,
      face: 'cluster',
      flags: FLAG.FINISH,
      onEnd: () => release(session),
    });
  };
  const request = readRequest(table, rows, given);
  // Said here: on a connection that goes back behind it the engine would add the two seconds of an end.
  if (maxStatementMs !== undefined) request.options.timeoutMs ??= maxStatementMs;
  return load(request, { query, place, encoding: 'lossless', isJsonValue: json === 'value' });
}

/** @param {unknown} table @param {unknown} rows @param {unknown} given */
function readRequest(table, rows, given) {
  return {
    path: pathOf(table),
    source: new Source(iteratorOf(rows)),
    options: readOptions(INSERT_MANY_OPTIONS, given),
  };
}

/**
 * @param {Request} request @param {Loader} loader
 * @returns {Promise<number>} rows inserted
 */
async function load({ path, source, options }, loader) {
  const { columns: named, ...limits } = options;
  const { signal } = limits;
  try {
    throwIfAborted(signal);
    const first = await source.first(signal, loader.lost);
    if (first.done) return 0;
    const columns = named ?? columnsOf(first.value);
    const types = await typesOf(path, loader, limits);
    // A column that is not there is refused by the server, with its own words.
    const wants = columns.map((/** @type {string} */ name) => WANTS[types.get(name)] ?? 0);
    const list = columns.map(quoteIdentifier).join(', ');
    const copy = new Load(`COPY ${path} (${list}) FROM STDIN`, limits, loader, wants);
    return await copy.run(first, source, columns);
  } finally {
    await source.leave();
  }
}

/** @param {string} path @param {Loader} loader @param {{ timeoutMs?: number, signal?: AbortSignal }} limits */
async function typesOf(path, loader, limits) {
  try {
    const described = await loader.query(COLUMNS, [path], limits);
    return new Map(described.map(({ name, oid }) => [name, oid]));
  } catch (error) {
    // Whatever became of the question: no row was sent.
    throw limits.signal?.aborted ? limits.signal.reason : error;
  }
}

/** The rows, one at a time. */
class Source {
  #iterator;
  #isAsked = false;
  /** It has ended, or failed: then it is not to be told. */
  #isOver = false;

  /** @param {AsyncIterator<any> | Iterator<any>} iterator */
  constructor(iterator) {
    this.#iterator = iterator;
  }

  /** @returns {Promise<IteratorResult<any>> | IteratorResult<any>} */
  next() {
    // What throws here is over.
    this.#isOver = true;
    const next = /** @type {any} */ (this.#iterator.next());
    return typeof next?.then === 'function' ? this.#awaited(next) : this.#taken(next);
  }

  /** @param {IteratorResult<any>} result */
  #taken(result) {
    this.#isOver = Boolean(result.done);
    return result;
  }

  /** @param {PromiseLike<IteratorResult<any>>} next */
  async #awaited(next) {
    this.#isAsked = true;
    this.#isOver = false;
    try {
      return this.#taken(await next);
    } catch (error) {
      this.#isOver = true;
      throw error;
    } finally {
      this.#isAsked = false;
    }
  }

  /**
   * The first one, unless the caller gives up, or the connection is lost, before there is one.
   * @param {AbortSignal | undefined} signal @param {Promise<never> | undefined} lost
   */
  async first(signal, lost) {
    const next = this.next();
    if (!(next instanceof Promise)) return next;
    let stopHearing = () => {};
    try {
      return await new Promise(
        (/** @type {(row: IteratorResult<any>) => void} */ resolve, reject) => {
          if (signal) stopHearing = hearAbort(signal, () => reject(signal.reason));
          // By the source, while it was asked.
          if (signal?.aborted) reject(signal.reason);
          lost?.catch(reject);
          next.then(resolve, reject);
        },
      );
    } finally {
      stopHearing();
    }
  }

  /** Tells a source that was not read to its end. What it says to that never hides why it was left. */
  async leave() {
    if (this.#isOver) return;
    this.#isOver = true;
    const ended = this.#end();
    // One that is still making a row ends behind it, perhaps never.
    const turn = this.#isAsked && new Promise((resolve) => setImmediate(resolve));
    await (turn ? Promise.race([ended, turn]) : ended);
  }

  async #end() {
    try {
      await this.#iterator.return?.();
    } catch {
      // As of a loop that is left by an error.
    }
  }
}

/** One COPY and the rows on their way into it. */
class Load {
  #transfer;
  #block = Buffer.allocUnsafeSlow(BLOCK);
  #view = new DataView(this.#block.buffer);
  #used = 0;
  #start = 0;
  #unwritten = 0;
  #isStarted = false;
  #isOver = false;
  /** @type {Error | undefined} */
  #error;
  /** @type {() => void} */
  #wake = () => {};
  #loader;
  #wants;

  /**
   * @param {string} text @param {import('./copy.js').CopyOptions} options
   * @param {Loader} loader @param {readonly number[]} wants of the columns
   */
  constructor(text, options, loader, wants) {
    this.#loader = loader;
    this.#wants = wants;
    this.#transfer = new Transfer(text, options, {
      started: () => {
        this.#isStarted = true;
        this.#wake();
      },
      written: (bytes) => {
        this.#unwritten -= bytes;
        this.#wake();
      },
      ended: (error) => {
        this.#error = error;
        this.#isOver = true;
        this.#wake();
      },
    });
  }

  /** Waits until something has changed, as long as `isWanting`. @param {() => boolean} isWanting */
  async #until(isWanting) {
    while (!this.#isOver && isWanting()) {
      await new Promise((resolve) => {
        this.#wake = () => resolve(undefined);
      });
    }
    if (this.#error !== undefined) throw this.#error;
  }

  /**
   * The next row, unless the COPY ends before there is one.
   * @param {Promise<IteratorResult<any>>} next
   */
  async #awaited(next) {
    await new Promise((resolve) => {
      this.#wake = () => this.#isOver && resolve(undefined);
      next.then(resolve, resolve);
      this.#wake();
    });
    if (this.#error !== undefined) throw this.#error;
    return next;
  }

  /**
   * @param {IteratorResult<any>} first @param {InstanceType<typeof Source>} source
   * @param {readonly string[]} columns
   */
  async run(first, source, columns) {
    this.#transfer.start(this.#loader.place(), 0);
    try {
      await this.#until(() => !this.#isStarted);
      this.#head(this.#wants);
      let number = 0;
      for (let next = first; !next.done; ) {
        this.#add(valuesOf(next.value, columns, number), number);
        // Also when nothing has to be waited for: behind an end nothing may be finished.
        if (this.#isOver || this.#unwritten >= WINDOW) {
          await this.#until(() => this.#unwritten >= WINDOW);
        }
        number++;
        const after = source.next();
        next = after instanceof Promise ? await this.#awaited(after) : after;
      }
      await this.#until(() => false);
      this.#send();
      this.#transfer.finish();
      await this.#until(() => true);
      return this.#transfer.rowCount ?? 0;
    } catch (error) {
      // The connection is given back before the caller goes on.
      await this.#transfer.giveUp(error instanceof Error ? error.message : 'the source failed');
      throw error;
    }
  }

  /** @param {readonly number[]} wants */
  #head(wants) {
    this.#view.setUint32(0, wants.length, true);
    this.#block.set(wants, 4);
    this.#start = 4 + wants.length;
    this.#used = this.#start;
  }

  /** @param {readonly unknown[]} values @param {number} number */
  #add(values, number) {
    const { encoding } = this.#loader;
    const prepared = encoded(number, () => this.#prepare(values));
    const outbox = { buffer: this.#block, view: this.#view };
    const end = encoded(number, () =>
      encodeParams(outbox, this.#used + 4, BLOCK, prepared, encoding),
    );
    if (end >= 0) {
      this.#view.setUint32(this.#used, end - this.#used - 4, true);
      this.#used = end;
    } else if (this.#used > this.#start) {
      this.#send();
      this.#add(values, number);
    } else {
      // Larger than a block: it goes alone.
      const section = encoded(number, () => encodeToBuffer(prepared, encoding));
      const block = Buffer.allocUnsafe(this.#start + 4 + section.length);
      this.#block.copy(block, 0, 0, this.#start);
      block.writeUInt32LE(section.length, this.#start);
      section.copy(block, this.#start + 4);
      this.#unwritten += block.length;
      this.#transfer.writeRows(block);
    }
  }

  /** @param {readonly unknown[]} values of a row */
  #prepare(values) {
    const { encoding, utcDates, isJsonValue } = this.#loader;
    if (isJsonValue) {
      return prepareJsonParams(values, encoding, utcDates, { values: true, bigints: true });
    }
    if (encoding === 'lossless') return prepareParams(values, encoding);
    // `pg` cannot know where an array is JSON; here the column's type says so.
    const known = values.map((value, index) =>
      this.#wants[index] === JSON_COLUMN && Array.isArray(value) ? JSON.stringify(value) : value,
    );
    return prepareParams(known, encoding, utcDates);
  }

  #send() {
    if (this.#used === this.#start) return;
    this.#unwritten += this.#used;
    this.#transfer.writeRows(this.#block.subarray(0, this.#used));
    // The server loads these rows while the next ones are written.
    flush();
    this.#used = this.#start;
  }
}

/**
 * What is wrong with a value says in which row.
 * @template T
 * @param {number} number @param {() => T} encode
 */
function encoded(number, encode) {
  try {
    return encode();
  } catch (error) {
    if (error instanceof Error && Object.isExtensible(error)) {
      Object.defineProperty(error, 'row', { value: number, configurable: true, writable: true });
    }
    throw error;
  }
}

/** @param {unknown} table */
function pathOf(table) {
  const isName = (/** @type {unknown} */ name) => typeof name === 'string' && name !== '';
  if (!isName(table) && !(Array.isArray(table) && table.length > 0 && table.every(isName))) {
    throw wrong('table must be a name, or an array of schema and name');
  }
  return quotePath(/** @type {any} */ (table));
}

/** @param {any} rows @returns {AsyncIterator<any> | Iterator<any>} */
function iteratorOf(rows) {
  const make = rows?.[Symbol.asyncIterator] ?? rows?.[Symbol.iterator];
  if (typeof make !== 'function' || typeof rows === 'string') {
    throw wrong('rows must be an array or another iterable, perhaps async');
  }
  return make.call(rows);
}

/** @param {any} row the first one @returns {string[]} */
function columnsOf(row) {
  if (Array.isArray(row)) throw wrong('rows that are arrays need the option "columns"');
  const columns = typeof row === 'object' && row !== null ? Object.keys(row) : [];
  if (columns.length === 0) throw wrong('row 0 must be an object with columns as keys');
  return columns;
}

/**
 * A key that is no column would be lost without a word.
 * @param {any} row @param {readonly string[]} columns @param {number} number
 * @returns {unknown[]}
 */
function valuesOf(row, columns, number) {
  if (Array.isArray(row)) {
    if (row.length === columns.length) return row;
    throw wrong(`row ${number} has ${row.length} values for ${columns.length} columns`, number);
  }
  if (typeof row !== 'object' || row === null) {
    throw wrong(`row ${number} must be an object or an array`, number);
  }
  // Mostly in the same order: a look at all columns for each key takes seconds for a thousand wide rows.
  Object.keys(row).forEach((key, index) => {
    if (key !== columns[index] && !columns.includes(key)) {
      throw wrong(`row ${number} has the key ${JSON.stringify(key)}, which is no column`, number);
    }
  });
  return columns.map((name) => row[name]);
}

/** @param {string} message @param {number} [row] */
function wrong(message, row) {
  const error = argumentError(new TypeError(message), { code: 'ERR_CONFIG' });
  return row === undefined ? error : Object.assign(error, { row });
}

module.exports = { insertMany, load, readRequest };
