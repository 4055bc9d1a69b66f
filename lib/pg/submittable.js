// How a cursor, a stream or a COPY gets a client to itself.
'use strict';

const { wrongArgument } = require('../error-classes.js');
const { bound } = require('./bound.js');
const { Query } = require('./query.js');

/**
 * Called on a submittable of this package when its turn has come. Until it calls `lane.leave()` the client's queue
 * waits. When the client refuses it, or is lost meanwhile, `handleError(error)` is called once.
 */
const OCCUPY = Symbol('pg-berth.occupy');

/** As many as a server can be asked for at once: all. */
const MOST_ROWS = 2 ** 31 - 1;

/** @typedef {InstanceType<typeof import('../decoders.js').Decoders>} Decoders */
/** @import { Answer, Target } from '../../types/internal.js' */
/** @import { Manner } from '../request.js' */

/**
 * The exclusive use of a client.
 * @typedef {object} Lane
 * @property {Target} target
 * @property {(types: any, rowMode: 'object' | 'array') => Decoders} decodersOf
 * @property {(sql: string | undefined, values: readonly unknown[] | undefined, decoders: Decoders, manner: Manner, answer: Answer) => number} ask
 *   throws what a value threw; then nothing was asked
 * @property {any} parsers of the client, for what parses rows by itself; undefined where those of the process do
 * @property {(message: { fields: any[] }) => void} describe to whoever listens to the connection
 * @property {() => 'I' | 'T' | 'E' | null} status of the transaction, with the last answer
 * @property {(reason: any) => void} heed what the engine says of a failure: it may be the end of the connection
 * @property {() => void} idle everything that was asked is answered, and more may be asked: a client that was closed meanwhile refuses it
 * @property {() => void} leave the next one may go on
 */

/** Makers of a submittable of this package out of a foreign one, in order. @type {(() => (foreign: any) => any)[]} */
const adopters = [
  () => require('./adopted-cursor.js').adoptCursor,
  () => require('./adopted-copy.js').adoptCopy,
];

/**
 * The submittable to run for what was given to `query()`.
 * @param {any} given has a function `submit`
 * @returns {any} undefined when nobody here can run it
 */
function adopt(given) {
  if (typeof given[OCCUPY] === 'function') return given;
  for (const load of adopters) {
    const made = load()(given);
    if (made !== undefined) return made;
  }
  return undefined;
}

/** What a class derived from Query may have in pg to read the protocol by itself. */
const HANDLERS = [
  'handleRowDescription',
  'handleDataRow',
  'handlePortalSuspended',
  'handleCommandComplete',
  'handleEmptyQuery',
  'handleReadyForQuery',
  'handleCopyInResponse',
  'handleCopyData',
];

/**
 * Why a submittable cannot run on a client.
 * @param {any} given @param {boolean} isPipelined
 * @returns {Error | undefined}
 */
function objection(given, isPipelined) {
  if (given instanceof Query) {
    const own = HANDLERS.find((name) => typeof (/** @type {any} */ (given)[name]) === 'function');
    if (own === undefined) return undefined;
    return new Error(
      `${own} of a Query is not called: the engine reads the answer; listen to "row" and "end"`,
    );
  }
  if (isPipelined) {
    return new Error(
      'Custom query classes such as pg-cursor and pg-query-stream are not supported in pipeline mode',
    );
  }
  if (adopt(given) !== undefined) return undefined;
  return new Error(
    'this submittable needs the socket, which belongs to the engine; use Cursor, QueryStream or COPY of pg-berth',
  );
}

/** The callback that `query()` was given, to be called once. @param {any} [given] */
function callbackOf(given) {
  if (!given) return undefined;
  const callback = bound(given);
  let isCalled = false;
  return (/** @type {any[]} */ ...told) => {
    if (isCalled) return;
    isCalled = true;
    callback(...told);
  };
}

/**
 * Tells that a submittable cannot run. Whoever gave a callback hears of it, a pool for example, whatever the submittable makes of it.
 * @param {any} given @param {((error: Error) => void) | undefined} callback of `query()` @param {Error} refusal
 */
function refuse(given, callback, refusal) {
  try {
    if (typeof given.handleError === 'function') given.handleError(refusal);
    else if (typeof given.callback === 'function') given.callback(refusal);
    else if (callback === undefined) throw refusal;
  } finally {
    callback?.(refusal);
  }
}

/** The text of a cursor; none is an empty statement, as in pg. @param {unknown} given */
function cursorText(given = '') {
  if (given === null) return '';
  if (typeof given === 'string') return given;
  throw wrongArgument(`the text of a cursor must be a string, got ${typeof given}`);
}

/** Where a COPY runs that has a client to itself. @param {Lane} lane @returns {import('../copy.js').Place} */
function placeOf(lane) {
  return { target: lane.target, face: 'pg', onFail: lane.heed, onEnd: lane.leave };
}

module.exports = { MOST_ROWS, OCCUPY, adopt, callbackOf, cursorText, objection, placeOf, refuse };
