// How the engine's own questions of a pool are asked: in the mapping that loses nothing, untold and uncounted.
'use strict';

const { ClosedError, TransactionLostError } = require('./error-classes.js');
const { unheard } = require('./handles.js');
const { FLAG } = require('./mailbox.js');
const queryable = require('./queryable.js');
const { PRESETS } = require('./rows/types.js');

/** @import { Reading, StatementOptions } from './queryable.js' */
/** @import { Target } from '../types/internal.js' */

/**
 * How the catalog of a pool is asked: in the session whose result is to be read, else on any connection.
 * @param {Target} pool
 * @returns {(sql: string, params: unknown[], session: Target | undefined, limits?: StatementOptions, flags?: number) => Promise<any[]>}
 */
function catalogQuery(pool) {
  const types = PRESETS.lossless;
  const decoders = queryable.decodersFor(types, 'object', undefined);
  const { NO_OPTIONS, run } = queryable;
  /** @type {Reading} */
  const reading = { types, rowMode: 'object', catalog: undefined, decoders };
  return async (sql, params, session, limits = NO_OPTIONS, flags = 0) => {
    if (session !== undefined) {
      const manner = { flags: flags & FLAG.TRANSACTION };
      try {
        return (await run(unheard(session), sql, params, limits, reading, manner)).result.rows;
      } catch (error) {
        // It ended behind the statement: what it made can be seen by everybody now.
        const isLost = manner.flags === 0 && error instanceof TransactionLostError;
        if (!isLost && !(error instanceof ClosedError)) throw error;
      }
    }
    return (await run(unheard(pool), sql, params, limits, reading, undefined)).result.rows;
  };
}

module.exports = { catalogQuery };
