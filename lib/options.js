// The options of the cluster face: what each accepts, and what this version has to refuse.
'use strict';

const { lazy } = require('./lazy.js');
const rules = require('./option-rules.js');
const { count, flag, group, isObject, ms, msOrNever, oneOf, positive, readOptions, text, wrong } =
  rules;

const { LOGIN_OPTIONS } = require('./login-options.js');
const { HOOK_OPTIONS } = require('./query-hooks.js');

const leases = lazy(() => require('./lease-options.js'));

/** @import { Rule, Table } from './option-rules.js' */

/** Spellings of the predecessor. */
const MODES = /** @type {Record<string, string>} */ ({
  readwrite: 'read-write',
  rw: 'read-write',
  readonly: 'read-only',
  ro: 'read-only',
  preferstandby: 'prefer-standby',
});

/** Modes that read from standbys. */
const FOLLOWING = new Set(['read-only', 'standby', 'prefer-standby', 'any']);

/**
 * What the interface knows and this version does not do. It is refused: an option that is accepted and ignored is a lie.
 * Whoever implements one moves it into its table.
 */
const NOT_AVAILABLE = Object.freeze({
  query: words('idempotent'),
  begin: words('exactlyOnce'),
});

/** @param {...string} lines */
function words(...lines) {
  return Object.freeze(lines.join(' ').split(' '));
}

/** What is read once is not changed by its owner later. @param {any} value */
const copied = (value) => (Array.isArray(value) ? [...value] : value);
/** @param {any} value */
const areTexts = (value) => Array.isArray(value) && value.length > 0 && value.every(rules.isText);
/** @param {any} value */
const isTextOrTexts = (value) => rules.isText(value) || areTexts(value);

/** @type {Rule} */
const hosts = {
  copy: copied,
  accepts: areTexts,
  says: 'an array of at least one non-empty string',
};

/** @type {Rule} */
const types = {
  accepts: (value) =>
    value === 'lossless' ||
    value === 'pg' ||
    (isObject(value) && Object.values(value).every((parser) => typeof parser === 'function')),
  says: '"lossless", "pg", or an object of parsers by OID or type name',
  words: ['lossless', 'pg'],
  copy: (value) => (Array.isArray(value) ? value : { ...value }),
};

/** Its members are read by a table of their own. @type {Rule} */
const ssl = {
  accepts: (value) => typeof value === 'boolean' || isObject(value),
  says: 'true, false, or an object of TLS options',
};

const rowMode = oneOf('object', 'array');
const jsonNumbers = oneOf('number', 'bigint', 'string');

/** @type {Table} What becomes of JSON, for each face that has the options. */
const JSON_OPTIONS = Object.freeze({ json: oneOf('text', 'value'), jsonNumbers });

const delay = rules.integer(0, rules.MAX_MS, 'an integer not below 0 (milliseconds)');

/** For what depends on it; the engine has it too (native/src/config/pool.rs). */
const DEFAULT_POOL_SIZE = 10;

/** @type {Table} */
const RETRY = {
  maxAttempts: positive,
  baseDelayMs: delay,
  maxDelayMs: delay,
  jitter: oneOf('half', 'decorrelated'),
};

/** @type {Table} */
const KEEPALIVE = {
  // As the operating systems have it: whole seconds are the least, 127 probes the most.
  idleMs: rules.integer(1000, rules.MAX_MS, 'an integer from 1000 (milliseconds)'),
  intervalMs: rules.integer(1000, rules.MAX_MS, 'an integer from 1000 (milliseconds)'),
  count: rules.integer(1, 127, 'an integer from 1 to 127'),
};

/** @type {Table} Options of `createPool`. Defaults are in the engine. */
const POOL_OPTIONS = Object.freeze({
  connectionString: { ...text, secret: true },
  hosts,
  host: text,
  port: rules.port,
  user: text,
  database: text,
  mode: oneOf(
    'read-write',
    'read-only',
    'prefer-standby',
    'any',
    'primary',
    'standby',
    ...Object.keys(MODES),
  ),
  loadBalance: oneOf('random', 'round-robin', 'least-in-use'),
  raceDelayMs: delay,
  maxConnecting: positive,
  fencedReads: oneOf('retry', 'allow'),
  maxLagMs: ms,
  maxLagBytes: rules.integer(0, Number.MAX_SAFE_INTEGER, 'an integer not below 0 (bytes)'),
  rebalanceMs: msOrNever,
  dnsRecheckMs: msOrNever,
  unref: flag,
  fenceCheck: oneOf('auto', 'inband', 'query', 'off'),
  validationIntervalMs: delay,
  applicationName: text,
  options: text,
  ssl,
  ...LOGIN_OPTIONS,
  poolSize: positive,
  minIdle: count,
  idleTimeoutMs: msOrNever,
  maxLifetimeMs: msOrNever,
  maxUses: positive,
  resetQuery: text,
  acquireTimeoutMs: ms,
  connectTimeoutMs: ms,
  statementTimeoutMs: ms,
  maxStatementMs: ms,
  commitResolution: oneOf('xid', 'marker', 'off'),
  commitMarkerTable: {
    copy: copied,
    accepts: isTextOrTexts,
    says: 'a name, or an array of schema and name',
  },
  resolveTimeoutMs: ms,
  aliveTimeoutMs: ms,
  exactlyOnce: flag,
  strictFence: flag,
  keepalive: group(() => KEEPALIVE),
  tcpUserTimeoutMs: msOrNever,
  preparedStatements: oneOf('named', 'unnamed'),
  driver: oneOf('auto', 'loop', 'engine'),
  statementCacheSize: count,
  warmStatements: rules.integer(0, 256, 'an integer from 0 to 256'),
  types,
  rowMode,
  ...JSON_OPTIONS,
  maxResultBytes: rules.integer(1, Number.MAX_SAFE_INTEGER, 'a positive integer (bytes)'),
  retry: group(() => RETRY),
  lease: group(() => leases().POOL_LEASE),
  logger: rules.callback,
  ...HOOK_OPTIONS,
});

/** @type {Table} Options of one statement. */
const QUERY_OPTIONS = Object.freeze({
  timeoutMs: ms,
  signal: rules.signal,
  rowMode,
  types,
  jsonNumbers,
});

/** A position in the log. @type {Rule} */
const position = {
  accepts: (value) => typeof value === 'string' && /^[0-9A-F]{1,8}\/[0-9A-F]{1,8}$/i.test(value),
  says: 'a position in the log, as `lsn: true` gives it',
};

/** @type {Table} Options of one statement that stands for itself. */
const SINGLE_OPTIONS = Object.freeze({
  ...QUERY_OPTIONS,
  exactlyOnce: flag,
  retry: flag,
  acquireTimeoutMs: ms,
  after: position,
});

/** @type {Table} Options of `insert`. */
const INSERT_OPTIONS = Object.freeze({
  timeoutMs: ms,
  signal: rules.signal,
  idempotency: flag,
  lsn: flag,
  conflictTarget: {
    copy: copied,
    accepts: isTextOrTexts,
    says: 'a name, or an array of at least one name',
  },
});

/** @type {Table} Options of a row stream; `fetchSize` is another name of `batchSize`. */
const STREAM_OPTIONS = Object.freeze({
  ...QUERY_OPTIONS,
  batchSize: positive,
  fetchSize: positive,
});

/** @type {Table} Options of a batch. */
const BATCH_OPTIONS = Object.freeze({
  ...QUERY_OPTIONS,
  errors: oneOf('isolated', 'all-or-nothing'),
});

/** @type {Table} Options of a bulk insert. */
const INSERT_MANY_OPTIONS = Object.freeze({
  timeoutMs: ms,
  signal: rules.signal,
  columns: {
    copy: copied,
    accepts: areTexts,
    says: 'an array of at least one name',
  },
});

/** @type {Table} Options of a COPY. */
const COPY_OPTIONS = Object.freeze({
  timeoutMs: ms,
  signal: rules.signal,
  highWaterMark: positive,
});

/** @type {Table} Options of `begin`. */
const BEGIN_OPTIONS = Object.freeze({
  isolation: oneOf('read-committed', 'repeatable-read', 'serializable'),
  accessMode: oneOf('read-write', 'read-only', 'read write', 'read only'),
  deferrable: flag,
  timeoutMs: ms,
  signal: rules.signal,
});

/** @type {Table} Options of `transaction`. */
const TRANSACTION_OPTIONS = Object.freeze({
  ...BEGIN_OPTIONS,
  maxAttempts: positive,
  lsn: flag,
});

/** @type {Table} Options of `end`, `commit` and `rollback`. */
const END_OPTIONS = Object.freeze({ timeoutMs: ms });

/**
 * @param {unknown} options a connection string, or an object
 * @returns {Record<string, any>} canonical words: `mode` has its long name, `ssl` holds PEM texts
 * @throws {TypeError} naming the option
 */
function readPoolOptions(options) {
  const given = typeof options === 'string' ? { connectionString: options } : options;
  const read = readOptions(POOL_OPTIONS, given);
  if (read.hosts !== undefined) {
    if (read.host !== undefined) throw wrong('hosts', 'and "host" exclude each other');
  }
  if (read.lease !== undefined) {
    read.lease = leases().readPoolLease(read.lease, read.applicationName);
  }
  if (read.mode !== undefined) read.mode = MODES[read.mode] ?? read.mode;
  if (read.ssl !== undefined) {
    const other = Object.keys(read).find((name) => /^ssl./.test(name));
    if (other !== undefined) throw wrong('ssl', `and "${other}" exclude each other`);
    read.ssl = require('./ssl-options.js').readSsl(read.ssl);
  }
  const { minIdle, poolSize = DEFAULT_POOL_SIZE } = read;
  if (minIdle > poolSize) {
    throw wrong('minIdle', `must not exceed poolSize (${poolSize}), got ${minIdle}`);
  }
  // Of all others the statements would be asked for twice, to no end.
  if (read.maxLagBytes !== undefined && !FOLLOWING.has(read.mode)) {
    throw wrong('maxLagBytes', 'needs a "mode" that reads from standbys');
  }
  const needsTable = read.commitResolution === 'marker';
  if (needsTable !== (read.commitMarkerTable !== undefined)) {
    throw needsTable
      ? wrong('commitResolution', '"marker" needs "commitMarkerTable"')
      : wrong('commitMarkerTable', 'needs commitResolution "marker"');
  }
  // Whoever sets it defeats the way a demoted primary is kept from taking writes.
  if (/default_transaction_read_only/i.test(read.options ?? '')) {
    throw wrong('options', 'must not set default_transaction_read_only');
  }
  return read;
}

/** @param {unknown} options @param {Table} [table] `QUERY_OPTIONS` or `SINGLE_OPTIONS` */
function readQueryOptions(options, table = QUERY_OPTIONS) {
  return readOptions(table, options, NOT_AVAILABLE.query);
}

/**
 * @param {unknown} options
 * @returns {Record<string, any>} `fetchSize` is folded into `batchSize`
 */
function readStreamOptions(options) {
  const { fetchSize, ...read } = readOptions(STREAM_OPTIONS, options, NOT_AVAILABLE.query);
  if (fetchSize === undefined) return read;
  if (read.batchSize !== undefined && read.batchSize !== fetchSize) {
    throw wrong('fetchSize', 'and "batchSize" mean the same and differ');
  }
  return { ...read, batchSize: fetchSize };
}

/**
 * @param {unknown} options @param {Table} [table] `BEGIN_OPTIONS` or `TRANSACTION_OPTIONS`
 * @returns {Record<string, any>} `accessMode` with a hyphen
 */
function readBeginOptions(options, table = BEGIN_OPTIONS) {
  const read = readOptions(table, options, NOT_AVAILABLE.begin);
  if (read.accessMode !== undefined) read.accessMode = read.accessMode.replace(' ', '-');
  return read;
}

module.exports = {
  BATCH_OPTIONS,
  BEGIN_OPTIONS,
  COPY_OPTIONS,
  DEFAULT_POOL_SIZE,
  END_OPTIONS,
  FOLLOWING,
  INSERT_MANY_OPTIONS,
  INSERT_OPTIONS,
  JSON_OPTIONS,
  NOT_AVAILABLE,
  POOL_OPTIONS,
  QUERY_OPTIONS,
  SINGLE_OPTIONS,
  STREAM_OPTIONS,
  TRANSACTION_OPTIONS,
  readBeginOptions,
  readOptions,
  readPoolOptions,
  readQueryOptions,
  readStreamOptions,
};
