// The exports of pg.
'use strict';

const connectionString = require('./connection-string.js');
const { Client } = require('./client.js');
const { defaults } = require('./defaults.js');
const { Pool } = require('./pool.js');
const { Query } = require('./query.js');
const { Result } = require('./result.js');
const { TypeOverrides, types } = require('./types.js');
const utils = require('./utils.js');

const { escapeIdentifier, escapeLiteral } = utils;

/** There is no second implementation to choose. */
const native = null;

module.exports = {
  Client,
  Pool,
  Query,
  Result,
  TypeOverrides,
  connectionString,
  defaults,
  escapeIdentifier,
  escapeLiteral,
  native,
  types,
  utils,
};
