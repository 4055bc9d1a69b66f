// The exports of pg, each loaded when it is first read.
'use strict';

const { lazyExports } = require('../lazy.js');

const copy = () => require('./copy.js');
const types = () => require('./types.js');
const utils = () => require('./utils.js');

module.exports = {
  Client: () => require('./client.js'),
  Connection: () => require('./connection.js'),
  Cursor: () => require('./cursor.js'),
  Pool: () => require('./pool.js'),
  Query: () => require('./query.js'),
  QueryStream: () => require('./query-stream.js'),
  Result: () => require('./result.js'),
  TypeOverrides: types,
  connectionString: () => ({ connectionString: require('./connection-string.js') }),
  copyFrom: copy,
  copyTo: copy,
  defaults: () => require('./defaults.js'),
  escapeIdentifier: utils,
  escapeLiteral: utils,
  // There is no second implementation to choose.
  native: () => ({ native: null }),
  types,
  utils: () => ({ utils: utils() }),
};

lazyExports(module.exports);
