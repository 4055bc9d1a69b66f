// Everything the pg face gives out that has to settle, in the state in which it waits for something.
'use strict';

const { once } = require('node:events');
const copyStreams = require('pg-copy-streams');
const ForeignCursor = require('pg-cursor');
const ForeignStream = require('pg-query-stream');
const { Cursor, Query, QueryStream, copyFrom, copyTo } = require('../../lib/index.js');

const SET_UP = `
  create table item (id int);
  create table locked (id int);
  create function pause() returns trigger language plpgsql as 'begin perform pg_sleep(60); return new; end';
  create table slow (id int);
  create trigger slow before insert on slow for each row execute function pause()`;

const MANY = 'select n, repeat($$x$$, 1000) from generate_series(1, 100000) n';

/** Seconds that statements sleep: as good as for ever, unless their pool waits for them. */
const LONG = 60;
const SHORT = 1;

const byCallback = (start) =>
  new Promise((resolve) => start((error, value) => resolve(error ?? value)));
const ended = (stream) => {
  stream.resume?.();
  return new Promise((resolve) => {
    if (stream.closed) resolve(undefined);
    else stream.once('close', resolve);
    stream.on('error', () => {});
  });
};
const overOrFailed = (stream) => {
  stream.resume?.();
  return new Promise((resolve) => stream.once('close', resolve).once('error', resolve));
};
const eventOf = (query) =>
  new Promise((resolve) => {
    query.once('end', resolve);
    query.once('error', resolve);
  });

async function* stuck(count) {
  for (let id = 0; id < count; id++) yield { id };
  await new Promise(() => {});
}

async function iterated(stream) {
  let count = 0;
  for await (const _ of stream) count++;
  return count;
}

/** Keeps the client busy, so that what follows waits for its turn. */
const busy = (client) => client.query(`select pg_sleep(${LONG})`);

/**
 * What a client gives out. Each gets a client of its own and returns what has to settle, by name; a function is called
 * behind the end: what is asked then settles too.
 */
const OF_CLIENTS = {
  'query, and one behind it': (c) => ({
    running: busy(c),
    waiting: c.query('select 1'),
    callback: byCallback((done) => c.query('select 1', done)),
    prepared: c.query({ name: 'mine', text: 'select $1::int', values: [1] }),
    limited: c.query({ text: 'select 1', query_timeout: 50_000 }),
    abortable: c.query({ text: 'select 1', signal: new AbortController().signal }),
    later: () => c.query('select 1'),
    laterCallback: () => byCallback((done) => c.query('select 1', done)),
  }),
  'query with a limit and with a signal': (c) => ({
    limited: c.query({ text: `select pg_sleep(${LONG})`, query_timeout: 50_000 }),
    abortable: c.query({ text: 'select 1', signal: new AbortController().signal }),
  }),
  'abortable query': (c) => ({
    abortable: c.query({ text: `select pg_sleep(${LONG})`, signal: new AbortController().signal }),
  }),
  'callback query': (c) => ({
    callback: byCallback((done) => c.query(`select pg_sleep(${LONG})`, done)),
  }),
  Query: (c) => ({
    running: eventOf(c.query(new Query(`select pg_sleep(${LONG})`))),
    waiting: eventOf(c.query(new Query('select 1'))),
    callback: byCallback((done) => c.query(new Query('select 1', done))),
    later: () => eventOf(c.query(new Query('select 1'))),
  }),
  'isolated batch': (c) => ({ batch: c.batch([`select pg_sleep(${LONG})`, 'select 1']) }),
  'batch of all or nothing': (c) => ({
    batch: c.batch([`select pg_sleep(${LONG})`, 'select 1'], { errors: 'all-or-nothing' }),
    waiting: c.batch(['select 1'], { errors: 'all-or-nothing' }),
    later: () => c.batch(['select 1'], { errors: 'all-or-nothing' }),
    laterIsolated: () => c.batch(['select 1']),
  }),
  'batch inside a transaction': async (c) => {
    await c.query('begin');
    return { batch: c.batch([`select pg_sleep(${LONG})`], { errors: 'all-or-nothing' }) };
  },
  ...cursors('Cursor', Cursor),
  ...cursors('pg-cursor', ForeignCursor, true),
  ...queryStreams('QueryStream', QueryStream),
  ...queryStreams('pg-query-stream', ForeignStream),
  ...copies('copyFrom, copyTo', { from: copyFrom, to: copyTo }, false),
  ...copies('pg-copy-streams', copyStreams, true),
  'insertMany on a slow table': (c) => ({
    running: c.insertMany('slow', [{ id: 1 }]),
    waiting: c.insertMany('item', [{ id: 1 }]),
    later: () => c.insertMany('item', [{ id: 1 }]),
  }),
  'insertMany without a first row': (c) => ({ running: c.insertMany('item', stuck(0)) }),
  'insertMany from a source that got stuck': (c) => ({ running: c.insertMany('item', stuck(3)) }),
  'insertMany into a table that is locked': (c) => ({ running: c.insertMany('locked', many()) }),
  end: (c) => ({
    // Behind a statement the connection is cut; both forms answer.
    later: () => c.end(),
    callback: () => byCallback((done) => c.end(done)),
  }),
};

function* many() {
  for (let id = 0; id < 200_000; id++) yield { id };
}

/** The package's own class forgets the read that runs, with `pg` as well, and leaves reads behind when it is closed. */
function cursors(name, Class, isForeign = false) {
  const closeOf = (cursor) => (isForeign ? undefined : cursor.close());
  return {
    [`${name}: a read that runs`]: (c) => {
      const cursor = c.query(new Class(`select pg_sleep(${LONG})`));
      const running = cursor.read(1);
      return {
        running: isForeign ? undefined : running,
        second: cursor.read(1),
        callback: byCallback((done) => cursor.read(1, done)),
        close: closeOf(cursor),
        behind: c.query('select 1'),
        later: () => cursor.read(1),
        laterClose: () => cursor.close(),
      };
    },
    [`${name}: one that waits for its turn`]: (c) => {
      const running = busy(c);
      const cursor = c.query(new Class('select 1'));
      const unread = c.query(new Class('select 1'));
      return {
        running,
        read: cursor.read(1),
        close: closeOf(cursor),
        later: () => unread.read(1),
        laterClose: () => byCallback((done) => unread.close(done)),
      };
    },
    [`${name}: between two reads`]: async (c) => {
      const cursor = c.query(new Class('select n from generate_series(1, 1000) n'));
      await cursor.read(1);
      return {
        behind: c.query('select 1'),
        later: () => cursor.read(1),
        laterClose: () => cursor.close(),
        laterCallback: () => byCallback((done) => cursor.close(done)),
      };
    },
  };
}

function queryStreams(name, Class) {
  return {
    [`${name}: one that runs`]: (c) => ({
      running: iterated(c.query(new Class(`select pg_sleep(${LONG})`))),
    }),
    [`${name}: one that waits for its turn`]: (c) => ({
      running: busy(c),
      waiting: iterated(c.query(new Class('select 1'))),
      behind: c.query('select 1'),
      later: () => iterated(c.query(new Class('select 1'))),
    }),
    [`${name}: one that nobody reads`]: async (c) => {
      const stream = c.query(new Class(MANY));
      stream.on('error', () => {});
      await once(stream, 'readable');
      return { behind: c.query('select 1'), later: () => ended(stream) };
    },
    [`${name}: one that was destroyed`]: async (c) => {
      const stream = c.query(new Class(`select pg_sleep(${LONG})`));
      stream.resume();
      const closing = ended(stream);
      await new Promise((resolve) => setImmediate(resolve));
      stream.destroy();
      return { closing, behind: c.query('select 1') };
    },
  };
}

/** The package's streams tell of a failure by `error` alone. */
function copies(name, { from, to }, isForeign) {
  const over = isForeign ? overOrFailed : ended;
  const own = (promise) => (isForeign ? undefined : promise);
  const FROM = 'copy item from stdin';
  return {
    [`${name}: FROM without data`]: (c) => ({
      closing: over(c.query(from(FROM))),
      behind: c.query('select 1'),
    }),
    [`${name}: FROM behind its last byte`]: (c) => {
      const stream = c.query(from('copy slow from stdin'));
      const closing = over(stream);
      return { closing, finished: own(byCallback((done) => stream.end('1\n', done))) };
    },
    [`${name}: FROM into a table that is locked`]: (c) => {
      const stream = c.query(from('copy locked from stdin'));
      const closing = over(stream);
      const written = byCallback((done) => stream.write(Buffer.alloc(1 << 20, '1\n'), done));
      return { closing, written: own(written) };
    },
    [`${name}: FROM that waits for its turn`]: (c) => {
      const running = busy(c);
      const stream = c.query(from(FROM));
      const closing = over(stream);
      return { running, closing, finished: own(byCallback((done) => stream.end('1\n', done))) };
    },
    [`${name}: TO that runs`]: (c) => ({
      closing: over(c.query(to(`copy (select pg_sleep(${LONG})) to stdout`))),
      behind: c.query('select 1'),
    }),
    [`${name}: TO that nobody reads`]: async (c) => {
      const stream = c.query(to(`copy (${MANY}) to stdout`));
      stream.on('error', () => {});
      await once(stream, 'readable');
      const behind = c.query('select 1').catch(() => {});
      // Its loss shows behind the data that was sent before.
      return { later: () => Promise.allSettled([over(stream), behind]) };
    },
    [`${name}: TO that waits for its turn`]: (c) => ({
      running: busy(c),
      closing: over(c.query(to(`copy (${MANY}) to stdout`))),
    }),
  };
}

/** What a pool with one client gives out while that client is lent. */
const waitingAt = (pool) => ({
  connect: pool.connect().then((client) => client.release()),
  connectCallback: byCallback((done) =>
    pool.connect((error, _client, release) => {
      release(error);
      done(error);
    }),
  ),
  query: pool.query('select 1'),
  queryCallback: byCallback((done) => pool.query('select 1', done)),
  config: pool.query({ text: 'select $1::int', values: [1], name: 'n' }),
  abortable: pool.query({ text: 'select 1', signal: new AbortController().signal }),
  query_object: byCallback((done) => pool.query(new Query('select 1'), done)),
  batch: pool.batch(['select 1']),
  insertMany: pool.insertMany('item', [{ id: 1 }]),
});

/** What a pool gives out that runs: each has a pool of its own. */
const OF_POOLS = {
  query: (p, s) => ({ running: p.query(`select pg_sleep(${s})`) }),
  'query that is abortable': (p, s) => ({
    running: p.query({ text: `select pg_sleep(${s})`, signal: new AbortController().signal }),
  }),
  'query with a callback': (p, s) => ({
    running: byCallback((done) => p.query(`select pg_sleep(${s})`, done)),
  }),
  'quick queries ahead of one another': (p, s) => ({
    ...Object.fromEntries(
      Array.from({ length: 20 }, (_, n) => [n, p.query('select $1::int', [n])]),
    ),
    slow: p.query(`select pg_sleep(${s})`),
  }),
  batch: (p, s) => ({ running: p.batch([`select pg_sleep(${s})`, 'select 1']) }),
  'batch of all or nothing': (p, s) => ({
    running: p.batch([`select pg_sleep(${s})`], { errors: 'all-or-nothing' }),
  }),
  insertMany: (p, s) => ({ running: p.insertMany(s === LONG ? 'slow' : 'item', [{ id: 1 }]) }),
  QueryStream: (p, s) => {
    const stream = new QueryStream(`select pg_sleep(${s})`);
    return { running: p.query(stream), closing: ended(stream) };
  },
};

module.exports = { LONG, OF_CLIENTS, OF_POOLS, SET_UP, SHORT, waitingAt };
