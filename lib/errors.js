// The error classes, and how the engine's description of an error becomes one of them.
'use strict';

const { getSystemErrorMap } = require('node:util');
const errors = require('./error-classes.js');
const { withStackLimit } = require('./stack-limit.js');

/** @import { Details, Face, NativeError } from '../types/native-error.js' */

/** Codes of OpenSSL that do not begin with `ERR_TLS`; certificate failures keep them. */
const CERTIFICATE_CODES = new Set([
  'CERT_HAS_EXPIRED',
  'CERT_NOT_YET_VALID',
  'CERT_REVOKED',
  'CRL_HAS_EXPIRED',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_CRL',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
]);

/** What programs written for `pg` compare messages with. Source: pg 8.23.1, pg-pool 3.14. */
const PG_CLOSED = /** @type {Record<string, string>} */ ({
  pool: 'Cannot use a pool after calling end on the pool',
  client: 'Client was closed and is not queryable',
});
const PG_TIMEOUT = /** @type {Record<string, string>} */ ({
  connect: 'timeout expired',
  acquire: 'timeout exceeded when trying to connect',
  statement: 'Query read timeout',
});
const PG_TLS = /** @type {Record<string, string>} */ ({
  ERR_TLS_UNAVAILABLE: 'The server does not support SSL connections',
});
const PG_NO_TLS_ANSWER = 'There was an error establishing an SSL connection';
const PG_CUT = 'Connection terminated unexpectedly';
const CLUSTER_CLOSED = /** @type {Record<string, string>} */ ({
  pool: 'query: the pool is closed (end() was called)',
  transaction: 'transaction: already committed or rolled back',
});

/**
 * Makes the error to be thrown. Call it in the promise chain of the caller (after an `await` in the async function the
 * user called), then the stack is the user's.
 *
 * @param {NativeError | Error} fields
 * @param {Face} face `'cluster'` for createPool; `'pg'` for everything that stands in for `pg`
 * @param {string} [sql] the statement that the server may have refused
 * @returns {Error} errors that JavaScript made already come back unchanged
 */
function fromNative(fields, face, sql) {
  if (fields instanceof Error) return fields;
  // What happened in the engine has no stack here, and what is thrown has its stack taken once. Taking them all was a third
  // of what a failure costs, which hundreds of callers pay at the same moment when their database is gone.
  const error = withStackLimit(0, () =>
    isOpen(fields) ? doubt(fields, face) : build(fields, face),
  );
  // Logs of errors have what is enumerable, and a text may hold what is nobody else's business.
  if (sql !== undefined && fields.kind === 'server' && !isOpen(fields))
    Object.defineProperty(error, 'sql', { value: sql, writable: true, configurable: true });
  // Takes this file out of the stack.
  Error.captureStackTrace?.(error, fromNative);
  return error;
}

/** Nobody has heard the end of it? What failed behind a COMMIT of its own text has one. @param {NativeError} fields */
function isOpen({ outcome, isAnswered }) {
  return outcome === 'unknown' && isAnswered !== true;
}

/**
 * Whatever left the outcome open is the cause of the one class that says so.
 * @param {NativeError} fields @param {Face} face
 * @returns {InstanceType<typeof errors.OutcomeUnknownError>}
 */
function doubt(fields, face) {
  if (fields.kind === 'notReplicated') {
    const known = { ...detailsOf(fields), code: face === 'cluster' ? 'IN_DOUBT' : fields.code };
    return new errors.NotReplicatedError(fields.message, known);
  }
  const { kind, trace } = fields;
  if (kind === 'doubt' && fields.cause && trace) {
    const known = doubt({ ...fields.cause, outcome: 'unknown' }, face);
    return Object.assign(known, { message: fields.message, resolution: trace });
  }
  const original = build(fields, face);
  const code = face === 'cluster' ? 'IN_DOUBT' : codeOf(original);
  const cause = fields.kind === 'lost' && original.cause !== undefined ? original.cause : original;
  return new errors.OutcomeUnknownError(original.message, { ...detailsOf(fields), code, cause });
}

/** @param {Error & { code?: string | undefined }} error */
function codeOf(error) {
  return error.code;
}

/**
 * @param {NativeError} fields @param {Face} face
 * @returns {Error}
 */
function build(fields, face) {
  const cluster = face === 'cluster';
  const details = detailsOf(fields);
  if (fields.cause) {
    // What broke the connection under a statement knows nothing of the statement: it has the same outcome.
    const under = ['lost', 'transactionLost', 'commitAborted'].includes(fields.kind);
    details.cause = build(
      under ? { ...fields.cause, outcome: fields.outcome } : fields.cause,
      face,
    );
  }
  switch (fields.kind) {
    case 'server':
      return serverError(fields, details);
    case 'connect':
      return connectError(fields, details, face);
    case 'io':
      if (cluster && fields.code !== 'ERR_NO_THREAD') details.code = '08006';
      return new errors.ConnectError(fields.message, details);
    case 'acquire':
      return acquireError(fields, details, face);
    case 'closed':
      return new errors.ClosedError(
        (cluster ? CLUSTER_CLOSED : PG_CLOSED)[fields.what ?? ''] ?? fields.message,
        details,
      );
    case 'cancelled':
      if (cluster) details.code = 'ABORT_ERR';
      return new errors.CancelledError(cluster ? cancelled(fields) : fields.message, details);
    case 'timeout':
      return timeoutError(fields, details, face);
    case 'lost':
      return lostError(fields, details, face);
    case 'transactionLost':
      return new errors.TransactionLostError(fields.message, details);
    case 'fenced':
      return new errors.FencedError(fields.message, details);
    case 'commitAborted':
      return new errors.CommitAbortedError(fields.message, details);
    case 'rolledBack':
      return new errors.TransactionRolledBackError(fields.message, details);
    case 'result':
      return new errors.ResultError(fields.message, details);
    case 'protocol':
      return new errors.ProtocolError(fields.message, details);
    case 'lease':
      return new errors.LeaseError(fields.message, details);
    case 'encode':
      return errors.argumentError(new TypeError(fields.message), { code: fields.code });
    case 'config':
      return errors.argumentError(new TypeError(fields.message), {
        code: fields.code,
        ...(fields.option === undefined ? {} : { option: fields.option }),
      });
    default:
      return new errors.InternalError(fields.message, details);
  }
}

/**
 * @param {NativeError} fields
 * @returns {Details}
 */
function detailsOf({ code, outcome, transient, host }) {
  return { code, outcome, transient, host: host ?? undefined };
}

/** @param {NativeError} fields @param {Details} details */
function serverError(fields, details) {
  const error = new errors.ServerError(fields.message, fields.length ?? 0, 'error', details);
  /** @type {any} */
  const target = error;
  /** @type {any} */
  const source = fields;
  for (const name of Object.keys(error))
    if (name !== 'name') target[name] = source[name] ?? undefined;
  return error;
}

/** Where a signal has proved its cancel, its own reason is thrown (lib/request.js): this was `end`. @param {NativeError} fields */
function cancelled({ outcome }) {
  return outcome === 'unknown'
    ? 'query: given up before the answer came, the statement may have taken effect'
    : 'query: cancelled by end()';
}

/** @param {NativeError} fields @param {Details} details @param {Face} face */
function connectError(fields, details, face) {
  const { code } = fields;
  const host = fields.host ?? '';
  const lead = `cannot connect to ${host}: `;
  const problem = fields.message.startsWith(lead)
    ? fields.message.slice(lead.length)
    : fields.message;
  // Words of native/src/wire/untrusted.rs.
  if (face === 'pg' && /answer(ed| to) the TLS request/.test(problem)) {
    const cause = new errors.ProtocolError(problem, details);
    return new errors.TlsError(PG_NO_TLS_ANSWER, { ...details, cause });
  }
  if (code.startsWith('ERR_TLS') || CERTIFICATE_CODES.has(code)) {
    const pgMessage = PG_TLS[code] ?? problem;
    return new errors.TlsError(face === 'pg' ? pgMessage : fields.message, details);
  }
  if (code === 'ERR_INTERNAL') return new errors.InternalError(fields.message, details);
  if (code === 'ERR_PROTOCOL') {
    const pgMessage = `received invalid response: ${problem}`;
    return new errors.ProtocolError(face === 'pg' ? pgMessage : fields.message, details);
  }
  if (code === 'ERR_AUTH')
    return new errors.AuthError(face === 'pg' ? problem : fields.message, details);
  if (face === 'cluster' || code === 'ERR_NO_THREAD') {
    return new errors.ConnectError(fields.message, details);
  }
  // Words of native/src/conn/login.rs.
  if (/^the server closed the connection/.test(problem)) {
    return new errors.ConnectError(PG_CUT, details);
  }
  return nodeError(code, host, details);
}

/** What Node says of a socket that was open: what it was doing, and no address. */
const DOING = /** @type {Record<string, string>} */ ({ ECONNRESET: 'read', EPIPE: 'write' });

/**
 * The shape of Node's own network errors, which retry code of `pg` users reads.
 * @param {string} code @param {string} host @param {Details} details
 */
function nodeError(code, host, details) {
  const [, name = host, port] = /^(.*):(\d+)$/.exec(host) ?? [];
  const address = name.replace(/^\[(.*)\]$/, '$1');
  if (code === 'ENOTFOUND' || code.startsWith('EAI_')) {
    const error = new errors.ConnectError(`getaddrinfo ${code} ${address}`, details);
    return Object.assign(error, errnoOf(code), { syscall: 'getaddrinfo', hostname: address });
  }
  const doing = DOING[code];
  if (doing !== undefined) {
    const error = new errors.ConnectError(`${doing} ${code}`, details);
    return Object.assign(error, errnoOf(code), { syscall: doing });
  }
  const error = new errors.ConnectError(`connect ${code} ${host}`, details);
  const place = port ? { address, port: Number(port) } : { address };
  return Object.assign(error, errnoOf(code), { syscall: 'connect' }, place);
}

/** Node's number of what the system refused with. @param {string} code */
function errnoOf(code) {
  // The one that Node calls otherwise than libuv.
  const name = code === 'ENOTFOUND' ? 'EAI_NONAME' : code;
  for (const [errno, [known]] of getSystemErrorMap()) if (known === name) return { errno };
  return {};
}

/** @param {NativeError} fields @param {Details} details @param {Face} face */
function acquireError(fields, details, face) {
  details.waitedMs = fields.waitedMs;
  details.counts = fields.counts;
  if (face === 'pg') return new errors.AcquireTimeoutError(String(PG_TIMEOUT.acquire), details);
  if (fields.lack) return noNodeError(fields, fields.lack, details, face);
  if (fields.cause && fields.counts?.size === 0) {
    details.code = '08006';
    const message = `query: no reachable node after ${fields.waitedMs}ms: ${fields.cause.message}`;
    return new errors.NoNodeError(message, details);
  }
  details.code = '53300';
  return new errors.AcquireTimeoutError(fields.message, details);
}

/** One search fails for all who waited for it: what it met is described once. @type {WeakMap<NativeError, Search>} */
const searches = new WeakMap();

/** @typedef {{ nodes: NonNullable<Details['nodes']>, cause: Error | undefined }} Search */

/** Sockets in folders have none that anybody could dial. @param {string} host */
function portOf(host) {
  const port = /^[^/@].*:(\d+)$/.exec(host)?.[1];
  return port === undefined ? {} : { port: Number(port) };
}

/**
 * What was met at each node, one by one.
 * @param {NativeError} fields @param {Face} face
 * @returns {Search}
 */
function searchOf(fields, face) {
  const nodes = (fields.nodes ?? []).map(({ host, role, reason, tookMs, error }) => ({
    host,
    ...portOf(host),
    tookMs,
    ...(role ? { role } : {}),
    ...(reason ? { reason } : {}),
    ...(error ? { error: build(error, face) } : {}),
  }));
  const failures = nodes.flatMap(({ error }) => (error === undefined ? [] : [error]));
  if (failures.length < 2) return { nodes, cause: failures[0] };
  // As Node's own: the code of the first says it for programs that look no deeper.
  const { code } = /** @type {{ code?: string }} */ (failures[0]);
  const all = new AggregateError(failures, 'attempts to connect');
  return { nodes, cause: Object.assign(all, { code }) };
}

/**
 * A search found nobody.
 * @param {NativeError} fields @param {string} lack @param {Details} details @param {Face} face
 */
function noNodeError(fields, lack, details, face) {
  details.code = '08006';
  let search = searches.get(fields);
  if (search === undefined) {
    search = searchOf(fields, face);
    searches.set(fields, search);
  }
  details.nodes = search.nodes;
  if (search.cause !== undefined) details.cause = search.cause;
  const message = `query: ${fields.message}`;
  if (lack.includes('primary')) return new errors.NoPrimaryError(message, details);
  if (lack.includes('standby')) return new errors.NoStandbyError(message, details);
  return new errors.NoNodeError(message, details);
}

/** @param {NativeError} fields @param {Details} details @param {Face} face */
function timeoutError(fields, details, face) {
  details.phase = fields.phase;
  details.afterMs = fields.afterMs;
  if (face === 'pg')
    return new errors.TimeoutError(PG_TIMEOUT[fields.phase ?? ''] ?? fields.message, details);
  // The SQLSTATE says that the server proved the cancel.
  if (fields.outcome === 'failed' || fields.isAnswered) details.code = '57014';
  const lead = fields.phase === 'statement' ? 'query: ' : '';
  return new errors.TimeoutError(lead + fields.message, details);
}

/** @param {NativeError} fields @param {Details} details @param {Face} face */
function lostError(fields, details, face) {
  if (face === 'cluster') details.code = '08006';
  const message = face === 'cluster' ? fields.message : pgLostMessage(fields.cause);
  return fields.outcome === 'failed'
    ? new errors.TransactionLostError(message, details)
    : new errors.ConnectError(message, details);
}

/** @param {NativeError | null | undefined} cause */
function pgLostMessage(cause) {
  if (cause?.kind === 'server') return cause.message;
  return cause?.kind === 'closed' ? 'Connection terminated' : PG_CUT;
}

module.exports = { ...errors, fromNative };
