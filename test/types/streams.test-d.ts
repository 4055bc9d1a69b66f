// The declared types of cursors, streams, COPY, batches and bulk inserts, checked by tsc alone.

import { pipeline } from 'node:stream/promises';
import {
  Client,
  type CopyFromStream,
  Cursor,
  copyFrom,
  copyTo,
  createPool,
  QueryStream,
  type Row,
  type Rows,
} from '../../types/index.js';

const pool = createPool('postgres://localhost/app');
const client = new Client();

const from: CopyFromStream = pool.copyFrom('copy t from stdin', { timeoutMs: 1000 });
void pipeline(pool.copyTo('copy t to stdout'), from);
const rowCount: number | null = from.rowCount;
void rowCount;
// @ts-expect-error misspelt
pool.copyTo('copy t to stdout', { timeout: 1000 });

const together: Promise<Rows<Row>[]> = pool.batch(['select 1'], { errors: 'all-or-nothing' });
const apart: Promise<PromiseSettledResult<Rows<Row>>[]> = pool.batch([
  { sql: 'select $1', params: [1] },
]);
void [together, apart];

const inserted: Promise<number> = pool.insertMany(['app', 'users'], [{ id: 1n }]);
void [inserted, pool.insertMany('users', [[1, 'x']], { columns: ['id', 'name'] })];

const cursor: Cursor<{ id: number }> = client.query(new Cursor<{ id: number }>('select 1 as id'));
void cursor.read(10).then(([row]) => row?.id.toFixed());
cursor.read(10, (error, rows, result) => void [error.message, rows.length, result.command]);
const stream: QueryStream = client.query(new QueryStream('select $1', [1], { batchSize: 10 }));
stream.destroy();
void pipeline(
  client.query(copyTo('copy t to stdout')),
  client.query(copyFrom('copy u from stdin')),
);
void client.query({ text: 'select 1', signal: AbortSignal.timeout(10) });
