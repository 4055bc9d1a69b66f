// What a connection tells without being asked, in the shape of `pg`.
'use strict';

/** A notice has the fields of an error and is none. @param {any} event */
function noticeOf({ message, code, fields }) {
  const { length, severity, ...rest } = fields;
  return { length, name: 'notice', message, severity, code, ...rest };
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
