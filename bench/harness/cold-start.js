// Time from starting a process to the first row it prints.
'use strict';

const { spawn } = require('node:child_process');
const { command } = require('./peers.js');

/**
 * Certificates of the machine's owner: Node reads and parses all of them before it runs anything, used or not. Where that is
 * set, a Node that does nothing took 117 ms instead of 30, which is no peer's doing.
 */
const { NODE_EXTRA_CA_CERTS: _, ...env } = process.env;

/**
 * @param {string} peer
 * @param {string} url
 * @returns {Promise<{ms: number, row: string}>}
 */
function measureCold(peer, url) {
  return new Promise((resolve, reject) => {
    const [file, args] = command(peer, 'cold.js');
    const start = performance.now();
    const child = spawn(file, [...args, url], { env, stdio: ['ignore', 'pipe', 'inherit'] });
    let ms = Number.NaN;
    let row = '';
    child.stdout.on('data', (piece) => {
      if (row === '') ms = performance.now() - start;
      row += piece;
    });
    const timer = setTimeout(() => child.kill('SIGKILL'), 20_000);
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      if (code === 0 && row !== '') resolve({ ms, row: row.trim() });
      else reject(new Error(`${peer}: cold start ended with ${signal ?? code}`));
    });
  });
}

module.exports = { measureCold };
