// A TCP proxy in front of a real server: delays, black holes, cuts, resets, refusals, single bytes.
'use strict';

const { once } = require('node:events');
const net = require('node:net');
const { setImmediate: nextTurn, setTimeout: sleep } = require('node:timers/promises');

const MAX_QUEUED_BYTES = 1 << 20;

/**
 * @typedef {'toServer' | 'toClient'} Direction
 * @typedef {{ direction: Direction, byte?: number, text?: string, before?: boolean, reset?: boolean }} Cut
 * where both sides are closed: after `byte` bytes of one connection's direction, or when `text` passes
 * (after it, or before its packet)
 */

/** One direction of one connection: bytes are queued with the time they are due and written in order. */
class Flow {
  #proxy;
  #pair;
  #from;
  #to;
  #queue = [];
  #queuedBytes = 0;
  #passed = 0;
  #tail = '';
  #pumping = false;

  constructor(proxy, pair, direction, from, to) {
    this.#proxy = proxy;
    this.#pair = pair;
    this.direction = direction;
    this.#from = from;
    this.#to = to;
    from.on('data', (bytes) => this.#push(bytes));
    from.on('end', () => this.#push(null));
  }

  #push(bytes) {
    this.#queue.push({ bytes, due: performance.now() + this.#proxy.delays[this.direction] });
    this.#queuedBytes += bytes?.length ?? 0;
    if (this.#queuedBytes > MAX_QUEUED_BYTES) this.#from.pause();
    this.pump();
  }

  /** Forwards what is due. Called for new bytes and after healing. */
  async pump() {
    if (this.#pumping) return;
    this.#pumping = true;
    while (this.#queue.length > 0 && !this.#proxy.isBlackHole && !this.#to.destroyed) {
      const { bytes, due } = this.#queue[0];
      const wait = due - performance.now();
      if (wait > 0) {
        await sleep(wait, undefined, { ref: false });
        continue; // a black hole may have opened meanwhile
      }
      this.#queue.shift();
      if (bytes === null) this.#to.end();
      else await this.#forward(bytes);
    }
    this.#pumping = false;
  }

  async #forward(bytes) {
    this.#queuedBytes -= bytes.length;
    if (this.#queuedBytes <= MAX_QUEUED_BYTES) this.#from.resume();
    const cut = this.#findCut(bytes);
    const kept = cut ? bytes.subarray(0, cut.end) : bytes;
    const step = this.#proxy.pieces || kept.length;
    for (let start = 0; start < kept.length && !this.#to.destroyed; start += step) {
      const piece = kept.subarray(start, start + step);
      this.#passed += piece.length;
      this.#proxy.counts[this.direction] += piece.length;
      const flushed = this.#to.write(piece);
      if (!flushed)
        await Promise.race([once(this.#to, 'drain'), this.#pair.closed]).catch(() => {});
      else if (step < kept.length) await nextTurn();
    }
    if (cut) await this.#pair.cut(cut.reset, this.#to);
  }

  get queuedBytes() {
    return this.#queuedBytes;
  }

  /** A cut that is planned now is not for what has passed already. */
  forget() {
    this.#tail = '';
  }

  /** Where a wanted cut falls in these bytes. A cut happens once. */
  #findCut(bytes) {
    const seen = this.#tail + bytes.toString('latin1');
    for (const cut of this.#proxy.cuts) {
      if (cut.direction !== this.direction) continue;
      const end = cut.text === undefined ? cut.byte - this.#passed : this.#textEnd(cut, seen);
      // A connection that is past that byte already has not reached it: another one will.
      if (end !== undefined && end >= 0 && end <= bytes.length) {
        this.#proxy.cuts.delete(cut);
        return { end, reset: cut.reset };
      }
    }
    this.#tail = seen.slice(-256); // a text may be spread over packets
    return undefined;
  }

  #textEnd({ text, before }, seen) {
    const at = seen.indexOf(text);
    if (at < 0) return undefined;
    return before ? 0 : Math.max(at + text.length - this.#tail.length, 0);
  }
}

/** The two sockets of one proxied connection. */
class Pair {
  constructor(proxy, client, upstream) {
    this.client = client;
    this.upstream = upstream;
    const ends = [client, upstream].map(
      (socket) => new Promise((resolve) => socket.once('close', () => resolve(undefined))),
    );
    this.closed = Promise.all(ends);
    this.flows = [
      new Flow(proxy, this, 'toServer', client, upstream),
      new Flow(proxy, this, 'toClient', upstream, client),
    ];
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ]) {
      socket.setNoDelay();
      socket.on('error', () => {}); // 'close' follows
      socket.once('close', () => (proxy.isBlackHole ? undefined : other.destroySoon()));
    }
  }

  /** Forwards what a black hole held; a side that closed meanwhile takes the other with it. */
  resume() {
    for (const flow of this.flows) flow.pump();
    if (this.client.destroyed) this.upstream.destroySoon();
    if (this.upstream.destroyed) this.client.destroySoon();
  }

  forget() {
    for (const flow of this.flows) flow.forget();
  }

  /** Closes both sides, after the bytes written to `last` have gone out unless it is to be a reset. */
  async cut(reset = false, last = undefined) {
    // 'drain' comes only after a write that found the buffer full; the callback of a write always comes.
    if (last && last.writableLength > 0)
      await Promise.race([new Promise((written) => last.write('', written)), this.closed]);
    if (reset) this.client.resetAndDestroy();
    else this.client.destroySoon();
    this.upstream.destroy();
  }
}

class FaultyProxy {
  /** Present faults; change them through the methods. */
  delays = { toServer: 0, toClient: 0 };
  isBlackHole = false;
  isRefusing = false;
  pieces = 0;
  /** @type {Set<Cut>} */
  cuts = new Set();
  /** Bytes forwarded per direction, connections accepted and refused since the start. */
  counts = { toServer: 0, toClient: 0, connections: 0, refused: 0 };
  host = '127.0.0.1';
  port = 0;
  #target;
  #pairs = new Set();
  #listener = net.createServer({ allowHalfOpen: true }, (client) => this.#accept(client));

  constructor(target) {
    this.#target = target;
  }

  async listen() {
    this.#listener.listen(0, this.host);
    await once(this.#listener, 'listening');
    this.port = /** @type {net.AddressInfo} */ (this.#listener.address()).port;
    return this;
  }

  #accept(client) {
    if (this.isRefusing) {
      this.counts.refused += 1;
      client.on('error', () => {});
      client.resetAndDestroy();
      return;
    }
    this.counts.connections += 1;
    const upstream = net.connect({ ...this.#target, allowHalfOpen: true });
    const pair = new Pair(this, client, upstream);
    this.#pairs.add(pair);
    pair.closed.then(() => this.#pairs.delete(pair));
  }

  /** Connections open now. */
  get open() {
    return this.#pairs.size;
  }

  /** Bytes that have come and are not forwarded yet, because they are delayed or held. @param {Direction} direction */
  held(direction) {
    const flows = [...this.#pairs].flatMap((pair) => pair.flows);
    const held = flows.filter((flow) => flow.direction === direction);
    return held.reduce((sum, flow) => sum + flow.queuedBytes, 0);
  }

  /** The server's URL with the proxy's address in it. */
  url(original) {
    const url = new URL(original);
    url.host = `${this.host}:${this.port}`;
    return url.href;
  }

  /** Delays each packet by `ms`, in one direction or in both. */
  delay(ms, directions = ['toServer', 'toClient']) {
    for (const direction of directions) this.delays[direction] = ms;
  }

  /** Forwards nothing any more and keeps all sockets open; `heal()` lets what was held pass. */
  blackHole() {
    this.isBlackHole = true;
  }

  /** Sends everything in pieces of `bytes` bytes. */
  split(bytes = 1) {
    this.pieces = bytes;
  }

  /** Plans a cut for the next connection that reaches it. @param {Cut} cut */
  cutAt(cut) {
    for (const pair of this.#pairs) pair.forget();
    this.cuts.add(cut);
  }

  /** Resets (RST) or closes all connections that are open now. */
  async cutAll({ reset = true } = {}) {
    await Promise.all([...this.#pairs].map((pair) => pair.cut(reset)));
  }

  /** Resets every new connection right after accepting it. */
  refuse() {
    this.isRefusing = true;
  }

  /** Ends all faults. */
  heal() {
    this.delay(0);
    this.isBlackHole = false;
    this.isRefusing = false;
    this.pieces = 0;
    this.cuts.clear();
    for (const pair of this.#pairs) pair.resume();
  }

  async close() {
    this.#listener.close();
    for (const { client, upstream } of this.#pairs) {
      client.destroy();
      upstream.destroy();
    }
    await once(this.#listener, 'close');
  }
}

/**
 * @param {{ host: string, port: number }} target
 * @returns {Promise<FaultyProxy>}
 */
function startProxy({ host, port }) {
  return new FaultyProxy({ host, port }).listen();
}

module.exports = { startProxy };
