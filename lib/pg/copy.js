// COPY on a client: the streams of the package pg-copy-streams, to be given to `client.query`.
'use strict';

const { CopyFromStream, CopyToStream, readCopyOptions } = require('../copy.js');
const { describe, interrupted, originOf, tracedTo } = require('./failures.js');
const { OCCUPY, placeOf } = require('./submittable.js');

/** @import { Lane } from './submittable.js' */
/** @import { Place } from '../copy.js' */

/**
 * What both directions have.
 * @typedef {import('node:stream').Stream & {
 *   destroyed: boolean, errored: Error | null, writableEnded?: boolean, destroy(error: Error): unknown, begin(place: Place): void,
 *   _destroy(error: Error | null, done: (error?: Error | null) => void): void,
 * }} CopyStream
 */

/**
 * A stream of COPY that a client takes as a submittable.
 * @template {new (...given: any[]) => CopyStream} Base
 * @param {Base} Stream @param {Function} maker what the program calls
 */
function submittable(Stream, maker) {
  return class extends Stream {
    /** @type {((error?: Error | null) => void) | undefined} */
    callback;
    #hasBegun = false;
    #origin = originOf(maker);

    /** @param {any[]} given */
    constructor(...given) {
      super(...given);
      // A pool waits for the callback before it takes the client back.
      this.once('close', () => this.callback?.(this.errored));
    }

    /** @returns {undefined} */
    submit() {
      return undefined;
    }

    /** Its turn has come. @param {Lane} lane */
    [OCCUPY](lane) {
      if (this.destroyed) lane.leave();
      else {
        this.#hasBegun = true;
        this.begin(placeOf(lane));
      }
    }

    /** @param {Error} error */
    handleError(error) {
      // Without its end the server takes nothing of what was written.
      const mayHaveRun = this.#hasBegun && this.writableEnded !== false;
      this.destroy(mayHaveRun ? interrupted(error) : describe(error));
    }

    /** @override @param {Error | null} error @param {(error?: Error | null) => void} done */
    _destroy(error, done) {
      super._destroy(tracedTo(error, this.#origin), done);
    }
  };
}

const CopyFrom = submittable(CopyFromStream, copyFrom);
const CopyTo = submittable(CopyToStream, copyTo);

/** @param {string} text */
function checkText(text) {
  if (typeof text !== 'string') throw new TypeError(`text must be a string, got ${typeof text}`);
}

/** @param {string} text of a COPY … FROM STDIN @param {unknown} [options] */
function copyFrom(text, options) {
  checkText(text);
  return new CopyFrom(text, readCopyOptions(options));
}

/** @param {string} text of a COPY … TO STDOUT @param {unknown} [options] */
function copyTo(text, options) {
  checkText(text);
  return new CopyTo(text, readCopyOptions(options));
}

module.exports = { copyFrom, copyTo };
