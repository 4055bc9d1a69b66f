// `client.connection`: what programs look at behind a client, with nothing but relayed messages behind it.
'use strict';

const { EventEmitter } = require('node:events');
const { wrong } = require('../option-rules.js');

/** Ends the connection: at once, or behind what runs. @typedef {(reason?: Error, isPolite?: boolean) => void} Cut */

/** In place of the socket, which belongs to the engine. */
class StreamFacade extends EventEmitter {
  #cut;

  /** @param {Cut} cut @param {(isAwaited: boolean) => void} hold keeps the process alive, or not */
  constructor(cut, hold) {
    super();
    this.#cut = cut;
    this.ref = () => hold(true);
    this.unref = () => hold(false);
    this.destroyed = false;
    this.encrypted = false;
    this.writable = false;
  }

  /** Cuts the connection at once. @param {Error} [reason] */
  destroy(reason) {
    if (this.destroyed) return this;
    this.destroyed = true;
    this.#cut(reason);
    return this;
  }

  /** Ends the connection behind what runs. */
  end() {
    this.writable = false;
    this.#cut(undefined, true);
    return this;
  }

  setKeepAlive() {
    return this;
  }

  setNoDelay() {
    return this;
  }
}

/** Tells of start-up parameters, columns, notices, notifications, errors and the end. */
class ConnectionFacade extends EventEmitter {
  #isLost = false;

  /**
   * @param {Cut} cut @param {(isAwaited: boolean) => void} hold keeps the process alive, or not
   * @param {Record<string, string>} parsed named statements; programs that deallocate one delete it here
   */
  constructor(cut, hold, parsed) {
    super();
    this.parsedStatements = parsed;
    this.stream = new StreamFacade(cut, hold);
    this.ref = this.stream.ref;
    this.unref = this.stream.unref;
    // A fault that the program plays, at either of them.
    this.stream.on('error', (reason) => this.emit('error', reason));
    this.on('error', (reason) => {
      if (!this.#isLost) this.stream.destroy(reason);
    });
  }

  /** Has the program heard that there is nothing behind it, or ended it itself? */
  get isLost() {
    return this.#isLost || this.stream.destroyed || !this.stream.writable;
  }

  /** What the program has not done itself. @param {Error} error */
  lost(error) {
    if (this.stream.destroyed) return;
    this.#isLost = true;
    this.emit('error', error);
  }

  /** For programs that end it below the client. */
  end() {
    this.stream.end();
  }

  /** There is nothing behind it any more. */
  over() {
    const { stream } = this;
    if (!stream.destroyed) stream.emit('end');
    stream.writable = false;
    stream.destroyed = true;
    stream.emit('close');
    this.emit('end');
  }
}

/** What tools that speak the protocol themselves build on. It can be imported, and says that it cannot be used. */
class Connection extends EventEmitter {
  constructor() {
    super();
    throw wrong('Connection', 'is not supported: the engine owns the socket');
  }
}

module.exports = { Connection, ConnectionFacade };
