// The kinds of columns as the engine numbers them: `Value::code` and `Kind::code` in native/src/frame/kind.rs.
'use strict';

module.exports = {
  I32: 1,
  U32: 2,
  F64: 3,
  BOOL: 4,
  STR: 5,
  BIGINT: 6,
  DATE: 7,
  LOCAL_DATE: 8,
  JSON: 9,
  BYTES: 10,
  VOID: 11,
  CUSTOM: 12,
  INTERVAL: 13,
  POINT: 14,
  CIRCLE: 15,
  RAW: 16,
  /** Added to the kind of its elements, this is the kind of an array. */
  ARRAY: 32,
};
