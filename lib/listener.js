// LISTEN for any number of channels on one connection, which is opened anew whenever it is lost.
'use strict';

const { EventEmitter } = require('node:events');
const { setTimeout: sleep } = require('node:timers/promises');
const { Decoders } = require('./decoders.js');
const { argumentError, ClosedError, FencedError, wrongArgument } = require('./error-classes.js');
const { end, hear, openPool, openSession, release } = require('./handles.js');
const { quoteIdentifier } = require('./identifiers.js');
const { listen } = require('./hearers.js');
const { watchRole } = require('./listener-watch.js');
const { FLAG, OPERATION, keepAlive } = require('./mailbox.js');
const { wrong } = require('./option-rules.js');
const { readPoolOptions } = require('./options.js');
const { asError } = require('./queryable.js');
const { execute } = require('./request.js');
const { PRESETS, resolveTypes } = require('./rows/types.js');

/** @import { Notification } from '../types/listener.js' */
/** @import { NativeError } from '../types/native-error.js' */
/** @import { Target } from '../types/internal.js' */

/** @typedef {(notification: Notification) => void} Handler */

/** Names are cut to this by the server, and notifications come under the cut name. Source: `NAMEDATALEN` − 1. */
const MAX_NAME_BYTES = 63;
/** Pause before the second attempt to connect, doubled for each further one up to the longest, and scattered. */
const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 5000;
/** How long `end` waits for the server's farewell. */
const FAREWELL_MS = 1000;

/** Options of a pool that mean nothing for one connection without results. */
const REFUSED = [
  ...['poolSize', 'minIdle', 'idleTimeoutMs', 'maxLifetimeMs', 'maxUses', 'unref'],
  ...['types', 'rowMode', 'json', 'jsonNumbers', 'maxResultBytes', 'maxLagBytes'],
  ...['preparedStatements', 'statementCacheSize', 'warmStatements', 'resetQuery'],
  ...['commitResolution', 'commitMarkerTable', 'resolveTimeoutMs', 'exactlyOnce', 'strictFence'],
  ...['retry', 'logger', 'slowQueryMs', 'onSlowQuery', 'onQueryError', 'sqlComment'],
];

/** @typedef {{ promise: Promise<Link>, resolve: (link: Link) => void, reject: (reason: unknown) => void }} Attempt */

/** A connection of the listener. @typedef {{ session: Target, stop: () => void, early: Notification[] | undefined, end: Error | undefined }} Link `early`: what came before the gap was announced; `end`: why it is over */

class Listener extends EventEmitter {
  /** @type {Record<string, any>} */
  #options;
  #decoders = new Decoders(resolveTypes(undefined, PRESETS.lossless), 'object', undefined);
  /** Channels that are wanted, and who hears them. @type {Map<string, Set<Handler>>} */
  #channels = new Map();
  /** @type {Target | undefined} */
  #pool;
  /** LISTEN is in force on this connection. @type {Link | undefined} */
  #live;
  /** The attempt that runs or comes next. @type {Attempt | undefined} */
  #attempt;
  /** When the server was last heard, while a gap is open. @type {{ since: Date, cause: Error } | undefined} */
  #gap;
  #lastHeard = new Date();
  #pause = new AbortController();
  #letExit = () => {};
  /** @type {Promise<void> | undefined} */
  #ending;

  /** @param {Record<string, any>} options checked options of createPool */
  constructor(options) {
    super();
    // One connection of its own, which is never retired for age or idleness.
    const alone = { poolSize: 1, minIdle: 0, idleTimeoutMs: 0, maxLifetimeMs: 0 };
    // A standby does not listen, and a primary that was demoted is told nothing any more.
    this.#options = { defaultMode: 'read-write', ...options, ...alone };
  }

  /**
   * @param {string} channel @param {Handler} [handler]
   * @returns {Promise<() => Promise<void>>}
   */
  async listen(channel, handler = () => {}) {
    checkChannel(channel);
    if (typeof handler !== 'function') {
      throw wrongArgument(`handler must be a function, got ${typeof handler}`);
    }
    this.#checkOpen();
    // The same function may listen twice, and stops once for each.
    const own = (/** @type {Notification} */ notification) => handler(notification);
    // The connection may be there already.
    if (this.#channels.size === 0) this.#letExit = keepAlive();
    const handlers = this.#channels.get(channel) ?? new Set();
    handlers.add(own);
    this.#channels.set(channel, handlers);
    try {
      await this.#establish(channel);
    } catch (error) {
      this.#remove(channel, own);
      // What it hears of its connection then is its own end; what the server has refused stays refused.
      throw this.#ending !== undefined && isEnd(error) ? closed() : asError(error);
    }
    return () => this.#unlisten(channel, own);
  }

  /** LISTEN is in force when this resolves; a connection that is lost meanwhile is replaced. @param {string} channel */
  async #establish(channel) {
    for (;;) {
      const link = await this.#link();
      try {
        // The connection may have listened to it from its beginning; saying it again changes nothing.
        await this.#run(link.session, `LISTEN ${quoteIdentifier(channel)}`);
        return;
      } catch (error) {
        if (this.#live === link && !isLoss(error)) throw error;
        this.#lost(link, asError(error));
      }
    }
  }

  /** @param {string} channel @param {Handler} handler */
  async #unlisten(channel, handler) {
    if (this.#remove(channel, handler) && this.#live !== undefined) {
      await this.#leave(this.#live.session, channel);
    }
  }

  /** @param {Target} session @param {string} channel */
  async #leave(session, channel) {
    try {
      await this.#run(session, `UNLISTEN ${quoteIdentifier(channel)}`);
    } catch (error) {
      // A lost connection listens to nothing, and the next one is not told of this channel.
      if (!isLoss(error)) throw asError(error);
    }
  }

  /** @param {string} channel @param {Handler} handler @returns {boolean} was it the last one? */
  #remove(channel, handler) {
    const handlers = this.#channels.get(channel);
    if (!handlers?.delete(handler) || handlers.size > 0) return false;
    this.#channels.delete(channel);
    if (this.#channels.size === 0) {
      this.#letExit();
      // Whoever listens next has missed nothing.
      this.#gap = undefined;
    }
    return true;
  }

  /** The connection that listens, opened if there is none. @returns {Promise<Link>} */
  #link() {
    this.#checkOpen();
    if (this.#live !== undefined) return Promise.resolve(this.#live);
    if (this.#attempt === undefined) this.#connect();
    return /** @type {Attempt} */ (this.#attempt).promise;
  }

  /** Tries until the connection stands or nobody wants it any more. Whoever waits hears of each attempt that fails. */
  async #connect() {
    const { signal } = this.#pause;
    let pauseMs = FIRST_PAUSE_MS;
    this.#attempt = newAttempt();
    while (!signal.aborted) {
      const attempt = /** @type {Attempt} */ (this.#attempt);
      try {
        const link = await this.#open();
        this.#attempt = undefined;
        attempt.resolve(link);
        return;
      } catch (cause) {
        const error = asError(cause);
        // Each who waits makes an error of it, with a stack of his own.
        attempt.reject(cause);
        // Behind the microtasks in which those who waited give their channels up.
        await new Promise(setImmediate);
        // Its own end is nobody's failure.
        if (!signal.aborted) this.#report(error);
      }
      if (this.#channels.size === 0) {
        this.#attempt = undefined;
        return;
      }
      this.#attempt = newAttempt();
      await sleep(pauseMs * (0.5 + Math.random() / 2), undefined, { signal }).catch(() => {});
      pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS);
    }
    this.#attempt?.reject(closed());
  }

  /** One attempt. @returns {Promise<Link>} */
  async #open() {
    this.#pool ??= openPool(this.#options, 'cluster');
    const session = openSession(this.#pool, 'cluster');
    hear(session);
    /** @type {Link} */
    const link = { session, stop: () => {}, early: [], end: undefined };
    // Holds the listener: one that nobody refers to any more goes on calling its handlers.
    link.stop = listen(session, (event) => this.#hear(link, event));
    const channels = [...this.#channels.keys()];
    const sql = channels.map((channel) => `LISTEN ${quoteIdentifier(channel)}`).join('; ');
    try {
      // An empty text opens the connection as well.
      await this.#run(session, sql);
      if (link.end !== undefined) throw link.end;
      if (this.#pause.signal.aborted) throw closed();
    } catch (error) {
      link.stop();
      release(session);
      throw error;
    }
    this.#live = link;
    this.#watch(link, this.#pool);
    // Given up since it was asked for.
    const left = channels.filter((channel) => !this.#channels.has(channel));
    for (const channel of left) this.#leave(session, channel).catch(() => {});
    this.#announceGap(channels);
    const early = link.early ?? [];
    link.early = undefined;
    for (const notification of early) this.#deliver(notification);
    return link;
  }

  /** A primary that was demoted is told nothing any more, and says so only when it is asked. @param {Link} link @param {Target} pool */
  #watch(link, pool) {
    const { rebalanceMs, mode } = this.#options;
    if (mode === 'primary') return;
    const ask = async () => {
      // What it listens to already: saying it again changes nothing.
      const [channel] = this.#channels.keys();
      if (channel !== undefined)
        await this.#run(link.session, `LISTEN ${quoteIdentifier(channel)}`);
    };
    const onFenced = (/** @type {Date} */ since) => {
      // What it said meanwhile is not what others said elsewhere.
      this.#lastHeard = since;
      const known = { code: '25006', outcome: /** @type {const} */ ('failed'), transient: true };
      this.#lost(link, new FencedError('the server takes no writes any more', known));
    };
    const stop = watchRole(pool, rebalanceMs, ask, onFenced);
    const { stop: stopHearing } = link;
    link.stop = () => {
      stop();
      stopHearing();
    };
  }

  /** What was sent between the last word of the old connection and now is lost. @param {string[]} channels */
  #announceGap(channels) {
    const gap = this.#gap;
    if (gap === undefined) return;
    this.#gap = undefined;
    const heard = channels.filter((channel) => this.#channels.has(channel));
    this.#tell('gap', { channels: heard, since: gap.since, until: new Date(), cause: gap.cause });
  }

  /** @param {Link} link @param {any} event */
  #hear(link, event) {
    if (event.event === 'notification') {
      this.#lastHeard = new Date();
      const { channel, payload, processId } = event;
      const notification = Object.freeze({ channel, payload, processId });
      if (link.early === undefined) this.#deliver(notification);
      else link.early.push(notification);
    } else if (event.event === 'end') {
      const cause = event.error === null ? closed() : asError(event.error);
      link.end = cause;
      this.#lost(link, cause);
    }
  }

  /** @param {Notification} notification */
  #deliver(notification) {
    const handlers = this.#channels.get(notification.channel);
    // What was on its way when its channel was given up concerns nobody.
    if (handlers === undefined) return;
    // A handler that listens again from within hears of the next one: it would be called without end.
    for (const handler of [...handlers]) {
      const isWanted = this.#ending === undefined && handlers.has(handler);
      if (isWanted) this.#guard(() => handler(notification));
    }
    this.#tell('notification', notification);
  }

  /** The connection is gone: a gap begins with the last thing that was heard on it. @param {Link} link @param {Error} cause */
  #lost(link, cause) {
    if (this.#live !== link) return;
    this.#live = undefined;
    link.stop();
    release(link.session);
    if (!this.#isWanted()) return;
    this.#gap ??= { since: this.#lastHeard, cause };
    this.#tell('lost', cause);
    // Who was told may have given up the last channel, or the listener.
    if (this.#isWanted() && this.#attempt === undefined) this.#connect();
  }

  #isWanted() {
    return this.#channels.size > 0 && this.#ending === undefined;
  }

  /** @param {Target} session @param {string} sql */
  async #run(session, sql) {
    const answer = await execute(session, sql, undefined, this.#decoders, {
      operation: OPERATION.SIMPLE,
    });
    this.#lastHeard = new Date();
    return answer;
  }

  /** @param {string} name @param {unknown} value */
  #tell(name, value) {
    for (const listener of this.rawListeners(name)) this.#guard(() => listener.call(this, value));
  }

  /** What a handler throws is its own failure: the others are called, and the connection goes on (J05). @param {() => unknown} call */
  #guard(call) {
    try {
      const returned = call();
      if (returned instanceof Promise) returned.catch((error) => this.#report(error, true));
    } catch (error) {
      this.#report(error, true);
    }
  }

  /** @param {unknown} error @param {boolean} [isUsers] thrown by a handler */
  #report(error, isUsers = false) {
    const listeners = this.rawListeners('error');
    if (listeners.length === 0) {
      if (isUsers)
        process.emitWarning(`a handler of a Listener threw: ${textOf(error)}`, {
          code: 'PG_BERTH_HANDLER',
        });
      return;
    }
    for (const listener of listeners) {
      try {
        listener.call(this, error);
      } catch (failure) {
        process.emitWarning(`an error handler of a Listener threw: ${textOf(failure)}`, {
          code: 'PG_BERTH_HANDLER',
        });
      }
    }
  }

  #checkOpen() {
    if (this.#ending !== undefined) throw closed();
  }

  end() {
    this.#ending ??= this.#end();
    return this.#ending;
  }

  async #end() {
    this.#pause.abort();
    this.#channels.clear();
    const link = this.#live;
    this.#live = undefined;
    try {
      if (link !== undefined) {
        link.stop();
        // The last request of the session: the connection goes back, and the pool closes it politely.
        const manner = { operation: OPERATION.SIMPLE, flags: FLAG.FINISH, timeoutMs: FAREWELL_MS };
        await execute(link.session, 'UNLISTEN *', undefined, this.#decoders, manner).catch(
          () => {},
        );
        release(link.session);
      }
      if (this.#pool !== undefined) await end(this.#pool, FAREWELL_MS);
    } finally {
      this.#letExit();
    }
  }

  [Symbol.asyncDispose]() {
    return this.end();
  }
}

/** Of whatever was thrown: not everything can be made a text. @param {unknown} thrown */
function textOf(thrown) {
  try {
    return String(thrown);
  } catch {
    return 'what is no text';
  }
}

/** @returns {Attempt} an attempt nobody may be waiting for */
function newAttempt() {
  /** @type {any} */
  const attempt = {};
  attempt.promise = new Promise((resolve, reject) => Object.assign(attempt, { resolve, reject }));
  attempt.promise.catch(() => {});
  return attempt;
}

/** @param {unknown} channel */
function checkChannel(channel) {
  const problem =
    typeof channel !== 'string'
      ? `must be a string, got ${typeof channel}`
      : channel === ''
        ? 'must not be empty'
        : channel.includes('\0')
          ? 'must not contain U+0000'
          : Buffer.byteLength(channel) > MAX_NAME_BYTES
            ? `must have at most ${MAX_NAME_BYTES} bytes: the server would cut it`
            : undefined;
  if (problem !== undefined) {
    throw argumentError(new TypeError(`channel ${problem}`), { code: 'ERR_CONFIG' });
  }
}

function closed() {
  return new ClosedError(
    'the listener is closed (end() was called); createListener makes another',
    {
      code: 'ERR_CLOSED',
      outcome: 'not-sent',
      transient: false,
    },
  );
}

/** Did the connection go, rather than the statement fail? @param {any} error */
function isLoss(error) {
  const fields = /** @type {NativeError} */ (error);
  return ['lost', 'closed', 'transactionLost', 'io'].includes(fields?.kind);
}

/** May an `end` be why it failed? @param {any} error */
function isEnd(error) {
  return isLoss(error) || ['cancelled', 'connect', 'acquire'].includes(error?.kind);
}

/**
 * @param {unknown} options
 * @returns {Listener}
 */
function createListener(options) {
  const read = readPoolOptions(options);
  for (const name of REFUSED) {
    if (name in read) throw wrong(name, 'has no meaning for a listener');
  }
  return new Listener(read);
}

module.exports = { Listener, createListener };
