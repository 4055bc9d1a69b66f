// pg-berth's createPool with everything on the engine's thread.
'use strict';

const { adapter } = require('./pg-berth.js');

module.exports = adapter({ driver: 'engine' });
