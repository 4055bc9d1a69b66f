// Tells hooks and, with `debug`, the console; nothing they do reaches the client.
'use strict';

/** @import { DeathMeta } from '../../types/serverless.js' */

/** Without the option `debug`. @type {(...words: any[]) => void} */
const SILENT = () => {};

class Hooks {
  #hooks;

  /** @param {Readonly<Record<string, Function>>} hooks @param {boolean} debug */
  constructor(hooks, debug) {
    this.#hooks = hooks;
    // biome-ignore lint/suspicious/noConsole: this is what the option `debug` asks for.
    this.logger = debug ? (/** @type {any[]} */ ...words) => console.log(...words) : SILENT;
  }

  /**
   * Calls a hook; what it throws or rejects with is its own failure.
   * @param {string} name @param {object} payload
   */
  call(name, payload) {
    const hook = this.#hooks[name];
    if (hook === undefined) return;
    try {
      const returned = hook(payload);
      if (typeof returned?.then === 'function')
        Promise.resolve(returned).catch((error) => this.#failed(name, error));
    } catch (error) {
      this.#failed(name, error);
    }
  }

  /**
   * Tells of one call of `query`, from its start to its end.
   * @param {readonly any[]} args @param {() => Promise<any>} perform
   */
  async around(args, perform) {
    const started = performance.now();
    const duration = () => Math.round(performance.now() - started);
    this.call('onQueryStart', { args, startedAt: Date.now() });
    try {
      const res = await perform();
      this.call('onQueryEnd', { args, res, duration: duration() });
      return res;
    } catch (err) {
      this.call('onQueryError', { args, err, duration: duration() });
      throw err;
    }
  }

  /** @param {string} name @param {unknown} error */
  #failed(name, error) {
    this.log(() => `hook ${name} failed: ${error instanceof Error ? error.message : typeof error}`);
  }

  /** @param {() => string} message never with a secret or a password in it */
  log(message) {
    if (this.logger !== SILENT) this.logger(`[ServerlessClient] ${message()}`);
  }
}

/**
 * What hooks are told about the error that ended a connection.
 * @param {any} error @returns {DeathMeta}
 */
function metaOf(error) {
  const { code, errno, syscall, address, port, severity, routine } = error;
  const sqlstate = severity === undefined ? undefined : code;
  return { code, sqlstate, errno, syscall, address, port, severity, routine };
}

module.exports = { Hooks, metaOf };
