// What a connection tells without being asked, in the shape of `pg`.
'use strict';

/** Of what the server may say: programs find every name, whatever it has said. */
const UNSAID = Object.freeze({
  detail: undefined,
  hint: undefined,
  position: undefined,
  internalPosition: undefined,
  internalQuery: undefined,
  where: undefined,
  schema: undefined,
  table: undefined,
  column: undefined,
  dataType: undefined,
  constraint: undefined,
  file: undefined,
  line: undefined,
  routine: undefined,
});

/** A notice has the fields of an error and is none. @param {any} event */
function noticeOf({ message, code, fields }) {
  const { length, severity, ...rest } = fields;
  return { length, name: 'notice', message, severity, code, ...UNSAID, ...rest };
}

/** @param {any} event */
function notificationOf({ channel, payload, processId }) {
  const length = Buffer.byteLength(channel) + Buffer.byteLength(payload) + 10;
  return { name: 'notification', length, channel, payload, processId };
}

/** A setting of the session. @param {string} parameterName @param {string} parameterValue */
function parameterOf(parameterName, parameterValue) {
  return { name: 'parameterStatus', parameterName, parameterValue };
}

module.exports = { noticeOf, notificationOf, parameterOf };
