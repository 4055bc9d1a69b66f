// A program in a process of its own that answers JSON lines, and that can be frozen and thawed as platforms do it.
'use strict';

const { spawn } = require('node:child_process');
const { once } = require('node:events');
const readline = require('node:readline');

class LineProcess {
  #child;
  #asked = 0;
  /** @type {Map<number, (answer: any) => void>} */
  #waiting = new Map();

  /** @param {string} file @param {object} options its only argument, as JSON @param {Record<string, string>} [env] */
  constructor(file, options, env = {}) {
    this.#child = spawn(process.execPath, [file, JSON.stringify(options)], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...process.env, ...env },
    });
    this.exited = once(this.#child, 'exit');
    readline.createInterface({ input: this.#child.stdout }).on('line', (line) => {
      const answer = JSON.parse(line);
      this.#waiting.get(answer.id)?.(answer);
      this.#waiting.delete(answer.id);
    });
  }

  /** @param {object} wish @returns {Promise<any>} the line with the same id */
  ask(wish) {
    const id = ++this.#asked;
    const answered = new Promise((resolve) => this.#waiting.set(id, resolve));
    this.#child.stdin.write(`${JSON.stringify({ id, ...wish })}\n`);
    return answered;
  }

  freeze() {
    this.#child.kill('SIGSTOP');
  }

  thaw() {
    this.#child.kill('SIGCONT');
  }

  kill() {
    this.#child.kill('SIGKILL');
  }

  /** @returns {Promise<number | null>} its exit code */
  async end() {
    this.thaw();
    this.#child.stdin.end();
    return (await this.exited)[0];
  }
}

module.exports = { LineProcess };
