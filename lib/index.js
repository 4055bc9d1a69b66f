// The public names, nothing else.
'use strict';

const {
  PgError,
  ServerError,
  DatabaseError,
  ConnectError,
  TlsError,
  AuthError,
  AcquireTimeoutError,
  NoNodeError,
  ClosedError,
  CancelledError,
  TimeoutError,
  ProtocolError,
  LeaseError,
  OutcomeUnknownError,
  TransactionLostError,
  TransactionRolledBackError,
  InternalError,
} = require('./error-classes.js');
const { createListener } = require('./listener.js');
const { createPool } = require('./pool.js');
const { AequorClient, LeaseManager, ServerlessClient } = require('./serverless/index.js');
const { withDebug } = require('./debug.js');
const {
  HealthMonitor,
  checkDatabaseHealth,
  getMetrics,
  hasDatabaseMetrics,
  performHealthCheck,
} = require('./health.js');
const { createMetricsPool, isMetricsPool } = require('./pool-metrics.js');
const {
  CircuitBreaker,
  CircuitBreakerError,
  createRetryWrapper,
  isTransientError,
  withRetry,
} = require('./resilience.js');
const {
  createShutdownController,
  gracefulShutdown,
  registerShutdownHandlers,
  shutdownDatabase,
} = require('./shutdown.js');

module.exports = {
  createPool,
  ServerlessClient,
  AequorClient,
  LeaseManager,
  createListener,
  PgError,
  ServerError,
  DatabaseError,
  ConnectError,
  TlsError,
  AuthError,
  AcquireTimeoutError,
  NoNodeError,
  ClosedError,
  CancelledError,
  TimeoutError,
  ProtocolError,
  LeaseError,
  OutcomeUnknownError,
  TransactionLostError,
  TransactionRolledBackError,
  InternalError,
  HealthMonitor,
  checkDatabaseHealth,
  getMetrics,
  hasDatabaseMetrics,
  performHealthCheck,
  createMetricsPool,
  isMetricsPool,
  CircuitBreaker,
  CircuitBreakerError,
  createRetryWrapper,
  isTransientError,
  withRetry,
  createShutdownController,
  gracefulShutdown,
  registerShutdownHandlers,
  shutdownDatabase,
  withDebug,
};
