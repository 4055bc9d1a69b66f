// The public names of pg-berth/serverless, nothing else.
'use strict';

const { ServerlessClient } = require('./client.js');
const { LeaseManager } = require('./lease.js');
const { RetryStrategy } = require('./retry.js');

module.exports = { ServerlessClient, AequorClient: ServerlessClient, LeaseManager, RetryStrategy };
