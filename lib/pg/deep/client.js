// What programs find at `pg/lib/client`.
'use strict';

module.exports = require('../client.js').Client;
