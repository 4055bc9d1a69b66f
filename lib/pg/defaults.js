// `defaults` of pg: read whenever a client is made, changed by programs.
'use strict';

const { types } = require('./types.js');

const INT4 = 23;
const INT8 = 20;
const INT4_ARRAY = 1007;
const INT8_ARRAY = 1016;

const parseInt8AsText = types.getTypeParser(INT8);
const parseInt8ArrayAsText = types.getTypeParser(INT8_ARRAY);

/** @type {Record<string, any>} */
const defaults = {
  host: 'localhost',
  user: process.platform === 'win32' ? process.env.USERNAME : process.env.USER,
  database: undefined,
  password: null,
  connectionString: undefined,
  port: 5432,
  rows: 0,
  binary: false,
  max: 10,
  idleTimeoutMillis: 30_000,
  client_encoding: '',
  ssl: false,
  sslnegotiation: undefined,
  application_name: undefined,
  fallback_application_name: undefined,
  options: undefined,
  parseInputDatesAsUTC: false,
  statement_timeout: false,
  lock_timeout: false,
  idle_in_transaction_session_timeout: false,
  query_timeout: false,
  connect_timeout: 0,
  keepalives: 1,
  keepalives_idle: 0,
};

// A setter without getter, as in pg: TypeORM looks the descriptor up.
Object.defineProperty(defaults, 'parseInt8', {
  configurable: true,
  enumerable: true,
  set(asNumber) {
    types.setTypeParser(INT8, 'text', asNumber ? types.getTypeParser(INT4) : parseInt8AsText);
    types.setTypeParser(
      INT8_ARRAY,
      'text',
      asNumber ? types.getTypeParser(INT4_ARRAY) : parseInt8ArrayAsText,
    );
  },
});

module.exports = { defaults };
