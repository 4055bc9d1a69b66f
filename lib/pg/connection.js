// `client.connection`: what programs look at behind a client, with nothing but relayed messages behind it.
'use strict';

const { EventEmitter } = require('node:events');
const { wrong } = require('../option-rules.js');

/** In place of the socket, which belongs to the engine. */
class StreamFacade extends EventEmitter {
  #cut;

  /** @param {(reason?: Error) => void} cut @param {(isAwaited: boolean) => void} hold keeps the process alive, or not */
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

  setKeepAlive() {
    return this;
  }

  setNoDelay() {
    return this;
  }
}

/** Tells of start-up parameters, columns, notices, notifications, errors and the end. */
class ConnectionFacade extends EventEmitter {
  /**
   * @param {(reason?: Error) => void} cut @param {(isAwaited: boolean) => void} hold keeps the process alive, or not
   * @param {Record<string, string>} parsed named statements; programs that deallocate one delete it here
   */
  constructor(cut, hold, parsed) {
    super();
    this.parsedStatements = parsed;
    this.stream = new StreamFacade(cut, hold);
    this.ref = this.stream.ref;
    this.unref = this.stream.unref;
    // Whoever lacks a listener has no interest: nothing here may end the process.
    this.on('error', () => {});
  }

  /** There is nothing behind it any more. */
  over() {
    this.stream.writable = false;
    this.stream.destroyed = true;
    this.stream.emit('close');
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
