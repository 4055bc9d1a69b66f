// The messages a PostgreSQL server sends, as bytes: for servers that tests script by hand.
'use strict';

/** A number as 16 or 32 bits, big-endian. */
function int16(value) {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value & 0xffff);
  return bytes;
}
function int32(value) {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value | 0);
  return bytes;
}

/** A string with its terminating zero. */
const cstring = (text) => Buffer.from(`${text}\0`);

/** One message: type byte, length of itself and the body, body. `length` can lie about the length. */
function message(type, body = Buffer.alloc(0), length = body.length + 4) {
  return Buffer.concat([Buffer.from(type, 'latin1'), int32(length), body]);
}

/** AuthenticationOk, or another authentication request by number with its data. */
const authentication = (kind, data = Buffer.alloc(0)) =>
  message('R', Buffer.concat([int32(kind), data]));
const authOk = () => authentication(0);
const parameterStatus = (name, value) =>
  message('S', Buffer.concat([cstring(name), cstring(value)]));

/** BackendKeyData; the key is 4 bytes, up to 256 from protocol 3.2 on. */
const backendKey = (pid, key = int32(1234)) => message('K', Buffer.concat([int32(pid), key]));

/** ReadyForQuery with the transaction status: `I` idle, `T` in a transaction, `E` in a failed one. */
const ready = (status = 'I') => message('Z', Buffer.from(status, 'latin1'));

/** @param {{ name: string, type?: number, format?: number, size?: number, modifier?: number, table?: number, column?: number }[]} fields */
function rowDescription(fields) {
  const parts = fields.map(
    ({ name, type = 25, format = 0, size = -1, modifier = -1, table = 0, column = 0 }) =>
      Buffer.concat([
        cstring(name),
        int32(table),
        int16(column),
        int32(type),
        int16(size),
        int32(modifier),
        int16(format),
      ]),
  );
  return message('T', Buffer.concat([int16(fields.length), ...parts]));
}

/** @param {(string | Buffer | null)[]} values */
function dataRow(values) {
  const parts = values.map((value) => {
    if (value === null) return int32(-1);
    const bytes = Buffer.from(value);
    return Buffer.concat([int32(bytes.length), bytes]);
  });
  return message('D', Buffer.concat([int16(values.length), ...parts]));
}

/** @param {number[]} types parameter types of a described statement */
const parameterDescription = (types) =>
  message('t', Buffer.concat([int16(types.length), ...types.map(int32)]));

const commandComplete = (tag) => message('C', cstring(tag));
const parseComplete = () => message('1');
const bindComplete = () => message('2');
const closeComplete = () => message('3');
const noData = () => message('n');
const emptyQuery = () => message('I');
const portalSuspended = () => message('s');

/** ErrorResponse or NoticeResponse from fields by letter: `{ S: 'ERROR', C: '42601', M: 'syntax error' }`. */
function report(type, fields) {
  const all = { S: type === 'E' ? 'ERROR' : 'NOTICE', C: 'XX000', M: 'scripted', ...fields };
  const parts = Object.entries(all).map(([letter, text]) => cstring(letter + text));
  return message(type, Buffer.concat([...parts, Buffer.from([0])]));
}
const error = (fields = {}) => report('E', fields);
const notice = (fields = {}) => report('N', fields);

const notification = (pid, channel, payload = '') =>
  message('A', Buffer.concat([int32(pid), cstring(channel), cstring(payload)]));

/** CopyInResponse `G`, CopyOutResponse `H` or CopyBothResponse `W`. */
const copyResponse = (type, columns = 1, format = 0) =>
  message(
    type,
    Buffer.concat([Buffer.from([format]), int16(columns), ...Array(columns).fill(int16(format))]),
  );
const copyData = (bytes) => message('d', Buffer.from(bytes));
const copyDone = () => message('c');

/** What every server since version 14 reports about its role during start-up: here a primary that takes writes. */
const primary = () =>
  Buffer.concat([
    parameterStatus('in_hot_standby', 'off'),
    parameterStatus('default_transaction_read_only', 'off'),
  ]);

module.exports = {
  primary,
  int16,
  int32,
  message,
  authentication,
  authOk,
  parameterStatus,
  backendKey,
  ready,
  rowDescription,
  dataRow,
  parameterDescription,
  commandComplete,
  parseComplete,
  bindComplete,
  closeComplete,
  noData,
  emptyQuery,
  portalSuspended,
  error,
  notice,
  notification,
  copyResponse,
  copyData,
  copyDone,
};
