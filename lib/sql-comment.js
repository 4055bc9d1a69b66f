// Comments that carry the trace of a caller to the server's log, in the format of sqlcommenter.
'use strict';

const { callHook } = require('./hooks.js');

/** Texts stay short: the server logs them, and keeps only so much of them in its views. */
const MAX_VALUE = 256;

/** @param {string} text */
function encoded(text) {
  // The rest of what `encodeURIComponent` leaves could end the literal or look like a parameter.
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

/**
 * Asks for the pairs of the moment; what it throws, and what is no text, is left out.
 * @param {() => Record<string, string | undefined> | undefined} ask
 * @returns {() => string} the comment with a space in front, or nothing
 */
function commenter(ask) {
  return () => {
    /** @type {string[]} */
    const parts = [];
    callHook(() => {
      const pairs = ask();
      for (const [name, value] of Object.entries(pairs ?? {})) {
        if (typeof value !== 'string' || value === '') continue;
        const short = value.slice(0, MAX_VALUE).toWellFormed();
        parts.push(`${encoded(name)}='${encoded(short)}'`);
      }
      // Of an async function nothing is known now, and what it rejects with is its own.
      return pairs;
    }, []);
    return parts.length === 0 ? '' : ` /*${parts.sort().join(',')}*/`;
  };
}

module.exports = { commenter };
