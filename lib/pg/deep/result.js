// What programs find at `pg/lib/result`.
'use strict';

module.exports = require('../result.js').Result;
