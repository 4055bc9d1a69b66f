// The same statements against `pg` and against this package: results, fields, errors.
'use strict';

const { pair } = require('../support/pg-pair.js');

const { compareAll } = pair(`
  create table book (id int primary key, title text not null unique, price numeric check (price > 0));
  insert into book values (1, 'one', 1.5), (2, 'two', null);
  create type mood as enum ('sad', 'ok');
`);

/** Runs statements one after the other on one client; what each comes to. */
const statements =
  (...asked) =>
  async (_, { connect }) => {
    const client = await connect();
    const outcomes = [];
    for (const one of asked) {
      const args = Array.isArray(one) ? one : [one];
      try {
        outcomes.push(await client.query(...args));
      } catch (error) {
        outcomes.push(error);
      }
    }
    return outcomes;
  };

const row = (name, ...asked) => ({ name, run: statements(...asked) });

// Section 7: command, rowCount and oid of every kind of statement.
const COMMANDS = [
  'select 1 as one',
  'select 1 as one;',
  'select',
  'values (1), (2)',
  'table book',
  "insert into book values (10, 'ten') ",
  "insert into book values (11, 'eleven') returning id, title",
  'update book set price = 3 where id > 100',
  'update book set price = 3 where id = 1 returning *',
  'delete from book where id = 10',
  'merge into book using (select 11 as id) s on book.id = s.id when matched then delete',
  'create table made as select generate_series(1, 3) as n',
  'select n into copied from made',
  'create temp table plain (a int)',
  'alter table plain add b text',
  'drop table plain',
  "set application_name = 'x'",
  'show application_name',
  'explain (costs off) select 1',
  'truncate made',
  'do $$ begin end $$',
  'begin',
  'declare c cursor for select generate_series(1, 5)',
  'fetch 2 from c',
  'move 1 in c',
  'savepoint a',
  'release a',
  'commit',
  'rollback',
  'listen something',
  'notify something',
  'unlisten *',
  'prepare p as select 1',
  'execute p',
  'deallocate p',
  'discard all',
  'vacuum made',
  'analyze made',
  'lock table book',
  '',
  ' ',
  ';',
  '-- only a comment',
  '/* comment */',
  'select 1; ; select 2',
];
compareAll([
  row('every kind of statement, without values', ...COMMANDS),
  row(
    'every kind of statement, by the extended protocol',
    ...COMMANDS.map((text) => [{ text, queryMode: 'extended' }]),
  ),
]);

compareAll([
  row('several statements', 'select 1 as a; select 2 as b, 3 as c'),
  row('several statements with an empty array of values', ['select 1 as a; select 2 as b', []]),
  row('several statements with values', ['select $1::int; select 2', [1]]),
  row('several statements, one fails', 'select 1; select 1/0; select 2', 'select 3 as ok'),
  row(
    'several statements, those without rows have no columns of the one before',
    'begin; select 1 as a; commit',
    "select 1 as a; set application_name = 'x'; select 2 as b, 3 as c; ;",
    'select 1 as a; copy (select 1) to stdout; select',
    'select generate_series(1, 5000) as n; listen something; notify something',
  ),
  row('several statements as arrays', [{ text: 'select 1, 2; select 3', rowMode: 'array' }]),
  row('rows as arrays', [{ text: 'select 1 as a, 2 as a, null as b', rowMode: 'array' }]),
  row('two columns with one name', 'select 1 as a, 2 as b, 3 as a'),
  row(
    'names of Object.prototype',
    'select 1 as "__proto__", 2 as "constructor", 3 as "toString", 4 as "hasOwnProperty"',
  ),
  row('a column without a name', 'select 1, 2, now() is not null'),
  row('a name with everything in it', `select 1 as "a""b'c\\d e\u00e9\u{1f600}"`),
  row('columns of a table', 'select id, title, price, id + 1 as next from book where id = 1'),
  row('no rows', 'select id, title from book where false'),
  row('no rows, with values', ['select id from book where id = $1', [-1]]),
  row('rows without columns', 'select from book'),
  row(
    'a named statement twice',
    [{ name: 'n', text: 'select $1::int as a', values: [1] }],
    [{ name: 'n', text: 'select $1::int as a', values: [2] }],
  ),
  row(
    'a named statement without text later',
    [{ name: 'n', text: 'select 1 as a' }],
    [{ name: 'n' }],
  ),
  row(
    'a named statement with another text',
    [{ name: 'n', text: 'select 1 as a' }],
    [{ name: 'n', text: 'select 2 as a' }],
  ),
  row(
    'a named statement that fails to parse, then is right',
    [{ name: 'n', text: 'selec 1' }],
    [{ name: 'n', text: 'select 1 as a' }],
  ),
  ...[{ rows: 2 }, { rows: 2, portal: 'mine' }].map((asked) => ({
    name: `all rows are counted with ${Object.keys(asked)}`,
    differs: 'pg counts the rows that came last, and names the portal',
    run: async (_, { connect }) => {
      const client = await connect();
      const { rowCount, rows } = await client.query({
        text: 'select generate_series(1, 5)',
        ...asked,
      });
      return [rowCount, rows.length];
    },
    expect: { value: [5, 5] },
  })),
  row('values as second argument win', [{ text: 'select $1::int as a', values: [1] }, [2]]),
  row('an empty values array with a name', [{ name: 'e', text: 'select 1 as a', values: [] }]),
  row('neither text nor name', [{}], 'select 1 as ok'),
  row('values that are no array', [{ text: 'select $1', values: 'x' }], 'select 1 as ok'),
  row('too few values', ['select $1::int, $2::int', [1]], 'select 1 as ok'),
  row('too many values', ['select $1::int', [1, 2]], 'select 1 as ok'),
  row('a parameter without a type', ['select pg_typeof($1)', ['x']], 'select 1 as ok'),
  row('a value that does not fit', ['select $1::int', ['x']], 'select 1 as ok'),
  row('U+0000 in a value', ['select $1::text', ['a\0b']], 'select 1 as ok'),
  row('a syntax error', 'selec 1', 'select 1 as ok'),
  row('a syntax error with values', ['selec $1', [1]], 'select 1 as ok'),
  row('a missing table', 'select * from nowhere'),
  row('a unique violation', "insert into book values (1, 'x')"),
  row('a unique violation with values', ['insert into book values ($1, $2)', [3, 'one']]),
  row('a check violation', "insert into book values (5, 'five', -1)"),
  row('a null violation', 'insert into book values (6, null)'),
  row(
    'an error with detail, hint and where',
    `do $$ begin raise exception 'boom' using detail = 'd', hint = 'h', errcode = 'ZZ123'; end $$`,
  ),
  row('COPY FROM STDIN without a stream', 'copy book from stdin', 'select 1 as ok'),
  row('COPY TO STDOUT', 'copy (select generate_series(1, 3)) to stdout', 'select 1 as ok'),
  row('COMMIT of a failed transaction', 'begin', 'select 1/0', 'select 1', 'commit'),
  row('a null byte array and typed arrays', [
    'select $1::bytea as a, $2::bytea as b, $3::bytea as c',
    [Buffer.from([0, 1, 255]), new Uint8Array([1, 2, 3]).subarray(1), null],
  ]),
]);
