// Every workload as data: what is run, on which statement, how many at once, for how long.
'use strict';

/**
 * op: a key of workloads/ops.js. kind: how it is run and judged: `rate` (operations per second),
 * `delay` (worst event-loop delay), `memory` (peak of a fresh process), `cold` (process start to
 * first row), `soak` (memory over many operations). ms: length of one round; an operation that
 * began in time is finished. rounds: at least so many. tls: of a server that offers it.
 */
const rate = (name, title, chart, op, statement, concurrency, ms) => {
  return { name, title, chart, kind: 'rate', op, statement, concurrency, ms };
};

const WORKLOADS = [
  rate('point-1', 'point select, 1 at once', 'point', 'point', 'point', 1, 400),
  rate('point-10', 'point select, 10 at once', 'point', 'point', 'point', 10, 400),
  rate('point-100', 'point select, 100 at once', 'point', 'point', 'point', 100, 400),
  rate('select1', 'select 1, 1 at once', 'point', 'one', 'select1', 1, 400),
  {
    ...rate('point-tls-1', 'point select over TLS, 1 at once', 'point', 'point', 'point', 1, 400),
    tls: true,
  },
  rate('rows-1000', '1 000 rows of 10 columns', 'results', 'rows', 'rows1000', 1, 400),
  rate('rows-100000', '100 000 rows of 10 columns', 'results', 'rows', 'rows100000', 1, 700),
  rate('objects-25000', '25 000 rows to objects', 'results', 'rows', 'people', 1, 400),
  rate('json-1', '1 MB of json, 1 at once', 'results', 'rows', 'docs', 1, 400),
  rate('json-10', '1 MB of json, 10 at once', 'results', 'rows', 'docs', 10, 400),
  rate('bytea', '10 MB of bytea there and back', 'results', 'bytea', 'echo', 1, 500),
  rate('arrays', 'arrays of 3 x 50 000', 'results', 'rows', 'vectors', 1, 400),
  rate('insert-1', 'single inserts, 1 at once', 'writes', 'insert', 'insert', 1, 400),
  rate('insert-100', 'single inserts, 100 at once', 'writes', 'insert', 'insert', 100, 400),
  rate('tx-1', 'transactions of 2, 1 at once', 'writes', 'tx', 'update', 1, 400),
  rate('tx-10', 'transactions of 2, 10 at once', 'writes', 'tx', 'update', 10, 400),
  rate('tx-100', 'transactions of 2, 100 at once', 'writes', 'tx', 'update', 100, 400),
  rate('bulk', 'bulk insert of 10 000 rows', 'writes', 'bulk', 'insert', 1, 400),
  {
    ...rate(
      'stream',
      'stream of 1 000 000 rows, slow consumer',
      'memory',
      'stream',
      'stream',
      1,
      0,
    ),
    kind: 'memory',
    rounds: 3,
  },
  { name: 'cold', title: 'process start to first row', chart: 'cold', kind: 'cold', rounds: 15 },
  {
    ...rate('delay-rows', '50 x 10 000 rows', 'delay', 'rows', 'rows10000', 50, 0),
    kind: 'delay',
  },
  {
    ...rate('delay-1000', '1 000 rows, 10 at once', 'delay', 'rows', 'rows1000', 10, 1_000),
    kind: 'delay',
  },
  {
    ...rate('delay-json', '1 MB of json, 10 at once', 'delay', 'rows', 'docs', 10, 1_000),
    kind: 'delay',
  },
  {
    ...rate('soak', '10 million point selects', '', 'point', 'point', 100, 0),
    kind: 'soak',
    onlyOnRequest: true,
  },
];

module.exports = { WORKLOADS };
