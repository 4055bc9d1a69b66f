// What programs find at `pg/lib/connection-parameters`.
'use strict';

module.exports = require('../connection-parameters.js').ConnectionParameters;
