// `pg` with named prepared statements: the reference, whose ratio is 1.
'use strict';

const { adapter } = require('./pg.js');

module.exports = adapter({ named: true });
