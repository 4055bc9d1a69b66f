// pg-berth's pg face: the same calls as the reference family, with the other driver.
'use strict';

const { adapter } = require('./pg.js');

const load = () => require(process.env.PG_BERTH_PUBLISHED ?? '../..');

module.exports = adapter({ named: false, load, loadCursor: () => load().Cursor });
