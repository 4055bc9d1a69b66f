// Runs every JavaScript block of the documentation against a server.
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const { cli } = require('./support/cli.js');
const { listFiles, readText } = require('./support/files.js');
const { prepare, withServer } = require('./support/prepared.js');
const { ROOT, run } = require('./support/run.js');
const { snippetsOf } = require('./support/snippets.js');
const { Steps } = require('./support/steps.js');

const HELP = `
Usage: npm run readme [-- options] [FILE.md …]

Runs each js block of README.md and docs/*.md (or of the files given) as a program of its own, with
DATABASE_URL and the PG… variables naming a server. A block that does not load pg-berth itself runs
after the code of the last comment  <!-- before: code -->  above it; a block right after
<!-- not run: reason -->  is left out.

  --skip-build   use the engine that was built last
  --help         this text
`;

/** Inside the repository, so that require('pg-berth') means this package. */
const FOLDER = path.join(ROOT, '.cache/snippets');

/** Variables that let clients without options find the server. */
function environment(url) {
  const { hostname, port, username, password, pathname } = new URL(url);
  return {
    DATABASE_URL: url,
    PGHOST: hostname,
    PGPORT: port || '5432',
    PGUSER: decodeURIComponent(username),
    PGDATABASE: pathname.slice(1),
    ...(password && { PGPASSWORD: decodeURIComponent(password) }),
  };
}

async function runAll(files, url) {
  const steps = new Steps();
  fs.rmSync(FOLDER, { recursive: true, force: true });
  fs.mkdirSync(FOLDER, { recursive: true });
  for (const { file, line, name, code } of files.flatMap((f) => snippetsOf(f, readText(f)))) {
    const program = path.join(FOLDER, name);
    fs.writeFileSync(program, code);
    await steps.run(`${file}:${line}`, async () => {
      const ended = await run(process.execPath, [program], { env: environment(url) });
      return { ...ended, passed: ended.code === 0 ? 1 : 0, failed: ended.code === 0 ? 0 : 1 };
    });
  }
  return steps.finish();
}

cli(HELP, { 'skip-build': { type: 'boolean' } }, async (options, given) => {
  await prepare({ skipBuild: options['skip-build'] });
  const files = given.length > 0 ? given : ['README.md', ...listFiles('docs', ['.md'])];
  return withServer((url) => runAll(files, url));
});
