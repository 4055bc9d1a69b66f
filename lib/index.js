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
const { createPool } = require('./pool.js');

module.exports = {
  createPool,
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
};
