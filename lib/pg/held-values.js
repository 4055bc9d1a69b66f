// Values of a query that may have to wait: what the program does with its arrays and bytes after the call changes nothing of it.
'use strict';

/** Deeper arrays, and those that contain themselves, are refused when they are sent. */
const MAX_DEPTH = 1000;

/**
 * A copy of the array, of arrays in it, and of the bytes of every view; what else is in it is read when it is sent.
 * @param {any} values
 */
function heldValues(values) {
  if (!Array.isArray(values)) return values;
  try {
    return copied(values, 0);
  } catch {
    // A view that is detached, or an array with code of its own: told of when it is sent.
    return values;
  }
}

/** @param {any[]} values @param {number} depth @returns {any[]} */
function copied(values, depth) {
  if (depth > MAX_DEPTH) throw new RangeError('arrays are nested too deeply');
  const copy = values.slice();
  for (let i = 0; i < copy.length; i++) {
    const value = copy[i];
    if (typeof value !== 'object' || value === null) continue;
    if (ArrayBuffer.isView(value)) copy[i] = bytesOf(value);
    else if (Array.isArray(value)) copy[i] = copied(value, depth + 1);
  }
  return copy;
}

/** @param {ArrayBufferView} view */
function bytesOf(view) {
  // Not `Buffer.from`: it asks the class of the view how long that is.
  const bytes =
    view instanceof Uint8Array
      ? new Uint8Array(view)
      : new Uint8Array(view.buffer, view.byteOffset, view.byteLength).slice();
  return Buffer.from(bytes.buffer);
}

/** The same of a text or config, which stays the caller's; a class may have members that no copy has. @param {any} query */
function heldQuery(query) {
  if (typeof query !== 'object' || query === null || !Array.isArray(query.values)) return query;
  const prototype = Object.getPrototypeOf(query);
  if (prototype !== Object.prototype && prototype !== null) return query;
  const members = Object.getOwnPropertyDescriptors(query);
  const shown = { configurable: true, enumerable: true, writable: true };
  members.values = { ...shown, value: heldValues(query.values) };
  return Object.create(prototype, members);
}

module.exports = { heldQuery, heldValues };
