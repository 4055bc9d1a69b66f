// One peer's process: starts it, asks it by JSON lines over stdin and stdout, ends it.
'use strict';

const { spawn } = require('node:child_process');
const readline = require('node:readline');
const { command } = require('./peers.js');

class PeerProcess {
  #child;
  #pending = null;
  #closing = false;

  /** @param {string} peer */
  constructor(peer) {
    this.peer = peer;
    const [file, args] = command(peer, 'child.js');
    this.#child = spawn(file, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#child.on('error', (error) => this.#settle({ error: error.message }));
    this.#child.on('exit', (code, signal) => {
      this.#settle({ error: `process ended (${signal ?? code})` });
    });
    this.#child.stdin.on('error', () => {}); // the exit event reports it
    readline.createInterface({ input: this.#child.stdout }).on('line', (line) => {
      if (line.startsWith('{')) this.#settle(JSON.parse(line));
    });
  }

  #settle(answer) {
    const pending = this.#pending;
    this.#pending = null;
    if (!pending) return;
    clearTimeout(pending.timer);
    if (answer.error) pending.reject(new Error(`${this.peer}: ${answer.error}`));
    else pending.resolve(answer);
  }

  /**
   * Sends one command and waits for its answer; one at a time.
   *
   * @param {Record<string, unknown>} message
   * @param {number} timeoutMs after which the process is killed
   * @returns {Promise<any>}
   */
  ask(message, timeoutMs) {
    return new Promise((resolve, reject) => {
      if (this.#child.exitCode !== null) {
        reject(new Error(`${this.peer}: process has ended`));
        return;
      }
      const timer = setTimeout(() => {
        this.#settle({ error: `no answer to ${message.cmd} within ${timeoutMs} ms` });
        this.#child.kill('SIGKILL');
      }, timeoutMs);
      this.#pending = { resolve, reject, timer };
      this.#child.stdin.write(`${JSON.stringify(message)}\n`);
    });
  }

  /** Asks the process to end and makes sure that it does. Safe to call twice. */
  async close() {
    if (this.#closing) return;
    this.#closing = true;
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = new Promise((resolve) => this.#child.once('exit', resolve));
    try {
      await this.ask({ cmd: 'close' }, 10_000);
    } catch {
      // an unwilling process is ended below
    }
    this.#child.stdin.end();
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 2_000);
    await gone;
    clearTimeout(timer);
  }
}

module.exports = { PeerProcess };
