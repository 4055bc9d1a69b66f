// Preloaded: `kysely` is the one in the folder that OTHER_KYSELY names, for this package too.
'use strict';

const Module = require('node:module');

const folder = process.env.OTHER_KYSELY;
const { _resolveFilename: resolve } = /** @type {any} */ (Module);

/** @type {any} */ (Module)._resolveFilename = function (request, parent, isMain, options) {
  const isIt = request === 'kysely' || request.startsWith('kysely/');
  return isIt
    ? resolve.call(this, request, parent, isMain, { ...options, paths: [folder] })
    : resolve.call(this, request, parent, isMain, options);
};
