// A server that plays a script: each test says byte by byte what a backend reads, sends and omits.
'use strict';

const { once } = require('node:events');
const net = require('node:net');
const { setImmediate: nextTurn } = require('node:timers/promises');
const messages = require('./backend-messages.js');

const SSL_REQUEST = 80_877_103;
const GSS_REQUEST = 80_877_104;
const CANCEL_REQUEST = 80_877_102;

/** The client closed or reset the connection while the script waited for bytes: the usual end of a script. */
class ConnectionGone extends Error {
  constructor() {
    super('the client has closed the connection');
    this.name = 'ConnectionGone';
  }
}

/** The server's side of one connection. */
class ScriptConnection {
  /** The client's start-up packet, once read. */
  startup;
  /** Resolves when the socket is closed, by whichever side. */
  closed;
  #socket;
  #buffer = Buffer.alloc(0);
  #wake = () => {};
  #ended = false;
  #pieces = 0;

  constructor(socket, number) {
    this.number = number;
    this.#socket = socket.setNoDelay();
    this.closed = new Promise((resolve) => socket.once('close', () => resolve(undefined)));
    socket.on('data', (chunk) => {
      this.#buffer = Buffer.concat([this.#buffer, chunk]);
      this.#wake();
    });
    for (const event of ['end', 'error', 'close']) {
      socket.on(event, () => {
        this.#ended = true;
        this.#wake();
      });
    }
  }

  /** Reads exactly `count` bytes; rejects with ConnectionGone when the client leaves before. */
  async readBytes(count) {
    while (this.#buffer.length < count) {
      if (this.#ended) throw new ConnectionGone();
      await new Promise((resolve) => {
        this.#wake = () => resolve(undefined);
      });
    }
    const bytes = this.#buffer.subarray(0, count);
    this.#buffer = this.#buffer.subarray(count);
    return bytes;
  }

  /**
   * Reads one packet of the start-up phase.
   * @returns {Promise<{ kind: 'ssl' | 'gss' } | { kind: 'cancel', pid: number, key: Buffer } | { kind: 'startup', version: number, parameters: Record<string, string> }>}
   */
  async readStartup() {
    const length = (await this.readBytes(4)).readInt32BE();
    const body = await this.readBytes(length - 4);
    const version = body.readInt32BE();
    if (version === SSL_REQUEST) return { kind: 'ssl' };
    if (version === GSS_REQUEST) return { kind: 'gss' };
    if (version === CANCEL_REQUEST)
      return { kind: 'cancel', pid: body.readInt32BE(4), key: body.subarray(8) };
    const words = body.subarray(4).toString().split('\0');
    const parameters = {};
    for (let index = 0; words[index]; index += 2) parameters[words[index]] = words[index + 1];
    this.startup = { kind: 'startup', version, parameters };
    return this.startup;
  }

  /** Reads one typed message. `text` is its body as text without the last zero. */
  async readMessage() {
    const head = await this.readBytes(5);
    const body = await this.readBytes(head.readInt32BE(1) - 4);
    const type = String.fromCharCode(head[0]);
    return { type, body, text: body.toString().replace(/\0$/, '') };
  }

  /** Reads messages up to and including the first of `type`. A terminate message ends the script. */
  async readUntil(type) {
    const read = [];
    for (;;) {
      const next = await this.readMessage();
      if (next.type === 'X' && type !== 'X') throw new ConnectionGone();
      read.push(next);
      if (next.type === type) return read;
    }
  }

  /** Answers the whole start-up as a trusting server does; TLS and GSS are declined. */
  async accept({ parameters = {}, pid = 1000 + this.number, key = undefined } = {}) {
    let packet = await this.readStartup();
    while (packet.kind === 'ssl' || packet.kind === 'gss') {
      await this.send('N');
      packet = await this.readStartup();
    }
    // A server answers a cancel request by hanging up.
    if (packet.kind === 'cancel') throw new ConnectionGone();
    const all = {
      server_version: '15.0',
      client_encoding: 'UTF8',
      DateStyle: 'ISO, MDY',
      in_hot_standby: 'off',
      default_transaction_read_only: 'off',
      ...parameters,
    };
    // undefined: not reported
    const reported = Object.entries(all).filter(([, value]) => value !== undefined);
    const statuses = reported.map(([name, value]) => messages.parameterStatus(name, value));
    await this.send(
      messages.authOk(),
      ...statuses,
      messages.backendKey(pid, key),
      messages.ready(),
    );
    return packet;
  }

  /** From now on sends everything in pieces of `bytes` bytes, each with a write of its own; 0 ends it. */
  split(bytes) {
    this.#pieces = bytes;
  }

  /** Sends bytes, in one write or in pieces. */
  async send(...parts) {
    const bytes = Buffer.concat(parts.map((part) => Buffer.from(part)));
    const step = this.#pieces || bytes.length;
    for (let from = 0; from < bytes.length; from += step) {
      if (this.#socket.destroyed) throw new ConnectionGone();
      this.#socket.write(bytes.subarray(from, from + step));
      if (step < bytes.length) await nextTurn();
    }
  }

  /** Keeps the connection open and silent until the client or the test closes it. */
  async stall() {
    await this.closed;
  }

  /** Closes after what was sent has gone out. */
  async finish() {
    this.#socket.end();
    await this.closed;
  }

  /** Closes at once; unsent bytes are lost. */
  cut() {
    this.#socket.destroy();
  }

  /** Closes at once with RST. */
  reset() {
    this.#socket.resetAndDestroy();
  }
}

/**
 * Starts a scripted server. The script runs once per connection; the connection is closed when it returns.
 *
 * @param {(connection: ScriptConnection) => Promise<void> | void} script
 */
async function scriptServer(script) {
  const open = new Set();
  const failures = [];
  const counts = { connections: 0 };

  const listener = net.createServer(async (socket) => {
    counts.connections += 1;
    const connection = new ScriptConnection(socket, counts.connections);
    open.add(connection);
    try {
      await script(connection);
      await connection.finish();
    } catch (error) {
      if (!(error instanceof ConnectionGone)) failures.push(error);
      connection.cut();
    } finally {
      open.delete(connection);
    }
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = /** @type {net.AddressInfo} */ (listener.address());

  return {
    host: '127.0.0.1',
    port,
    url: `postgres://tester@127.0.0.1:${port}/tester?sslmode=disable`,
    /** Connections accepted so far. */
    get connections() {
      return counts.connections;
    },
    /** Connections whose script is still running. */
    get open() {
      return open.size;
    },
    /** Closes everything; rejects with the first error of a script, so that its assertions count. Safe to call twice. */
    async close() {
      for (const connection of open) connection.cut();
      if (listener.listening) await once(listener.close(), 'close');
      if (failures.length > 0) throw failures[0];
    },
  };
}

module.exports = { scriptServer, ConnectionGone };
