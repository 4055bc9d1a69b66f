// pg-listen: channels, payloads as JSON, and listening again after a lost connection.
'use strict';

const { once } = require('node:events');

module.exports = async ({ pg, url }) => {
  const createSubscriber = require('pg-listen').default;
  const subscriber = createSubscriber({ connectionString: url }, { retryInterval: 20 });
  const { events, notifications } = subscriber;
  events.on('error', () => {});
  await subscriber.connect();
  await subscriber.listenTo('a');
  await subscriber.listenTo('b"x');
  const heard = [];
  const next = async (channel, send) => {
    const [[payload]] = await Promise.all([once(notifications, channel), send()]);
    heard.push([channel, payload]);
  };
  await next('a', () => subscriber.notify('a', { n: 1, text: 'é' }));
  await next('b"x', () => subscriber.notify('b"x', 'plain'));
  await next('a', () => subscriber.notify('a'));
  const channels = subscriber.getSubscribedChannels();
  const observer = new pg.Client(url);
  await observer.connect();
  const back = Promise.all([once(events, 'reconnect'), once(events, 'connected')]);
  await observer.query(
    'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
  );
  const [[attempt]] = await back;
  await next('a', () => observer.query(`notify a, '{"n":2}'`));
  await subscriber.unlistenAll();
  await subscriber.close();
  await observer.end();
  return { heard, channels, attempt };
};
