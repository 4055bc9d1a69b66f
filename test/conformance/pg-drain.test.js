// The event `drain` against `pg` where the connection is lost: programs end the client at that event.
'use strict';

const { pair } = require('../support/pg-pair.js');
const { waitFor } = require('../support/wait.js');

const { compareAll } = pair();

/** Ends a session from outside, once it has something to do. */
async function killBusy(observer, { processID }) {
  const sleeping = `select from pg_stat_activity where pid = $1 and wait_event = 'PgSleep'`;
  await waitFor(async () => (await observer.query(sleeping, [processID])).rowCount > 0);
  await observer.query('select pg_terminate_backend($1)', [processID]);
}

compareAll(
  [0, 1].map((waiting) => ({
    name: `a loss is told of, and no drain, with ${waiting} queries waiting`,
    run: async (_, { connect, observer }) => {
      const client = await connect();
      const log = [];
      client.on('drain', () => {
        log.push('drain');
        client.end();
      });
      client.on('error', ({ message }) => log.push(message));
      const ended = new Promise((resolve) => {
        client.on('end', resolve);
      });
      client.query('select pg_sleep(60)', ({ code }) => log.push(code));
      for (let i = 0; i < waiting; i++) client.query('select 1', () => {});
      await killBusy(observer, client);
      await ended;
      return log;
    },
  })),
);
