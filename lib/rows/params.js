// Writes prepared parameter values as the body of a Bind message, straight into the outbox.
'use strict';

const { lazy } = require('../lazy.js');
const { ArrayText, assertAttached } = require('./prepare.js');
const { SCALAR_BYTES, writeBoolean, writeNumber, writeString, writeUtf8 } = require('./scalars.js');

const errors = lazy(() => require('../error-classes.js'));

/** @import { Encoding } from './prepare.js' */
/** @typedef {{ buffer: Buffer, view: DataView }} Outbox `view` covers exactly the bytes of `buffer`. */

/** The count of parameters is a 16-bit field. Source: PostgreSQL protocol, "Message Formats", Bind. */
const MAX_PARAMS = 65_535;

/**
 * Most bytes of a section. The server closes the connection on a message of 1 GiB or more (`PQ_LARGE_MESSAGE_LIMIT` in
 * `src/include/libpq/libpq.h`); 64 KiB are left for names and result formats.
 */
const MAX_SECTION = 0x3fffffff - 65_536;

const NO_ROOM = new ArrayBuffer(0);

/** Room for a length word and any scalar that is written without asking for room. */
const SMALL = 4 + SCALAR_BYTES;

/** The length that a byte array has, whatever its class says. @type {(this: Uint8Array) => number} */
const realLength = /** @type {any} */ (
  Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array.prototype), 'length')
).get;

const TEXT = 0;
const BINARY = 1;
/** Never on the wire: the engine sends the array literal or the JSON text, whichever the server's type wants. */
const EITHER = 2;
/** The same with a third text, for arrays of json. */
const ONE_OF_THREE = 3;

/**
 * Writes a parameter section: `u16 nformats, nformats × u16 format, u16 nparams, nparams × (i32 length, bytes)`,
 * big-endian, length −1 for NULL. `nformats` is 0 (all text) or `nparams`. An array of the lossless encoding has
 * format 2 and the value `u32 n, n bytes array literal, rest: JSON text`, or 3 with `u32 n, n bytes text for json[]` in front.
 *
 * No user code runs in here but getters of `values` itself, which the mailbox keeps from writing to the outbox at the same
 * time; that is why `values` must come from `prepareParams`. Bytes behind the returned end may have been overwritten.
 *
 * @param {Outbox} outbox
 * @param {number} offset where the section begins
 * @param {number} limit first byte that must not be written
 * @param {readonly unknown[]} values result of `prepareParams`
 * @param {Encoding} encoding
 * @returns {number} first byte behind the section, or −1 when it may not fit
 * @throws {RangeError | TypeError} when a value cannot be sent; names the 1-based position, never the value
 */
function encodeParams(outbox, offset, limit, values, encoding) {
  const count = values.length;
  if (count > MAX_PARAMS) throw tooMany(count);
  const { buffer, view } = outbox;
  const strict = encoding === 'lossless';
  let at = offset + 4;
  if (at > limit) return -1;
  view.setUint16(offset, 0);
  view.setUint16(offset + 2, count);
  let formats = 0;
  for (let i = 0; i < count; i++) {
    if (at + SMALL > limit) return -1;
    const value = values[i];
    if (typeof value === 'string') {
      at = writeString(buffer, view, at, limit, value, i, strict);
    } else if (typeof value === 'number') {
      at = writeNumber(buffer, view, at, value, strict);
    } else if (typeof value === 'boolean') {
      at = writeBoolean(buffer, view, at, value);
    } else if (value === null || value === undefined) {
      view.setInt32(at, -1);
      at += 4;
    } else if (typeof value === 'bigint') {
      at = writeString(buffer, view, at, limit, String(value), i, strict);
    } else {
      if (formats === 0) {
        if (at + 2 * count + SMALL > limit) return -1;
        formats = offset + 2;
        at = insertFormats(buffer, view, offset, at, count);
      }
      at = writeObject(buffer, view, at, limit, value, i, strict, formats + 2 * i);
    }
    if (at < 0) return -1;
  }
  return at;
}

/**
 * Makes room for the format codes in front of the values written so far. Text-only sections, nearly all there are,
 * never pay for this.
 * @param {Buffer} buffer @param {DataView} view
 * @param {number} offset @param {number} at @param {number} count
 */
function insertFormats(buffer, view, offset, at, count) {
  const values = offset + 2 + 2 * count;
  buffer.copyWithin(values, offset + 2, at);
  buffer.fill(TEXT, offset + 2, values);
  view.setUint16(offset, count);
  return at + 2 * count;
}

/**
 * @param {Buffer} buffer @param {DataView} view @param {number} at @param {number} limit
 * @param {unknown} value @param {number} index @param {boolean} strict
 * @param {number} format where the format code goes
 * @returns {number} end, or −1 when it does not fit
 */
function writeObject(buffer, view, at, limit, value, index, strict, format) {
  if (value instanceof Uint8Array) {
    view.setUint16(format, BINARY);
    return writeBytes(buffer, view, at, limit, value, index);
  }
  if (value instanceof ArrayText) {
    view.setUint16(format, value.elements === undefined ? EITHER : ONE_OF_THREE);
    return writeArray(buffer, view, at, limit, value, index, strict);
  }
  throw errors().parameterError(index, 'changed while it was read');
}

/**
 * @param {Buffer} buffer @param {DataView} view @param {number} at @param {number} limit
 * @param {Uint8Array} bytes @param {number} index
 * @returns {number} end, or −1 when it does not fit
 */
function writeBytes(buffer, view, at, limit, bytes, index) {
  const length = lengthOf(bytes, index);
  if (at + 4 + length > limit) return -1;
  view.setInt32(at, length);
  if (length > 0) buffer.set(bytes, at + 4);
  else assertAttached(bytes, index);
  return at + 4 + length;
}

/** @param {Uint8Array} bytes @param {number} index */
function lengthOf(bytes, index) {
  try {
    return realLength.call(bytes);
  } catch {
    throw errors().parameterError(index, 'looks like a byte array and is none');
  }
}

/**
 * @param {Buffer} buffer @param {DataView} view @param {number} at @param {number} limit
 * @param {InstanceType<typeof ArrayText>} array @param {number} index @param {boolean} strict
 * @returns {number} end, or −1 when it does not fit
 */
function writeArray(buffer, view, at, limit, array, index, strict) {
  let start = at + 4;
  if (array.elements !== undefined) {
    const elements = writeUtf8(buffer, start + 4, limit, array.elements, index, strict);
    if (elements < 0) return -1;
    view.setUint32(start, elements);
    start += 4 + elements;
    if (start + 4 > limit) return -1;
  }
  const literal = writeUtf8(buffer, start + 4, limit, array.literal, index, strict);
  if (literal < 0) return -1;
  const json = writeUtf8(buffer, start + 4 + literal, limit, array.json, index, strict);
  if (json < 0) return -1;
  view.setUint32(start, literal);
  const end = start + 4 + literal + json;
  view.setInt32(at, end - at - 4);
  return end;
}

/**
 * The same section in a buffer of its own, for what does not fit into the outbox. It is measured first, so each value
 * is copied exactly once.
 * @param {readonly unknown[]} values result of `prepareParams`
 * @param {Encoding} encoding
 * @param {number} [front] bytes left free in front of it
 * @param {ArrayBuffer} [room] used if it is long enough: memory that is new to the process takes longer to get than to write
 * @returns {Buffer} up to the section's end, in memory that goes on for 8 bytes
 * @throws {RangeError | TypeError} as `encodeParams`
 */
function encodeToBuffer(values, encoding, front = 0, room = NO_ROOM) {
  if (values.length > MAX_PARAMS) throw tooMany(values.length);
  let size = 4 + 2 * values.length + 2 * SMALL;
  for (const [i, value] of values.entries()) {
    size += SMALL;
    if (typeof value === 'string') size += Buffer.byteLength(value);
    else if (typeof value === 'bigint') size += String(value).length;
    else if (value instanceof Uint8Array) size += lengthOf(value, i);
    else if (value instanceof ArrayText) {
      size += Buffer.byteLength(value.literal) + Buffer.byteLength(value.json);
      size += Buffer.byteLength(value.elements ?? '');
    }
  }
  if (size > MAX_SECTION) {
    throw limitError(
      `the parameters take up to ${size} bytes, a message of PostgreSQL at most 1 GiB`,
    );
  }
  const fits = room.byteLength >= front + size + 8;
  const buffer = fits ? Buffer.from(room) : Buffer.allocUnsafeSlow(front + size + 8);
  const view = new DataView(buffer.buffer);
  const end = encodeParams({ buffer, view }, front, front + size, values, encoding);
  if (end < 0) {
    const problem = new TypeError('the parameters changed while they were read');
    throw errors().argumentError(problem, { code: 'ERR_ENCODE' });
  }
  return buffer.subarray(0, end);
}

/** @param {number} count */
function tooMany(count) {
  return limitError(`${count} parameters given, a statement takes at most ${MAX_PARAMS}`);
}

/** @param {string} message */
function limitError(message) {
  return errors().argumentError(new RangeError(message), { code: '54000' });
}

module.exports = { encodeParams, encodeToBuffer };
