// Every built-in type against `pg`: as a column by both protocols, as an array, as NULL, and as a parameter.
'use strict';

const { pair } = require('../support/pg-pair.js');

const { compareAll } = pair(`
  create type mood as enum ('sad', 'it''s', 'o,k');
  create domain positive as int check (value > 0);
  create domain label as text;
  create type pair as (a int, b text);
  create type textrange as range (subtype = text);
  create domain document as jsonb;
  create domain paper as json;
  create domain numbers as int[];
  create domain feeling as mood;
  create domain wrapped as pair;
  create domain span as textrange;
  create type nested as (p pair, list int[], doc jsonb, feels feeling);
  create table thing (id int);
`);

/** Type and literals of it. */
const VALUES = {
  bool: ['t', 'f'],
  int2: ['-32768', '0', '32767'],
  int4: ['-2147483648', '0', '2147483647'],
  int8: ['-9223372036854775808', '9223372036854775807'],
  oid: ['0', '4294967295'],
  xid: ['7'],
  cid: ['7'],
  tid: ['(1,2)'],
  float4: ['1.5', 'NaN', 'Infinity', '-Infinity', '-0', '3.4e38', '1e-45'],
  float8: ['0.1', 'NaN', 'Infinity', '-Infinity', '-0', '1.7976931348623157e308', '5e-324'],
  numeric: ['0', '1.50', '-12345678901234567890.123456789', 'NaN', '1e-20', 'Infinity'],
  'numeric(10,3)': ['1.5'],
  money: ['1234.56', '-0.01'],
  text: ['', 'a', 'é\u{1f600}', '"', "it''s", '\\', 'NULL', ' x '],
  varchar: ['abc'],
  'varchar(3)': ['ab'],
  'char(5)': ['ab'],
  '"char"': ['x'],
  name: ['a name'],
  bytea: ['\\x', '\\x00ff', '\\xdeadbeef'],
  uuid: ['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'],
  date: [
    '2024-02-29',
    '0001-01-01',
    '9999-12-31',
    '10000-01-01',
    '0044-03-15 BC',
    'infinity',
    '-infinity',
  ],
  time: ['00:00:00', '23:59:59.999999', '24:00:00'],
  timetz: ['12:34:56+05:30', '12:34:56.789-08'],
  timestamp: [
    '2024-01-02 03:04:05',
    '2024-01-02 03:04:05.678901',
    '0044-03-15 12:00:00 BC',
    'infinity',
    '-infinity',
    '12024-01-01 00:00:00',
  ],
  timestamptz: [
    '2024-01-02 03:04:05+00',
    '2024-06-02 03:04:05.678901+02',
    '1850-01-01 00:00:00+00',
    'infinity',
    '-infinity',
    '0044-03-15 12:00:00+00 BC',
  ],
  interval: [
    '0',
    '1 day',
    '1 year 2 mons 3 days 04:05:06.789',
    '-1 mons +2 days -03:00:00',
    '00:00:00.000001',
    '-00:00:01.5',
    '100 years',
  ],
  json: [
    '{"a": [1, 2, {"b": null}], "é": "\\u00e9"}',
    '1',
    '"x"',
    'null',
    '[]',
    '{"__proto__": 1}',
  ],
  jsonb: ['{"a": [1.50, 2e3]}', 'true', 'null', '[[], {}]', '12345678901234567890'],
  point: ['(1,2)', '(1.5,-2e-10)', '(NaN,Infinity)'],
  line: ['{1,2,3}'],
  lseg: ['[(0,0),(1,1)]'],
  box: ['(1,1),(0,0)'],
  path: ['[(0,0),(1,1)]', '((0,0),(1,1))'],
  polygon: ['((0,0),(1,1),(1,0))'],
  circle: ['<(1,2),3>', '<(1.5,-2),0.25>'],
  inet: ['10.0.0.1', '10.0.0.0/8', '::1', 'fe80::/10'],
  cidr: ['10.0.0.0/8', '::/0'],
  macaddr: ['08:00:2b:01:02:03'],
  macaddr8: ['08:00:2b:01:02:03:04:05'],
  'bit(4)': ['1010'],
  varbit: ['', '10101'],
  tsvector: ['a:1 b:2A'],
  tsquery: ['a & !b'],
  xml: ['<a>1</a>'],
  int4range: ['[1,5)', 'empty', '(,)'],
  int8range: ['[1,)'],
  numrange: ['[1.5,2.5]'],
  daterange: ['[2024-01-01,2024-02-01)'],
  tsrange: ['[2024-01-01 00:00:00,)'],
  tstzrange: ['(,2024-01-01 00:00:00+00)'],
  int4multirange: ['{[1,3),[5,7)}'],
  regclass: ['thing', 'pg_class'],
  regtype: ['int4', 'text[]'],
  regproc: ['now'],
  regprocedure: ['abs(int)'],
  regoper: ['||/'],
  regoperator: ['+(int,int)'],
  regrole: ['postgres'],
  regnamespace: ['public'],
  regconfig: ['english'],
  pg_lsn: ['16/B374D848'],
  txid_snapshot: ['10:20:10,14,15'],
  jsonpath: ['$.a[*]'],
  mood: ['sad', "it''s", 'o,k'],
  positive: ['7'],
  label: ['x'],
  pair: ['(1,x)', '(,"a b")'],
  textrange: ['[a,b)'],
  document: ['{"a": [1, {"b": null}]}', 'null', '[]'],
  paper: ['{"a": 1.0}', '[1, "x"]'],
  numbers: ['{1,2,NULL}', '{}'],
  feeling: ['sad', "it''s"],
  wrapped: ['(1,x)'],
  span: ['[a,b)', 'empty'],
  nested: ['("(1,""a b"")","{1,2}","{""k"": [1]}",sad)', '(,,,)'],
  textmultirange: ['{[a,b)}'],
};

const quoted = (text) => `'${text.includes("''") ? text : text.replaceAll("'", "''")}'`;

/** One client per case, several readings of one value on it. */
const readings =
  (type, text) =>
  async (_, { connect }) => {
    const client = await connect();
    const literal = `${quoted(text)}::${type}`;
    const read = [];
    const ask = async (...args) => {
      try {
        read.push(await client.query(...args));
      } catch (error) {
        read.push(error);
      }
    };
    await ask(`select ${literal} as v, null::${type} as n`);
    // By the extended protocol, also where values come as bytes from the second time on.
    for (let i = 0; i < 3; i++)
      await ask(`select ${literal} as v, null::${type} as n where $1`, [true]);
    await ask({ text: `select ${literal} as v`, rowMode: 'array' });
    await ask(`select array[${literal}, null, ${literal}] as v`);
    await ask(`select array[array[${literal}], array[${literal}]] as v where $1`, [true]);
    await ask(`select '{}'::${type.replace(/\(.*\)/, '')}[] as v`);
    return read;
  };

const isBare = (type) => !/^(cid|tid|line|regoper)$/.test(type);

compareAll(
  Object.entries(VALUES).flatMap(([type, texts]) =>
    texts.map((text) => ({
      name: `${type} ${text || '(empty)'}`,
      run: readings(type, text),
    })),
  ),
);

/** Values of JavaScript for parameters of these types: what is taken, how it is read back, and the error of what is refused. */
const GIVEN = [
  [1, 2],
  ['a', 'b "quoted" \\ {x}'],
  ['sad'],
  [],
  [null, undefined],
  [[1], [2]],
  [{ a: 1 }],
  [true, false],
  [1.5, Number.NaN],
  [new Date('2024-05-06T07:08:09.123Z')],
  [Buffer.from([0, 255])],
  ['(1,x)'],
  ['[a,b)'],
  { a: [1, { b: null }] },
  {},
  '[1, 2]',
  '"text"',
  'text',
  new Date('2024-05-06T07:08:09.123Z'),
  Buffer.from('[1]'),
  true,
  1.5,
  10n,
  null,
  undefined,
];
const TAKERS = [
  ...['json', 'jsonb', 'document', 'paper', 'document[]', 'json[]', 'numbers', 'int[]', 'int8[]'],
  ...[
    'text',
    'text[]',
    'varchar[]',
    'numeric[]',
    'float8[]',
    'bool[]',
    'bytea',
    'bytea[]',
    'uuid[]',
  ],
  ...[
    'timestamp',
    'timestamp[]',
    'timestamptz[]',
    'date',
    'date[]',
    'mood[]',
    'feeling',
    'feeling[]',
  ],
  ...[
    'pair',
    'pair[]',
    'wrapped[]',
    'textrange[]',
    'span[]',
    'nested',
    'interval[]',
    'point[]',
    'int4',
  ],
];
compareAll(
  TAKERS.map((type) => ({
    name: `values of JavaScript for ${type}`,
    run: async (_, { connect }) => {
      const client = await connect();
      const read = [];
      for (const given of GIVEN) {
        read.push(await client.query(`select $1::${type} as v`, [given]).catch((error) => error));
      }
      return read;
    },
  })),
);

// The text of a value goes in as a parameter and comes out as itself.
compareAll(
  Object.entries(VALUES)
    .filter(([type]) => isBare(type))
    .map(([type, texts]) => ({
      name: `${type} as a parameter`,
      run: async (_, { connect }) => {
        const client = await connect();
        const read = [];
        for (const text of texts) {
          const given = text.replaceAll("''", "'");
          read.push(await client.query(`select $1::${type} as v`, [given]).catch((error) => error));
        }
        return read;
      },
    })),
);
