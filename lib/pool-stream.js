// A row stream on a connection of a pool: the transaction it has of its own, and its end when it is forgotten.
'use strict';

const { leave, openSession, release, serialOf } = require('./handles.js');
const { readStreamOptions } = require('./options.js');
const { RowStream, insideOf } = require('./stream.js');
const { lazy } = require('./lazy.js');

const traces = lazy(() => require('./tracing/queries.js'));

/** @import { Reading } from './queryable.js' */
/** @import { Target } from '../types/internal.js' */

/** Ends streams that were forgotten, and what is told of their rows. @type {FinalizationRegistry<{ session: Target | undefined }>} */
const left = new FinalizationRegistry(({ session }) => {
  if (session === undefined) return;
  release(session);
  traces().abandon(session);
});

/**
 * @param {Target} pool @param {Reading} reading @param {string} sql @param {readonly unknown[] | undefined} params
 * @param {unknown} given options
 */
function streamOnPool(pool, reading, sql, params, given) {
  const { batchSize, ...rest } = readStreamOptions(given);
  const { near } = reading;
  /** @type {{ session: Target | undefined }} */
  const held = { session: near === undefined ? openSession(pool, 'cluster') : undefined };
  const find =
    near &&
    (async () => {
      held.session = await near(rest);
      return held.session;
    });
  let isFirst = true;
  const flags = insideOf(reading);
  const stream = new RowStream({
    target: held.session ?? pool,
    sql,
    params,
    batchSize,
    options: rest,
    reading,
    manner: () => {
      const begin = isFirst ? 'BEGIN' : undefined;
      isFirst = false;
      return { flags, begin, ...rest };
    },
    isOwner: true,
    ...(find && { find }),
    isPlaced: () => held.session !== undefined && serialOf(held.session) !== 0,
    onEnd: () => {
      left.unregister(stream);
      if (held.session !== undefined) leave(held.session);
    },
  });
  left.register(stream, held, stream);
  return stream;
}

module.exports = { streamOnPool };
