// Fails the whole test process when a rejection or an exception reached nobody (rule P04).
'use strict';

/** @type {unknown[]} */
const strays = [];

for (const event of ['unhandledRejection', 'uncaughtExceptionMonitor']) {
  process.on(event, (error) => strays.push(error));
}

process.on('exit', () => {
  if (strays.length === 0) return;
  console.error('errors that reached nobody:', ...strays);
  process.exitCode = 1;
});
