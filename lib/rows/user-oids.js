// Which types of a result were made by the server's users, so that their meaning has to be looked up.
'use strict';

const kinds = require('./kinds.js');

/** @import { Shape } from '../../types/rows.js' */

/** OIDs from here on are of types made after the server was set up; what they mean is only in its catalog. */
const FIRST_USER_OID = 16_384;

/**
 * The types of a shape whose meaning has to be looked up in the catalog before rows can be taken apart.
 * @param {Shape} shape
 * @returns {number[]}
 */
function needsLookup(shape) {
  const oids = new Set();
  for (const [i, [, , , oid]] of shape.fields.entries()) {
    if (oid >= FIRST_USER_OID && shape.kinds[i] === kinds.STR) oids.add(oid);
  }
  return [...oids];
}

module.exports = { FIRST_USER_OID, needsLookup };
