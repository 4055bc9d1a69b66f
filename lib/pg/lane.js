// The exclusive use of a client's connection by a cursor, a stream or a COPY.
'use strict';

/** @import { Lane } from './submittable.js' */
/** @typedef {InstanceType<typeof import('./link.js').Link>} Link */
/** @typedef {InstanceType<typeof import('./types.js').Reading>} Reading */

/**
 * @param {Link} link @param {Reading} reading @param {number} timeoutMs of each thing that is asked without a limit of its own
 * @param {{ described: (message: { fields: any[] }) => void, heed: (reason: any) => void, idle: () => void, leave: () => void }} heard
 *   by the queue; `idle`: nothing of the occupant is on its way
 * @returns {Lane}
 */
function laneOf(link, reading, timeoutMs, { described, heed, idle, leave }) {
  return {
    target: link.target,
    decodersOf: (types, rowMode) => reading.decodersOf(types, rowMode),
    ask: (sql, values, decoders, manner, answer) => {
      const { fail } = answer;
      answer.fail = (fields) => {
        heed(fields);
        fail.call(answer, fields);
      };
      const limited = manner.timeoutMs ? manner : { ...manner, timeoutMs };
      return link.ask(sql, values, decoders, limited, answer);
    },
    parsers: reading.parsers,
    describe: described,
    status: () => link.status,
    heed,
    idle,
    leave,
  };
}

module.exports = { laneOf };
