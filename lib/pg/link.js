// The open connection of a client: asked, watched, ended.
'use strict';

const { lazy } = require('../lazy.js');
const native = require('../native.js');
const { end, openClient, openClientSync, release } = require('../handles.js');
const { listen } = require('../hearers.js');
const { FLAG, OPERATION, keepAlive } = require('../mailbox.js');
const { send } = require('../request.js');
const { isTraced } = require('../tracing/channels.js');
const { connecting } = require('../tracing/connecting.js');

/** @import { NativeError } from '../../types/native-error.js' */
/** @import { Answer } from '../../types/internal.js' */
/** @import { Manner } from '../request.js' */
/** @typedef {import('../handles.js').Hooks} Hooks */
/** @typedef {InstanceType<typeof import('../decoders.js').Decoders>} Decoders */

const tracing = lazy(() => require('../tracing/queries.js'));

/** How long a polite end may take. */
const PATIENCE_MS = 2000;

/** How statements without a name of the program's are asked for; rarely anything else is needed. */
const EXTENDED = Object.freeze({
  /** Outside transactions they stay prepared, under names of ours. */
  named: manners(OPERATION.EXECUTE, FLAG.OUTSIDE | FLAG.OUTGOING),
  /** They leave nothing on the server. */
  unnamed: manners(OPERATION.EXECUTE, FLAG.UNNAMED | FLAG.OUTGOING),
});

/** Without values, and perhaps of several statements. */
const SIMPLE = Object.freeze({
  /** A single one that comes again is kept as the others. */
  named: manners(OPERATION.SIMPLE, FLAG.OUTSIDE),
  unnamed: manners(OPERATION.SIMPLE, 0),
});

/** What pg reads of the environment was read before; anything else would change what programs do. */
const VARIABLES = ['PGPASSFILE'];

/**
 * One behind the answer to the other, or ahead of it.
 * @param {number} operation @param {number} flags
 */
function manners(operation, flags) {
  return Object.freeze({
    inTurn: Object.freeze({ operation, flags }),
    ahead: Object.freeze({ operation, flags: flags | FLAG.PIPELINED }),
  });
}

class Link {
  #unlisten;
  /** @type {(() => void) | undefined} */
  #letGo;
  /** @type {'I' | 'T' | 'E' | null} */
  #lastStatus = 'I';
  #isOver = false;

  /**
   * @param {Awaited<ReturnType<typeof openClient>>} opened
   * @param {'named' | 'unnamed'} preparedStatements
   * @param {(event: any) => void} onEvent of the connection; the end comes last and once
   */
  constructor(opened, preparedStatements, onEvent) {
    this.extended = EXTENDED[preparedStatements];
    this.simple = SIMPLE[preparedStatements];
    this.target = opened.target;
    this.processID = opened.pid;
    this.encrypted = opened.encrypted;
    this.parameters = opened.parameters;
    this.#unlisten = listen(opened.target, (event) => {
      if (event.event === 'end') this.#over(event.error);
      onEvent(event);
    });
  }

  /** In a pipeline a statement that turned out to be stale would run behind its successors. */
  prepareNothing() {
    this.extended = EXTENDED.unnamed;
    this.simple = SIMPLE.unnamed;
  }

  /** @param {object} settings @param {Hooks} hooks */
  static open(settings, hooks) {
    const { database, user } = /** @type {any} */ (settings);
    const about = /** @type {const} */ ({ face: 'pg', database, user, key: hooks.key });
    return connecting(about, () => openClient(settings, 'pg', VARIABLES, hooks));
  }

  /** The same, with the thread blocked. @param {object} settings @param {Hooks} hooks @param {number} patienceMs */
  static openSync(settings, hooks, patienceMs) {
    return openClientSync(settings, 'pg', patienceMs, VARIABLES, hooks);
  }

  /**
   * @param {string | undefined} sql @param {readonly unknown[] | undefined} values @param {Decoders} decoders
   * @param {Manner} manner @param {Answer} answer
   */
  ask(sql, values, decoders, manner, answer) {
    return send(this.target, sql, values, decoders, manner, answer);
  }

  /** The server's transaction status with its last answer. */
  get status() {
    const { slot, generation } = this.target;
    const status = this.#isOver ? null : native.clientStatus(slot, generation);
    if (status !== null) this.#lastStatus = status;
    return this.#lastStatus;
  }

  /** May statements have left something in the session since this was asked last? */
  takeResidue() {
    const { slot, generation } = this.target;
    return !this.#isOver && native.clientResidue(slot, generation);
  }

  /** @param {boolean} holds does the open connection keep the process alive? */
  hold(holds) {
    if (holds) this.#letGo ??= keepAlive();
    else {
      this.#letGo?.();
      this.#letGo = undefined;
    }
  }

  /** @param {any} [reason] */
  #over(reason) {
    if (this.#isOver) return;
    const { about } = this.target;
    if (isTraced() || about.told !== undefined) tracing().abandon(this.target, reason);
    this.#lastStatus = this.status;
    this.#isOver = true;
    this.hold(false);
    release(this.target);
  }

  /** Ends the connection: at once, or behind what was asked. Never rejects. @param {boolean} isPolite */
  async end(isPolite) {
    try {
      await end(this.target, isPolite ? PATIENCE_MS : 0);
    } catch {
      // The environment is being torn down, and its connections with it.
    }
    this.#unlisten();
    this.#over();
  }
}

module.exports = { Link };
