// Runs programs for the scripts: live or kept, always with their exit code and duration.
'use strict';

const { spawn } = require('node:child_process');
const path = require('node:path');

const ROOT = path.join(__dirname, '../..');
/** What a program leaves behind may hold its output open; nobody waits longer for that. */
const LEFT_OPEN_MS = 10_000;
const WINDOWS = process.platform === 'win32';

/**
 * @typedef {{ code: number, output: string, seconds: number }} Ended
 * @typedef {{ live?: boolean, env?: NodeJS.ProcessEnv, onText?: (text: string) => void, timeoutMs?: number }} RunOptions
 * `timeoutMs`: it is killed after that; `live` hands the output through; otherwise it is kept, and `onText` sees it as it comes
 */

/** Where people get what is not installed. @type {Record<string, string>} */
const SOURCES = {
  cargo: 'Rust comes from https://rustup.rs',
  npm: 'it comes with Node.js',
  readelf: 'Debian: apt-get install binutils',
};

/** @param {string} command */
const missing = (command) => {
  const source = SOURCES[command];
  return `${command} is not installed, or not in PATH${source ? ` (${source})` : ''}\n`;
};

/**
 * Runs a program in the repository to its end, whatever its exit code.
 * @param {string} command
 * @param {string[]} args
 * @param {RunOptions} [options]
 * @returns {Promise<Ended>}
 */
function run(command, args, { live = false, env = {}, onText, timeoutMs } = {}) {
  const started = performance.now();
  const child = spawn(command, args, {
    cwd: ROOT,
    env: { ...process.env, ...env },
    shell: WINDOWS && command === 'npm', // npm is a batch file there
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
  });
  let output = '';
  for (const [stream, target] of [
    [child.stdout, process.stdout],
    [child.stderr, process.stderr],
  ]) {
    stream.setEncoding('utf8').on('data', (text) => {
      output += text;
      onText?.(text);
      if (live) target.write(text);
    });
  }
  return new Promise((resolve) => {
    const end = (code) => resolve({ code, output, seconds: (performance.now() - started) / 1000 });
    child.once('error', (error) => {
      const isMissing = /** @type {NodeJS.ErrnoException} */ (error).code === 'ENOENT';
      output += isMissing ? missing(command) : `${command}: ${error.message}\n`;
      end(127);
    });
    /** @type {NodeJS.Timeout | undefined} */
    let leaving;
    child.once('exit', () => {
      leaving = setTimeout(() => {
        output += `${command} has left a process behind that holds its output open\n`;
        child.stdout.destroy();
        child.stderr.destroy();
      }, LEFT_OPEN_MS);
    });
    child.once('close', (code, signal) => {
      clearTimeout(leaving);
      if (signal) output += `${command} was ended by ${signal}\n`;
      end(code ?? 1);
    });
  });
}

/** A program of the development dependencies, run by its own launcher. */
const tool = (name) => path.join(ROOT, 'node_modules/.bin', WINDOWS ? `${name}.cmd` : name);

module.exports = { run, tool, ROOT };
