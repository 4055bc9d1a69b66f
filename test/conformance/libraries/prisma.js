// The adapter of Prisma: what its client asks of it, with the types it declares and the errors it maps.
'use strict';

const kind = (scalarType, arity = 'scalar', dbType) => ({ scalarType, arity, dbType });
const plain = (sql) => ({ sql, args: [], argTypes: [] });

const TABLE = `create table item (id serial primary key, name text unique, price numeric, bytes bytea, data jsonb,
  at timestamptz, list int[], big int8)`;
const READ = `select *, '12:00'::time as tt, '2024-01-01'::date as dd, '1.00'::money as mm, B'101' as bb,
  'f47ac10b-58cc-4372-a567-0e02b2c3d479'::uuid as uu, array['a', null] as ta, array[true] as ba from item`;
const WRITE = {
  sql: 'insert into item (name, price, bytes, data, at, list, big) values ($1, $2, $3, $4, $5, $6, $7)',
  args: [
    'x',
    '1.50',
    Buffer.from('ab'),
    '{"a":1}',
    '2024-01-02T03:04:05.678Z',
    [1, 2],
    '9007199254740993',
  ],
  argTypes: [
    ...[kind('string'), kind('decimal'), kind('bytes'), kind('json')],
    ...[kind('datetime', 'scalar', 'TIMESTAMPTZ'), kind('int', 'list'), kind('bigint')],
  ],
};
const WRONG = [
  "insert into item (name) values ('x')",
  'insert into item (id) values (null)',
  'select * from nowhere',
  'select 1/0',
  'selec',
];

async function within(adapter, name, end) {
  const tx = await adapter.startTransaction('SERIALIZABLE');
  await tx.executeRaw(plain(`insert into item (name) values ('${name}')`));
  await tx.executeRaw(plain(end));
  await (end === 'COMMIT' ? tx.commit() : tx.rollback());
}

module.exports = async ({ pg, url }) => {
  const { PrismaPg } = require('@prisma/adapter-pg');
  const pool = new pg.Pool({ connectionString: url });
  const adapter = await new PrismaPg(pool).connect();
  await adapter.executeScript(TABLE);
  const written = await adapter.executeRaw(WRITE);
  const read = await adapter.queryRaw(plain(READ));
  const failures = [];
  for (const sql of WRONG) {
    failures.push(await adapter.queryRaw(plain(sql)).catch(({ name, cause }) => [name, cause]));
  }
  await within(adapter, 'kept', 'COMMIT');
  await within(adapter, 'gone', 'ROLLBACK');
  const names = await adapter.queryRaw(plain('select name from item order by id'));
  await adapter.dispose();
  const own = await new PrismaPg({ connectionString: url }).connect();
  const owned = await own.queryRaw(plain('select 1 as a'));
  await own.dispose();
  if (!pool.ended) await pool.end();
  const away = await new PrismaPg({ connectionString: url.replace(/[^/]*$/, 'nowhere') }).connect();
  const refused = await away.queryRaw(plain('select 1')).catch(({ name, cause }) => [name, cause]);
  await away.dispose();
  return { written, read, failures, names, owned, refused };
};
