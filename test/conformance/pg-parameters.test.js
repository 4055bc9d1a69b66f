// What JavaScript values become as parameters, against `pg`: accepted, refused, and read back.
'use strict';

const vm = require('node:vm');
const { pair } = require('../support/pg-pair.js');

const { compareAll } = pair();

const BYTES = Uint8Array.of(0, 1, 2, 250, 251, 252, 253, 254);

class Money {
  constructor(amount) {
    this.amount = amount;
  }
  toPostgres() {
    return `${this.amount}.00`;
  }
}

class Nested {
  toPostgres(prepare) {
    return [prepare(new Money(1)), new Money(2)];
  }
}

const circular = () => {
  const value = { toPostgres: () => value };
  return value;
};

const VALUES = {
  null: null,
  undefined: undefined,
  true: true,
  false: false,
  zero: 0,
  'minus zero': -0,
  'a fraction': 1.5,
  'a large number': 1e21,
  'an unsafe integer': 2 ** 60,
  NaN: Number.NaN,
  Infinity: Number.POSITIVE_INFINITY,
  'a bigint': 12345678901234567890n,
  'an empty string': '',
  'a string': 'žluť 🐘',
  'a string of digits': '12',
  'a symbol': Symbol('s'),
  'a function': function named() {},
  'a Buffer': Buffer.from(BYTES),
  'an empty Buffer': Buffer.alloc(0),
  'a Buffer of text': Buffer.from('text'),
  'a window of bytes': BYTES.subarray(2, 5),
  'a view of words': new Uint16Array(BYTES.buffer, 2, 2),
  'a DataView': new DataView(BYTES.buffer, 1, 3),
  'an ArrayBuffer': BYTES.buffer.slice(0),
  'a Date': new Date('2024-05-06T07:08:09.123Z'),
  'a Date before 1970': new Date('1937-06-30T23:59:59.999Z'),
  'a Date BC': new Date(Date.UTC(-43, 2, 15)),
  'a Date after 9999': new Date(Date.UTC(10000, 5, 1)),
  'a Date of another realm': vm.runInNewContext('new Date(0)'),
  'an invalid Date': new Date(Number.NaN),
  'an empty array': [],
  'an array of numbers': [1, 2.5, null, undefined],
  'an array of strings': ['a', '"', '\\', ',', '{}', '', 'NULL', ' '],
  'an array of booleans': [true, false],
  'nested arrays': [
    [1, 2],
    [3, 4],
  ],
  'an array of Dates': [new Date(0)],
  'an array of Buffers': [Buffer.from([1, 255]), Buffer.alloc(0)],
  'an array of views': [new Uint8Array([1, 2])],
  'an array of objects': [{ a: 1 }, { b: "it's" }],
  'an array of bigints': [1n],
  'an array with toPostgres': [new Money(3)],
  'an object': { a: 1, b: [null, 'x'], c: { d: new Date(0) } },
  'an empty object': {},
  'an object with toJSON': { toJSON: () => ({ x: 1 }) },
  'toJSON to undefined': { toJSON: () => undefined },
  'a Map': new Map([[1, 2]]),
  'a Set': new Set([1]),
  'a boxed string': new String('x'),
  'an object without prototype': Object.assign(Object.create(null), { a: 1 }),
  'a Promise': Promise.resolve(1),
  toPostgres: new Money(5),
  'nested toPostgres': new Nested(),
  'toPostgres to null': { toPostgres: () => null },
  'toPostgres to bytes': { toPostgres: () => Buffer.from([1, 2]) },
  'a circular toPostgres': circular(),
  'a toPostgres that throws': {
    toPostgres() {
      throw new Error('not today');
    },
  },
  'JSON of a bigint': { a: 1n },
  'circular JSON': (() => {
    const value = {};
    value.self = value;
    return value;
  })(),
};

const TYPES = ['text', 'int4', 'numeric', 'bool', 'timestamptz', 'date', 'bytea', 'json', 'jsonb'];
const ARRAYS = ['text[]', 'int4[]', 'bytea[]', 'jsonb[]', 'timestamptz[]'];

compareAll(
  Object.entries(VALUES).map(([name, value]) => ({
    name,
    run: async (_, { connect }) => {
      const client = await connect();
      const read = [];
      for (const type of [...TYPES, ...ARRAYS]) {
        const text = `select $1::${type} as v, ($1::${type})::text as t`;
        read.push(await client.query(text, [value]).catch((error) => error));
      }
      read.push(await client.query('select 1 as ok'));
      return read;
    },
  })),
);

compareAll([
  {
    name: 'utils.prepareValue of every value',
    run: (driver) =>
      Object.values(VALUES).map((value) => {
        try {
          return driver.utils.prepareValue(value);
        } catch (error) {
          return error;
        }
      }),
  },
  {
    name: 'parseInputDatesAsUTC',
    run: async (driver, { connect }) => {
      const client = await connect();
      driver.defaults.parseInputDatesAsUTC = true;
      try {
        return await client.query('select $1::text as v, $2::text as w', [
          new Date('2024-05-06T07:08:09.123Z'),
          [new Date(0)],
        ]);
      } finally {
        driver.defaults.parseInputDatesAsUTC = false;
      }
    },
  },
  {
    name: '65 535 parameters',
    run: async (_, { connect }) => {
      const client = await connect();
      const values = Array.from({ length: 65_535 }, (_, i) => i);
      const list = values.map((_, i) => `$${i + 1}::int`).join(',');
      const { rows } = await client.query(
        `select count(*)::int as n from unnest(array[${list}]) u`,
        values,
      );
      return rows;
    },
  },
  {
    name: 'values are read when the query is made or sent, and never changed',
    run: async (_, { connect }) => {
      const client = await connect();
      const values = Object.freeze([1, Object.freeze({ a: 1 })]);
      const { rows } = await client.query('select $1::int as a, $2::jsonb as b', values);
      return { rows, values };
    },
  },
]);

compareAll(
  ['', 'plain', "it's", '\\', "\\'", '"', 'é\u{1f600}', '\n\t', "''", 'a"b'].map((text) => ({
    name: `sec_q03: escapes of ${JSON.stringify(text)}`,
    run: async (driver, { connect }) => {
      const client = await connect();
      const { rows } = await client.query(`select ${driver.escapeLiteral(text)} as v`);
      return [
        driver.escapeIdentifier(text),
        driver.escapeLiteral(text),
        client.escapeLiteral(text),
        driver.Client.prototype.escapeIdentifier(text),
        rows,
      ];
    },
  })),
);

compareAll([
  ...[5, -5, 0n, -1n, null, undefined, true, {}, ['a'], new Date(0)].map((given) => ({
    name: `sec_q03: what is no text is an empty literal: ${typeof given} ${given}`,
    run: ({ escapeLiteral, Client }) => [
      escapeLiteral(given),
      Client.prototype.escapeLiteral(given),
    ],
  })),
  ...['on', 'off'].map((setting) => ({
    name: `sec_q03: a literal means the same with standard_conforming_strings = ${setting}`,
    run: async ({ escapeLiteral }, { connect }) => {
      const client = await connect({ options: `-c standard_conforming_strings=${setting}` });
      const texts = ['\\', "\\'", "'; drop table x --", '-1', '/* ', '\\x41'];
      const { rows } = await client.query(`select ${texts.map((text) => escapeLiteral(text))}`);
      return [texts, Object.values(rows[0])];
    },
  })),
  ...[
    ['a\0b', 'U+0000'],
    ['\ud800', 'a lone surrogate'],
    ['a\udc00b', 'a lone surrogate'],
  ].flatMap(([text, what]) =>
    [
      ['escapeLiteral', 'a literal'],
      ['escapeIdentifier', 'a name'],
    ].map(([name, of]) => ({
      name: `sec_q03: ${name} of ${JSON.stringify(text)}`,
      differs: 'pg passes on what no statement can hold',
      run: (driver) => driver[name](text),
      expect: { error: { message: `${of} cannot contain ${what}` } },
    })),
  ),
]);
