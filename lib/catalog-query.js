// How the engine's own questions of a pool are asked: in the mapping that loses nothing, untold and uncounted.
'use strict';

const { ClosedError } = require('./error-classes.js');
const { unheard } = require('./handles.js');
const { FLAG } = require('./mailbox.js');
const queryable = require('./queryable.js');
const { PRESETS } = require('./rows/types.js');

/** @import { Reading, StatementOptions } from './queryable.js' */
/** @import { Target } from '../types/internal.js' */

/**
 * How the catalog of a pool is asked: inside the transaction whose result is to be read, else on any connection.
 * @param {Target} pool
 * @returns {(sql: string, params: unknown[], session: Target | undefined, limits?: StatementOptions) => Promise<any[]>}
 */
function catalogQuery(pool) {
  const types = PRESETS.lossless;
  const decoders = queryable.decodersFor(types, 'object', undefined);
  const { NO_OPTIONS, run } = queryable;
  /** @type {Reading} */
  const reading = { types, rowMode: 'object', catalog: undefined, decoders };
  return async (sql, params, session, limits = NO_OPTIONS) => {
    if (session !== undefined) {
      try {
        const manner = { flags: FLAG.TRANSACTION };
        return (await run(unheard(session), sql, params, NO_OPTIONS, reading, manner)).result.rows;
      } catch (error) {
        // It ended behind the statement: what it made can be seen by everybody now.
        if (!(error instanceof ClosedError)) throw error;
      }
    }
    return (await run(unheard(pool), sql, params, limits, reading, undefined)).result.rows;
  };
}

module.exports = { catalogQuery };
