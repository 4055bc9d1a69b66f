// The public names, each with the part of the package that it is loaded from when it is first read.
'use strict';

const { lazyExports } = require('./lazy.js');

// A start pays for what it uses: a pool alone is a third of the files. The paths are literals, for bundlers.
const errors = () => require('./error-classes.js');
const listener = () => require('./listener.js');
const cluster = () => require('./pool.js');
const pg = () => require('./pg/index.js');
const serverless = () => require('./serverless/index.js');
const debug = () => require('./debug.js');
const health = () => require('./health.js');
const poolMetrics = () => require('./pool-metrics.js');
const resilience = () => require('./resilience.js');
const shutdown = () => require('./shutdown.js');

// Identifiers on both sides: this is how far Node's lexer reads the names that ESM can import.
module.exports = {
  Client: pg,
  Connection: pg,
  Cursor: pg,
  Pool: pg,
  Query: pg,
  QueryStream: pg,
  Result: pg,
  TypeOverrides: pg,
  connectionString: pg,
  copyFrom: pg,
  copyTo: pg,
  defaults: pg,
  escapeIdentifier: pg,
  escapeLiteral: pg,
  native: pg,
  types: pg,
  utils: pg,
  createPool: cluster,
  joinPool: cluster,
  ServerlessClient: serverless,
  AequorClient: serverless,
  LeaseManager: serverless,
  Reaper: serverless,
  RetryStrategy: serverless,
  createListener: listener,
  PgError: errors,
  ServerError: errors,
  DatabaseError: errors,
  ConnectError: errors,
  TlsError: errors,
  AuthError: errors,
  AcquireTimeoutError: errors,
  NoNodeError: errors,
  NoPrimaryError: errors,
  NoStandbyError: errors,
  ClosedError: errors,
  CancelledError: errors,
  TimeoutError: errors,
  ProtocolError: errors,
  LeaseError: errors,
  OutcomeUnknownError: errors,
  NotReplicatedError: errors,
  TransactionLostError: errors,
  TransactionRolledBackError: errors,
  CommitAbortedError: errors,
  FencedError: errors,
  ResultError: errors,
  InternalError: errors,
  HealthMonitor: health,
  checkDatabaseHealth: health,
  getMetrics: health,
  hasDatabaseMetrics: health,
  performHealthCheck: health,
  createMetricsPool: poolMetrics,
  isMetricsPool: poolMetrics,
  CircuitBreaker: resilience,
  CircuitBreakerError: resilience,
  createRetryWrapper: resilience,
  isTransientError: resilience,
  withRetry: resilience,
  createShutdownController: shutdown,
  gracefulShutdown: shutdown,
  registerShutdownHandlers: shutdown,
  shutdownDatabase: shutdown,
  withDebug: debug,
};

// As in pg: whoever looks through the exports does not come across it.
lazyExports(module.exports, ['native']);
