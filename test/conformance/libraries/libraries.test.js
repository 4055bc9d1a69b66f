// Real libraries with only the driver replaced: the same work with pg, with this package by option, and in its place.
'use strict';

const assert = require('node:assert/strict');
const { execFile } = require('node:child_process');
const path = require('node:path');
const { after, before } = require('node:test');
const { promisify } = require('node:util');
const { ROOT, aliasedFolder } = require('../../support/aliased.js');
const { freshDatabase } = require('../../support/shared.js');
const { test } = require('../../support/timed-test.js');

const run = promisify(execFile);

const LIBRARIES = [
  'kysely',
  'drizzle',
  'knex',
  'objection',
  'typeorm',
  'sequelize',
  'pg-boss',
  'graphile-worker',
  'connect-pg-simple',
  'pg-copy-streams',
  'module',
];

/** They take no driver and no pool: in its place is the only way. */
const WITHOUT_OPTION = ['pg-promise', 'pg-listen', 'prisma', 'slonik'];

let alias;
before(() => {
  alias = aliasedFolder();
});
after(() => alias.remove());

/** What the library's work comes to with a driver, on a database of its own. */
async function work(library, mode) {
  const database = await freshDatabase();
  const isAliased = mode === 'aliased';
  const links = isAliased ? ['--preserve-symlinks', '--preserve-symlinks-main'] : [];
  const runner = path.join(isAliased ? alias.folder : ROOT, 'test', 'support', 'library-runner.js');
  try {
    const { stdout } = await run(process.execPath, [...links, runner, library, mode], {
      env: { ...process.env, LIBRARY_DATABASE: database.url },
      timeout: 25_000,
    });
    return JSON.parse(stdout);
  } finally {
    await database.drop();
  }
}

for (const library of LIBRARIES) {
  test(`${library} does the same work with pg, by option and in its place`, async () => {
    const expected = await work(library, 'reference');
    assert.deepEqual(await work(library, 'injected'), expected);
    assert.deepEqual(await work(library, 'aliased'), expected);
  });
}

for (const library of WITHOUT_OPTION) {
  test(`${library} does the same work with pg in its place`, async () => {
    const expected = await work(library, 'reference');
    assert.deepEqual(await work(library, 'aliased'), expected);
  });
}
