// What reaches the process uncaught while something runs, which the runner's own listener would fail the test for.
'use strict';

/**
 * @param {() => unknown} run
 * @returns {Promise<any[]>}
 */
async function uncaughtIn(run) {
  const thrown = [];
  const hear = (error) => thrown.push(error);
  const others = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  process.on('uncaughtException', hear);
  try {
    await run();
  } finally {
    process.removeListener('uncaughtException', hear);
    for (const other of others) process.on('uncaughtException', other);
  }
  return thrown;
}

module.exports = { uncaughtIn };
