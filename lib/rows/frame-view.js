// The memory of row frames as a decoder reads it.
'use strict';

/** @import { FrameView } from '../../types/rows.js' */

/**
 * @param {ArrayBuffer} memory @param {boolean} isOwn one frame has it to itself for good
 * @returns {FrameView}
 */
function frameView(memory, isOwn) {
  return {
    buffer: /** @type {FrameView['buffer']} */ (Buffer.from(memory)),
    i32: new Int32Array(memory),
    f64: new Float64Array(memory),
    i64: new BigInt64Array(memory),
    isOwn,
  };
}

module.exports = { frameView };
