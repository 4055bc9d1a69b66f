// The package as it is published: its chunks have what a first statement needs, and the modules in them are those of lib/.
'use strict';

const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { after, test } = require('node:test');
const { CHUNKS, withoutComments } = require('../../scripts/support/chunks.js');
const { listFiles } = require('../../scripts/support/files.js');
const { stageInstalled } = require('../../scripts/support/staging.js');
const { testDatabase } = require('../support/pools.js');

const db = testDatabase();
const project = fs.mkdtempSync(path.join(os.tmpdir(), 'pg-berth-chunks-'));
after(() => fs.rmSync(project, { recursive: true, force: true }));
const published = stageInstalled(project);
// What some subpaths are for.
for (const peer of ['kysely', '@opentelemetry/api']) {
  const place = path.join(project, 'node_modules', peer);
  fs.mkdirSync(path.dirname(place), { recursive: true });
  fs.symlinkSync(path.join(__dirname, '../../node_modules', peer), place, 'junction');
}

/** What a program in the project prints, as JSON; `loaded()` are the files of the package that were loaded, in their order. */
function printed(code, variables = {}) {
  const program = `
    const path = require('node:path');
    const lib = path.dirname(require.resolve('pg-berth'));
    const own = (file) => path.relative(lib, file).replaceAll(path.sep, '/');
    const loaded = () => Object.keys(require.cache).map(own).filter((file) => !file.startsWith('..'));
    const told = (value) => process.stdout.write(JSON.stringify(value));
    ${code}`;
  const { PG_BERTH_BINARY, ...env } = process.env;
  const output = execFileSync(process.execPath, ['-e', program], {
    cwd: project,
    env: { ...env, URL: db.url, ...variables },
    encoding: 'utf8',
  });
  return JSON.parse(output);
}

test('a first statement reads the chunks, and no other file', () => {
  const seen = printed(`
    const { createPool } = require('pg-berth');
    const pool = createPool({ connectionString: process.env.URL, types: 'pg' });
    pool.query('select $1::int4 as n', [7]).then(([{ n }]) => {
      told({ n, files: loaded() });
      return pool.end();
    });`);
  const files = ['index', ...Object.keys(CHUNKS)].map((name) => `${name}.js`);
  assert.deepEqual(seen, { n: 7, files });
});

test('what each chunk has is used by a first statement', () => {
  const used = printed(`
    const fs = require('node:fs');
    const used = [];
    global.isUsed = (id) => used.push(id);
    for (const chunk of ${JSON.stringify(Object.keys(CHUNKS))}) {
      const file = path.join(lib, chunk + '.js');
      const text = fs.readFileSync(file, 'utf8');
      process.on('exit', () => fs.writeFileSync(file, text));
      fs.writeFileSync(file, text.replace('modules[id](own', 'isUsed(id);\\n    modules[id](own'));
    }
    const { createPool } = require('pg-berth');
    const pool = createPool({ connectionString: process.env.URL, types: 'pg' });
    pool.query('select $1::int4 as n', [7]).then(() => {
      told(used);
      return pool.end();
    });`);
  assert.deepEqual(used.sort(), Object.values(CHUNKS).flat().sort());
});

test('every module has the names that it has in a checkout, and is one, whoever asks for it', () => {
  const ids = listFiles('lib', ['.js'])
    .map((file) => file.replace(/^lib\/|\.js$/g, ''))
    .filter((id) => !id.startsWith('cli/'));
  const names = (id, module) => [id, typeof module, Object.keys(module)];
  const expected = ids.map((id) => names(id, require(`../../lib/${id}.js`)));
  const seen = printed(`
    const names = ${names};
    const modules = ${JSON.stringify(ids)}.map((id) => [id, require(path.join(lib, id + '.js'))]);
    const berth = require('pg-berth');
    const of = Object.fromEntries(modules);
    const inChunks = Object.entries(${JSON.stringify(CHUNKS)}).flatMap(([chunk, ids]) =>
      ids.map((id) => of[id] === require(path.join(lib, chunk + '.js'))(id)));
    const same = [
      of['pool'].createPool === berth.createPool,
      of['error-classes'].PgError === berth.PgError,
      of['pg/index'].Pool === berth.Pool,
      ...inChunks,
    ];
    told({ names: modules.map(([id, module]) => names(id, module)), same });`);
  assert.deepEqual(seen.names, JSON.parse(JSON.stringify(expected)));
  assert.deepEqual([...new Set(seen.same)], [true]);
});

test('an error of one face is an instance of the class that another subpath names', () => {
  const seen = printed(`
    const { createPool, Client, PgError, ServerError } = require('pg-berth');
    const { isTransientError } = require('pg-berth/resilience');
    const pool = createPool(process.env.URL);
    const client = new Client(process.env.URL);
    const wrong = (asked) => asked.then(() => 'no error', (error) => [error instanceof PgError, error instanceof ServerError, isTransientError(error)]);
    (async () => {
      const ofPool = await wrong(pool.query('select 1/0'));
      await client.connect();
      const ofClient = await wrong(client.query('select 1/0'));
      await client.end();
      await pool.end();
      told({ ofPool, ofClient: ofClient.length });
    })();`);
  assert.deepEqual(seen, { ofPool: [true, true, false], ofClient: 3 });
});

test('what runs anywhere reads the lowest chunk at most, which asks for nothing of Node', () => {
  for (const entry of ['health', 'resilience', 'pool', 'shutdown', 'debug', 'status']) {
    const files = printed(`require('pg-berth/${entry}'); told(loaded());`);
    const others = files.filter((file) => /^start-(?!any)|native/.test(file));
    assert.deepEqual(others, [], entry);
  }
  const text = fs.readFileSync(path.join(published, 'lib/start-any.js'), 'utf8');
  assert.doesNotMatch(text, /require\('(?!\.)|\b(Buffer|process|__dirname|__filename)\b/);
});

test('a module that failed is asked for again', () => {
  const seen = printed(
    `
    const berth = require('pg-berth');
    const failure = () => {
      try {
        berth.createPool(process.env.URL);
      } catch (error) {
        return error.message;
      }
    };
    const first = failure();
    const second = failure();
    delete process.env.PG_BERTH_BINARY;
    const pool = berth.createPool(process.env.URL);
    pool.query('select 1 as n').then(([{ n }]) => {
      told({ isSame: first === second, isNamed: first.includes('nowhere.node'), n });
      return pool.end();
    });`,
    { PG_BERTH_BINARY: path.join(project, 'nowhere.node') },
  );
  assert.deepEqual(seen, { isSame: true, isNamed: true, n: 1 });
});

test('comments that fill their lines are left out, and nothing that only looks like one', () => {
  const code = ["const a = 'x'; // beside", 'const b = /** @type {any} */ (a);'];
  const text = [
    '// first',
    '',
    '/** one line */',
    code[0],
    '  /*',
    '   * // more',
    '   */',
    code[1],
  ];
  assert.equal(withoutComments(text.join('\n')), code.join('\n'));
  const longer = [
    ['// first', 'const a = `', '// of the template', '`;'],
    ['// first', "const a = 'x\\", "// of the string';"],
    ['// first', 'a(); /* begins', '// behind code */'],
  ];
  for (const lines of longer) assert.equal(withoutComments(lines.join('\n')), lines.join('\n'));
});
