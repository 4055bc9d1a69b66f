// What programs find at `pg/lib/defaults`.
'use strict';

module.exports = require('../defaults.js').defaults;
