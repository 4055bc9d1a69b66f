// What programs find at `pg/lib/connection`.
'use strict';

module.exports = require('../connection.js').Connection;
