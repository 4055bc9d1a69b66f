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

/**
 * Tells listeners of a client and of its connection what nobody asked for; of what pg has no name for, nothing.
 * @param {{ connection: NodeJS.EventEmitter, emit: (name: any, message: any) => void }} client
 * @param {any} event of the engine
 */
function tellNews(client, event) {
  const { connection } = client;
  const tellBoth = (/** @type {object} */ message) => {
    connection.emit(event.event, message);
    client.emit(event.event, message);
  };
  switch (event.event) {
    case 'notice':
      tellBoth(noticeOf(event));
      break;
    case 'notification':
      tellBoth(notificationOf(event));
      break;
    case 'parameter':
      connection.emit('parameterStatus', parameterOf(event.name, event.value));
  }
}

module.exports = { parameterOf, tellNews };
