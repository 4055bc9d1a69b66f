// graphile-worker: its migrations, LISTEN on a client of the pool, a job run well under the poll interval.
'use strict';

const { once, EventEmitter } = require('node:events');
const { Logger, makeWorkerUtils, run } = require('graphile-worker');

module.exports = async ({ pg, url, isInjected }) => {
  const pgPool = new pg.Pool({ connectionString: url });
  pgPool.on('error', () => {});
  pgPool.on('connect', (client) => client.on('error', () => {}));
  const connection = isInjected ? { pgPool } : { connectionString: url };
  const logger = new Logger(() => () => {});
  const told = new EventEmitter();
  const events = new EventEmitter();
  const listening = once(events, 'pool:listen:success');
  const runner = await run({
    ...connection,
    logger,
    events,
    noHandleSignals: true,
    pollInterval: 60_000,
    taskList: { greet: async (payload) => told.emit('done', payload) },
  });
  // `run` does not wait for it, and a job added before is found by the next poll only.
  await listening;
  const utils = await makeWorkerUtils({ ...connection, logger });
  const done = once(told, 'done');
  await utils.addJob('greet', { name: 'a' });
  const [payload] = await done;
  await utils.release();
  await runner.stop();
  await pgPool.end();
  return payload;
};
