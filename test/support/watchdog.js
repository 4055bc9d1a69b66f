// Ends a server and removes its folder when the process that started it is gone, however it ended.
'use strict';

const { spawn } = require('node:child_process');

/**
 * A shell that waits on a pipe from us. Whatever ends this process, exit, signal or kill −9, closes the pipe;
 * the shell then stops the server (immediate shutdown, by the pid in its own data folder) and removes the folder. A
 * manager that would start the server again goes first.
 */
const SCRIPT = `
read -r word && exit 0
manager=$(cat "$1/manager.pid" 2>/dev/null) && kill -KILL "$manager"
pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null) && kill -QUIT "$pid"
for _ in 1 2 3 4 5 6 7 8 9 10; do [ -e "$1/data/postmaster.pid" ] || break; sleep 0.2; done
rm -rf "$1"
`;

/**
 * @param {string} folder holds the data folder `data`
 * @returns {() => void} call it once the server is stopped and its folder removed
 */
function guard(folder) {
  // detached: Ctrl-C goes to the whole foreground group and must not end the watchdog first
  const shell = spawn('sh', ['-c', SCRIPT, 'watchdog', folder], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  shell.unref();
  shell.stdin.on('error', () => {}); // a watchdog that someone ended has nothing left to be told
  /** @type {import('node:net').Socket} */ (/** @type {unknown} */ (shell.stdin)).unref();
  return () => shell.stdin.end('stopped\n');
}

module.exports = { guard };
