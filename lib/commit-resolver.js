// What became of a COMMIT whose answer was lost: the engine asks, on a pool or on a connection opened for it.
'use strict';

const native = require('./native.js');

/** @import { Target } from '../types/internal.js' */
/** @import { CommitTrace } from '../types/errors.js' */

/**
 * @param {Target} target a pool, or a connection to the primary of now
 * @param {CommitTrace} trace `resolution` of the error that left the outcome open
 * @param {number} patienceMs
 * @returns {Promise<{ fate: 'committed' | 'aborted' | 'unknown', status: string }>} `status` says why
 */
async function resolveCommit({ slot, generation }, trace, patienceMs) {
  const text = JSON.stringify(trace);
  return JSON.parse(await native.resolveCommit(slot, generation, text, Math.ceil(patienceMs)));
}

module.exports = { resolveCommit };
