// The public names of pg-berth/serverless, nothing else.
'use strict';

const { ServerlessClient } = require('./client.js');
const { LeaseManager } = require('./lease.js');
const { Reaper } = require('./reaper.js');
const { RetryStrategy } = require('./retry.js');

const AequorClient = ServerlessClient;

module.exports = { ServerlessClient, AequorClient, LeaseManager, Reaper, RetryStrategy };
