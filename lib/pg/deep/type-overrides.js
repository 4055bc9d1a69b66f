// What programs find at `pg/lib/type-overrides`.
'use strict';

module.exports = require('../types.js').TypeOverrides;
