// Runs every JavaScript block of the documentation against a server, and checks the types of every TypeScript block.
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const { cli } = require('./support/cli.js');
const { listFiles, readText } = require('./support/files.js');
const { prepare, withServer } = require('./support/prepared.js');
const { ROOT, run, tool } = require('./support/run.js');
const { brokenClaim, snippetsOf } = require('./support/snippets.js');
const { Steps } = require('./support/steps.js');

const HELP = `
Usage: npm run readme [-- options] [FILE.md …]

Runs each js block of README.md and docs/*.md (or of the files given) as a program of its own, with
DATABASE_URL and the PG… variables naming a server, and CLUSTER_URL a primary with its standbys. What
a comment behind console.log(…) says must be printed, with … standing for anything. A block that does
not load pg-berth itself runs after the code of the last comment  <!-- before: code -->  above it; a
block right after  <!-- not run: reason -->  is left out. Types of ts blocks are checked.

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

/** Programs of one page after the other, since they share a server. */
async function runAll(snippets, url, steps) {
  const needsCluster = snippets.some(({ code }) => code.includes('CLUSTER_URL'));
  const cluster = needsCluster
    ? await require('../test/support/cluster.js').startCluster()
    : undefined;
  const env = environment(url);
  if (cluster) {
    env.CLUSTER_URL = `postgres://postgres@${cluster.hosts.join(',')}/postgres?sslmode=disable`;
  }
  try {
    for (const { file, line, name, says } of snippets) {
      await steps.run(`${file}:${line}`, async () => {
        const ended = await run(process.execPath, [path.join(FOLDER, name)], { env });
        const broken = ended.code === 0 ? brokenClaim(says, ended.output) : undefined;
        const output =
          broken === undefined ? ended.output : `${ended.output}\nnot printed: ${broken}`;
        const code = broken === undefined ? ended.code : 1;
        return { code, output, passed: code === 0 ? 1 : 0, failed: code === 0 ? 0 : 1 };
      });
    }
  } finally {
    await cluster?.stop();
  }
}

/** All blocks of TypeScript in one run of the compiler, with the options of the package's own types. */
async function checkTypes(snippets, steps) {
  const config = path.join(FOLDER, 'tsconfig.json');
  const files = snippets.map(({ name }) => name);
  const base = path.relative(FOLDER, path.join(ROOT, 'tsconfig.json'));
  fs.writeFileSync(config, JSON.stringify({ extends: base, files, include: [] }));
  await steps.run(`types of ${files.length} blocks`, async () => {
    const ended = await run(tool('tsc'), ['-p', config, '--pretty', 'false']);
    return {
      ...ended,
      passed: ended.code === 0 ? files.length : 0,
      failed: ended.code === 0 ? 0 : 1,
    };
  });
}

cli(HELP, { 'skip-build': { type: 'boolean' } }, async (options, given) => {
  await prepare({ skipBuild: options['skip-build'] });
  // the reference shows declarations, and its examples are those of the guides
  const pages = listFiles('docs', ['.md']).filter((file) => !file.startsWith('docs/api/'));
  const files = given.length > 0 ? given : ['README.md', ...pages];
  const snippets = files.flatMap((file) => snippetsOf(file, readText(file)));
  fs.rmSync(FOLDER, { recursive: true, force: true });
  fs.mkdirSync(FOLDER, { recursive: true });
  for (const { name, code } of snippets) fs.writeFileSync(path.join(FOLDER, name), code);
  const isTyped = ({ name }) => name.endsWith('.mts');
  const steps = new Steps();
  const typed = snippets.filter(isTyped);
  if (typed.length > 0) await checkTypes(typed, steps);
  await withServer((url) =>
    runAll(
      snippets.filter((one) => !isTyped(one)),
      url,
      steps,
    ),
  );
  return steps.finish();
});
