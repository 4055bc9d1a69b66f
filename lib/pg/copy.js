// COPY on a client: the streams of the package pg-copy-streams, to be given to `client.query`.
'use strict';

const { CopyFromStream, CopyToStream, readCopyOptions } = require('../copy.js');
const { describe } = require('./failures.js');
const { OCCUPY } = require('./submittable.js');

/** @import { Lane } from './submittable.js' */
/** @import { CopyOptions } from '../copy.js' */

/** Where a stream runs once its turn has come. @param {CopyFromStream | CopyToStream} stream @param {Lane} lane */
function occupy(stream, lane) {
  if (stream.destroyed) {
    lane.leave();
    return;
  }
  stream.begin({ target: lane.target, face: 'pg', onEnd: () => lane.leave() });
}

/** A pool waits for the callback before it takes the client back. @param {any} stream */
function tellEnd(stream) {
  stream.once('close', () => stream.callback?.(stream.errored));
}

/** @typedef {InstanceType<typeof CopyFromStream>} CopyFromStream */
/** @typedef {InstanceType<typeof CopyToStream>} CopyToStream */

class CopyFrom extends CopyFromStream {
  /** @type {((error?: Error | null) => void) | undefined} */
  callback;

  /** @param {string} text @param {CopyOptions} options */
  constructor(text, options) {
    super(text, options);
    tellEnd(this);
  }

  /** @returns {undefined} */
  submit() {
    return undefined;
  }

  /** @param {Lane} lane */
  [OCCUPY](lane) {
    occupy(this, lane);
  }

  /** @param {Error} error */
  handleError(error) {
    this.destroy(describe(error));
  }
}

class CopyTo extends CopyToStream {
  /** @type {((error?: Error | null) => void) | undefined} */
  callback;

  /** @param {string} text @param {CopyOptions} options */
  constructor(text, options) {
    super(text, options);
    tellEnd(this);
  }

  /** @returns {undefined} */
  submit() {
    return undefined;
  }

  /** @param {Lane} lane */
  [OCCUPY](lane) {
    occupy(this, lane);
  }

  /** @param {Error} error */
  handleError(error) {
    this.destroy(describe(error));
  }
}

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
