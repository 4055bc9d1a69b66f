// What programs find at `pg/lib/query`.
'use strict';

module.exports = require('../query.js').Query;
