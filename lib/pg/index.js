// The exports of pg.
'use strict';

const connectionString = require('./connection-string.js');
const { adoptCopy } = require('./adopted-copy.js');
const { adoptCursor } = require('./adopted-cursor.js');
const { Client } = require('./client.js');
const { Connection } = require('./connection.js');
const { copyFrom, copyTo } = require('./copy.js');
const { Cursor } = require('./cursor.js');
const { defaults } = require('./defaults.js');
const { Pool } = require('./pool.js');
const { Query } = require('./query.js');
const { QueryStream } = require('./query-stream.js');
const { Result } = require('./result.js');
const { adopters } = require('./submittable.js');
const { TypeOverrides, types } = require('./types.js');
const utils = require('./utils.js');

const { escapeIdentifier, escapeLiteral } = utils;

adopters.push(adoptCursor, adoptCopy);

/** There is no second implementation to choose. */
const native = null;

module.exports = {
  Client,
  Connection,
  Cursor,
  Pool,
  Query,
  QueryStream,
  Result,
  TypeOverrides,
  connectionString,
  copyFrom,
  copyTo,
  defaults,
  escapeIdentifier,
  escapeLiteral,
  native,
  types,
  utils,
};
