// What goes with the start-up packet, against `pg`: limits of the server and the name of the session.
'use strict';

const { pair } = require('../support/pg-pair.js');

const { compareAll } = pair();

const LIMITS = ['statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout'];

/** @param {string} setting @param {object} config */
const shownBy =
  (setting, config) =>
  async (_, { connect }) => {
    const client = await connect(config);
    const { rows } = await client.query(`select current_setting('${setting}') as value`);
    return rows[0].value;
  };

const refused = (option, problem) => ({
  differs: 'nobody is asked, and the option is named',
  expect: { error: { message: `option "${option}" ${problem}` } },
});

const RANGE = 'must be from 0 to 2147483647 (milliseconds), got';

compareAll([
  ...LIMITS.flatMap((name) => [
    ...[1500, '1500', 1500.9, '12x', 2 ** 31 - 1, 0, '', false].map((given) => ({
      name: `${name}: ${typeof given} ${given}`,
      run: shownBy(name, { [name]: given }),
    })),
    ...[
      [-1, '-1'],
      ['-3', '-3'],
      ['abc', 'what is no number'],
      [true, 'what is no number'],
      [Number.POSITIVE_INFINITY, 'what is no number'],
      [[], 'what is no number'],
    ].map(([given, shown]) => ({
      name: `${name}: ${typeof given} ${given}`,
      run: shownBy(name, { [name]: given }),
      ...refused(name, `${RANGE} ${shown}`),
    })),
  ]),
  {
    name: 'statement_timeout: too much',
    run: shownBy('statement_timeout', { statement_timeout: 2 ** 31 }),
    ...refused('statement_timeout', `${RANGE} 2147483648`),
  },
  ...LIMITS.flatMap((name) => [
    ...['0', 0.5, '0x', 0, false, undefined].map((given) => ({
      name: `${name}: ${typeof given} ${given}, with an option that sets it`,
      run: shownBy(name, { [name]: given, options: `-c ${name}=5s` }),
    })),
    ...['0', 0].map((given) => ({
      name: `${name}: ${typeof given} ${given}, where the database sets it`,
      run: async (driver, context) => {
        const { rows } = await context.observer.query('select current_database() as name');
        await context.observer.query(`alter database ${rows[0].name} set ${name} = '7s'`);
        try {
          return await shownBy(name, { [name]: given })(driver, context);
        } finally {
          await context.observer.query(`alter database ${rows[0].name} reset ${name}`);
        }
      },
    })),
    {
      name: `${name}: of the connection string`,
      run: async (driver, { url }) => {
        const client = new driver.Client(`${url}?${name}=0&options=-c%20${name}%3D5s`);
        await client.connect();
        const { rows } = await client.query(`select current_setting('${name}') as value`);
        await client.end();
        return rows[0].value;
      },
    },
  ]),
  ...['application_name', 'fallback_application_name'].flatMap((name) => [
    ...['é', 'x'.repeat(70), ' '].map((given) => ({
      name: `${name}: "${given}"`,
      run: shownBy('application_name', { [name]: given }),
    })),
    ...[
      ['a\u0001b', 'must not contain control characters'],
      ['x'.repeat(256), 'must not be longer than 255 bytes'],
    ].map(([given, problem]) => ({
      name: `${name} ${problem}`,
      run: shownBy('application_name', { [name]: given }),
      ...refused(name, problem),
    })),
  ]),
]);
