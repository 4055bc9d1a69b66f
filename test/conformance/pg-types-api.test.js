// `types`, `TypeOverrides` and parsers per client and query, against `pg`.
'use strict';

const { pair } = require('../support/pg-pair.js');

const { compareAll } = pair();

const INT8 = 20;
const TEXT = 25;
const JSON_OID = 114;

const VALUES =
  "select 5::int8 as big, 'x'::text as t, '{\"a\":1}'::json as j, '{1,2}'::int8[] as arr, now() is not null as b";

compareAll([
  {
    name: 'builtins',
    run: (driver) => ({ ...driver.types.builtins }),
  },
  ...[
    16, 17, 20, 21, 23, 25, 26, 114, 600, 700, 701, 718, 1007, 1016, 1082, 1114, 1184, 1186, 1231,
    3802, 99_999,
  ].map((oid) => ({
    name: `getTypeParser(${oid}) reads text`,
    run: (driver) => {
      const parser = driver.types.getTypeParser(oid, 'text');
      const samples = {
        16: ['t', 'f'],
        17: ['\\x00ff'],
        114: ['{"a":1}'],
        600: ['(1,2)'],
        718: ['<(1,2),3>'],
        1007: ['{1,2,NULL}'],
        1016: ['{1,2}'],
        1082: ['2024-01-02'],
        1114: ['2024-01-02 03:04:05', '"2024-01-02 03:04:05.678"'],
        1184: ['2024-01-02 03:04:05+00', '"2024-01-02 03:04:05.678+05:30"', '"2024-01-02"'],
        1186: ['1 day 02:03:04'],
        1231: ['{1.5}'],
        3802: ['[1]'],
      };
      return [...(samples[oid] ?? ['1', '2'])].map((text) => parser(text));
    },
  })),
  {
    name: 'getTypeParser without a format, with a text OID, for binary',
    run: (driver) => [
      driver.types.getTypeParser(23)('7'),
      driver.types.getTypeParser('23')('7'),
      typeof driver.types.getTypeParser(23, 'binary'),
    ],
  },
  {
    name: 'arrayParser',
    run: (driver) =>
      ['{}', '{a,b}', '{"a b","c\\"d",NULL}', '{{1,2},{3,4}}', '[2:3]={5,6}'].map((text) => [
        driver.types.arrayParser.create(text, (one) => one).parse(),
        driver.types.arrayParser.create(text).parse(),
      ]),
  },
  {
    name: 'setTypeParser for the process takes effect on the next execution, and can be taken back',
    run: async (driver, { connect }) => {
      const client = await connect();
      const before = driver.types.getTypeParser(INT8);
      const read = [await client.query(VALUES)];
      driver.types.setTypeParser(INT8, (text) => `<${text}>`);
      try {
        read.push(await client.query(VALUES));
        read.push(await client.query(`${VALUES} where $1`, [true]));
      } finally {
        driver.types.setTypeParser(INT8, before);
      }
      read.push(await client.query(VALUES));
      return read;
    },
  },
  {
    name: 'setTypeParser of a client is its own',
    run: async (_, { connect }) => {
      const [one, other] = [await connect(), await connect()];
      one.setTypeParser(INT8, (text) => BigInt(text).toString(16));
      one.setTypeParser(TEXT, 'text', (text) => [text]);
      return [
        await one.query(VALUES),
        await other.query(VALUES),
        one.getTypeParser(TEXT)('x'),
        other.getTypeParser(TEXT)('x'),
      ];
    },
  },
  {
    name: 'types of a client in place of the global ones',
    run: async (_, { connect }) => {
      const types = { getTypeParser: (oid, format) => (text) => `${oid}/${format}/${text}` };
      const client = await connect({ types });
      return [await client.query(VALUES), await client.query(`${VALUES} where $1`, [true])];
    },
  },
  {
    name: 'types of a query in place of those of the client',
    run: async (_, { connect }) => {
      const client = await connect();
      client.setTypeParser(INT8, () => 'client');
      const types = {
        getTypeParser: (oid) => (oid === JSON_OID ? (text) => `json ${text}` : (text) => text),
      };
      return [
        await client.query({ text: VALUES, types }),
        await client.query({ text: VALUES, types, rowMode: 'array' }),
        await client.query(VALUES),
      ];
    },
  },
  {
    name: 'types of a query may leave it to the global ones',
    run: async (driver, { connect }) => {
      const client = await connect();
      const types = {
        getTypeParser: (oid, format) =>
          oid === INT8 ? Number : driver.types.getTypeParser(oid, format),
      };
      return client.query({ text: VALUES, types });
    },
  },
  {
    name: 'TypeOverrides',
    run: async (driver, { connect }) => {
      const overrides = new driver.TypeOverrides();
      overrides.setTypeParser(INT8, (text) => Number(text) + 1);
      const over = new driver.TypeOverrides(overrides);
      over.setTypeParser(TEXT, 'text', (text) => text.toUpperCase());
      const client = await connect({ types: over });
      return [
        await client.query(VALUES),
        over.getTypeParser(INT8)('1'),
        overrides.getTypeParser(TEXT)('x'),
        over.getTypeParser(TEXT, 'text')('x'),
      ];
    },
  },
  {
    name: 'a copy of a TypeOverrides with its prototype, as MikroORM makes one',
    run: async (driver, { connect }) => {
      const types = new driver.TypeOverrides();
      types.setTypeParser(INT8, (text) => `own ${text}`);
      const copy = Object.assign(Object.create(Object.getPrototypeOf(types)), types);
      copy.setTypeParser(TEXT, (text) => `copy ${text}`);
      const over = new driver.TypeOverrides(copy);
      const read = [];
      for (const one of [copy, over]) {
        const client = await connect({ types: one });
        read.push((await client.query(VALUES)).rows, one.getTypeParser(23)('7'));
        one.setTypeParser(16, (text) => `later ${text}`);
        read.push((await client.query(VALUES)).rows);
      }
      return read;
    },
  },
  {
    name: 'a parser is called once per value, with the exact text, never for null',
    run: async (_, { connect }) => {
      const client = await connect();
      const seen = [];
      for (const oid of [16, 17, 23, 701, 1082, 1114, 1184, 1186, 1700, 3802, 1007])
        client.setTypeParser(oid, (text) => {
          seen.push(text);
          return text;
        });
      await client.query("set timezone = 'UTC'");
      for (const values of [undefined, [true], [true], [true]]) {
        await client.query(
          `select true as a, '\\x00'::bytea, 1::int4, 1.50::float8, '2024-01-01'::date, '2024-01-01 00:00:00'::timestamp, '2024-01-01 00:00:00+00'::timestamptz, '1 day'::interval, 1.50::numeric, '{"a":1}'::jsonb, '{1,2}'::int4[], null::int4 ${values ? 'where $1' : ''}`,
          values,
        );
      }
      return seen;
    },
  },
  {
    name: 'parsers see settings of the session',
    run: async (_, { connect }) => {
      const client = await connect();
      client.setTypeParser(1186, (text) => text);
      client.setTypeParser(17, (text) => text);
      const read = [];
      for (const style of ['postgres', 'iso_8601', 'sql_standard']) {
        await client.query(`set intervalstyle = ${style}`);
        read.push(
          (await client.query("select '1 year 2 days 03:04:05'::interval as v where $1", [true]))
            .rows,
        );
      }
      await client.query('set bytea_output = escape');
      read.push((await client.query("select '\\x0041'::bytea as v")).rows);
      return read;
    },
  },
  {
    name: 'bytea in both outputs, dates in other time zones and styles',
    run: async (_, { connect }) => {
      const client = await connect();
      const read = [];
      for (const setting of [
        'bytea_output = escape',
        'bytea_output = hex',
        "timezone = 'Asia/Kolkata'",
        "timezone = 'America/New_York'",
        "intervalstyle = 'postgres'",
      ]) {
        await client.query(`set ${setting}`);
        for (const values of [undefined, [true], [true]])
          read.push(
            await client.query(
              `select '\\x004142ff'::bytea as b, '2024-06-01 12:00:00+00'::timestamptz as z, '1 mon 02:00:00'::interval as i ${values ? 'where $1' : ''}`,
              values,
            ),
          );
      }
      return read;
    },
  },
  {
    name: 'the time zone of the process, changed at run time',
    run: async (_, { connect }) => {
      const client = await connect();
      const zone = process.env.TZ;
      const read = [];
      try {
        for (const name of ['UTC', 'Asia/Kolkata', 'America/St_Johns', 'Pacific/Apia']) {
          process.env.TZ = name;
          read.push(
            await client.query(
              "select '2024-06-01'::date as d, '2024-06-01 12:00:00'::timestamp as t, '1900-01-01'::date as old",
            ),
          );
          read.push(await client.query('select $1::text as v', [new Date(Date.UTC(2024, 5, 1))]));
        }
      } finally {
        if (zone === undefined) delete process.env.TZ;
        else process.env.TZ = zone;
      }
      return read;
    },
  },
  {
    name: 'the functions of types, taken off, handed on and spread',
    run: async (driver, { connect }) => {
      const { getTypeParser, setTypeParser } = driver.types;
      const client = await connect();
      const asked = { text: 'select 7 as a, now() is not null as b' };
      const before = getTypeParser(23, 'text');
      setTypeParser(23, 'text', (text) => `own ${text}`);
      try {
        return [
          getTypeParser(16)('t'),
          getTypeParser(23, 'text')('5'),
          await client.query(asked),
          await client.query({ ...asked, types: { getTypeParser } }),
          await client.query({ ...asked, types: { ...driver.types } }),
          Object.keys(driver.types).sort(),
        ];
      } finally {
        setTypeParser(23, 'text', before);
      }
    },
  },
  {
    name: 'types of a query that refuse what they do not know',
    run: async (_, { connect }) => {
      const client = await connect();
      const types = {
        getTypeParser(oid) {
          if (oid !== 23) throw new Error(`type ${oid} is unknown here`);
          return (text) => `parsed ${text}`;
        },
      };
      return client.query({ text: 'select 1 as a', types });
    },
  },
  {
    name: 'parsers of bytes are asked with binary: true, for types of users too; those of text are not',
    run: async (_, { connect }) => {
      const client = await connect();
      await client.query(`drop type if exists mood; create type mood as enum ('glad', 'sad')`);
      const { rows } = await client.query(`select 'mood'::regtype::oid as oid`);
      const seen = [];
      const hex = (type) => (bytes) => {
        seen.push(Buffer.isBuffer(bytes));
        return `${type} ${bytes.toString('hex')}`;
      };
      for (const [oid, type] of [
        [1700, 'numeric'],
        [23, 'int4'],
        [1007, 'int4[]'],
        [rows[0].oid, 'mood'],
      ])
        client.setTypeParser(oid, 'binary', hex(type));
      client.setTypeParser(20, (text) => `text ${text}`);
      const text = `select 1.0001::numeric as n, 7 as i, array[1,2] as a, 'sad'::mood as m, null::int4 as none,
        'x'::text as t, 5::int8 as big, true as b from generate_series(1, 3)`;
      const read = [];
      for (const more of [
        { values: [], queryMode: 'extended', binary: true },
        { name: 'named', binary: true },
        { name: 'named', binary: true },
        { name: 'named' },
        { binary: true },
      ]) {
        read.push((await client.query({ text, ...more })).rows);
      }
      await client.query('begin');
      read.push(
        (await client.query({ text: `${text} where $1`, values: [true], binary: true })).rows,
      );
      await client.query('commit');
      return [read, seen];
    },
  },
  {
    name: 'parsers of bytes get all bytes as they are, also with rowMode array',
    run: async (_, { connect }) => {
      const client = await connect({ binary: true });
      client.setTypeParser(23, 'binary', (bytes) => bytes.toString('hex'));
      const asked = { text: 'select $1::int4 as a', values: [-2] };
      const [object, array] = [asked, { ...asked, rowMode: 'array' }];
      return [(await client.query(object)).rows, (await client.query(array)).rows];
    },
    differs:
      'pg hands over the bytes of the text that they would be in UTF-8, in array mode the text itself',
    expect: { value: [[{ a: 'fffffffe' }], [['fffffffe']]] },
  },
  {
    name: 'parsers of bytes: of the process, of a TypeOverrides, of a query, of an object of somebody else',
    run: async (driver, { connect, pool: make }) => {
      const before = driver.types.getTypeParser(21, 'binary');
      driver.types.setTypeParser(21, 'binary', (bytes) => `process ${bytes.length}`);
      try {
        const types = new driver.TypeOverrides();
        types.setTypeParser(23, 'binary', (bytes) => `client ${bytes.length}`);
        const own = {
          getTypeParser: (oid, format) =>
            oid === 25
              ? (value) => [format, Buffer.isBuffer(value)]
              : driver.types.getTypeParser(oid, format),
        };
        const config = { binary: true, types };
        const client = await connect(config);
        const pool = make(config);
        const asked = {
          text: `select 1::int2 as a, 2::int4 as b, 'x'::text as t, 3::int8 as c where $1`,
          values: [true],
        };
        const read = [];
        for (const target of [client, client, pool, pool]) {
          read.push((await target.query(asked)).rows);
          read.push((await target.query({ ...asked, types: own })).rows);
        }
        read.push((await client.query('select 1::int2 as a, 2::int4 as b')).rows);
        return read;
      } finally {
        driver.types.setTypeParser(21, 'binary', before);
      }
    },
  },
  {
    name: 'what a parser of bytes throws is the rejection, and the client goes on',
    run: async (_, { connect }) => {
      const client = await connect({ binary: true });
      client.setTypeParser(23, 'binary', () => {
        throw new Error('of the parser');
      });
      const failed = await client
        .query('select $1::int4 as a', [1])
        .catch(({ message }) => message);
      return [failed, (await client.query('select $1::text as a', ['x'])).rows];
    },
  },
  {
    name: 'the parsers of bytes that are there',
    run: ({ types }) =>
      [
        [16, '01'],
        [16, '00'],
        [20, 'fffffffffffffffe'],
        [21, 'ffff'],
        [23, '0000000a'],
        [25, 'c3a9'],
        [26, '0000000a'],
        [701, '3ff8000000000000'],
        [701, '0000000000000000'],
        [1007, '00000001000000000000001700000002000000010000000400000001000000040000000a'],
        [1009, '000000010000000000000019000000010000000100000002c3a9'],
      ].map(([oid, hex]) => types.getTypeParser(oid, 'binary')(Buffer.from(hex, 'hex'))),
  },
  {
    name: 'the parsers of bytes that are there, where those of pg err',
    run: ({ types }) =>
      [
        [700, '3fc00000'],
        [700, '3dcccccd'],
        [701, '7ff8000000000000'],
        [701, '7ff0000000000000'],
        [1114, '7fffffffffffffff'],
        [1184, '8000000000000000'],
        [1000, '000000010000000100000010000000020000000100000001 01ffffffff'.replace(' ', '')],
        [1700, '00020000000000020001 1388'.replace(' ', '')],
        [1700, '0002000040000003000c 7d00'.replace(' ', '').slice(0, 24)],
        [1700, '00000000c0000000'],
        [1114, '0000000000000000'],
        [1184, '0002a1b2c3d4e500'],
        [26, 'ffffffff'],
      ].map(([oid, hex]) => types.getTypeParser(oid, 'binary')(Buffer.from(hex, 'hex'))),
    differs: 'these are the values of text',
    expect: {
      value: [
        1.5,
        0.1,
        Number.NaN,
        Number.POSITIVE_INFINITY,
        Number.POSITIVE_INFINITY,
        Number.NEGATIVE_INFINITY,
        [true, null],
        '1.50',
        '-12.320',
        'NaN',
        new Date(2000, 0, 1),
        new Date('2023-06-22T08:51:55.181Z'),
        4_294_967_295,
      ],
    },
  },
  {
    name: 'binary: true gives the values of text',
    run: async (_, { connect }) => {
      const client = await connect({ binary: true });
      const { rows, fields } = await client.query(
        "select 1.5::float4 as f, 1.50::numeric as n, '\\x41'::bytea as b, array[true, null] as a where $1",
        [true],
      );
      return [
        rows,
        fields.map(({ format }) => format),
        (await client.query('select 1 as a')).fields[0].format,
      ];
    },
    differs: 'pg reads float4, numeric, bytea and arrays wrong in binary',
    expect: {
      value: [
        [{ f: 1.5, n: '1.50', b: Buffer.from('A'), a: [true, null] }],
        ['binary', 'binary', 'binary', 'binary'],
        'text',
      ],
    },
  },
]);

for (const [name, make] of [
  ['preset', () => 'lossless'],
  ['map', () => ({ int8: Number })],
]) {
  compareAll([
    {
      name: `types as ${name} is an addition of this package`,
      run: async (driver, { connect }) =>
        driver === require('pg')
          ? 'not there'
          : (await (await connect({ types: make() })).query('select 5::int8 as v')).rows,
      differs: 'pg has no presets and no maps',
      expect: { value: [{ v: name === 'map' ? 5 : 5n }] },
    },
  ]);
}
