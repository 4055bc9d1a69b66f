// Moves the version everywhere it stands: package, lock files, crates. The platform packages take it from there.
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const { cli, Failure } = require('./support/cli.js');
const { ROOT, run } = require('./support/run.js');

const HELP = `
Usage: node scripts/version.js VERSION

Writes VERSION (1.2.3 or 1.2.3-beta.1) into package.json, package-lock.json, Cargo.toml, Cargo.lock and
fuzz/Cargo.lock, and begins a section for it in CHANGELOG.md. The seven platform packages get their version from package.json when
they are packed, so all eight are the same by construction. Commits nothing.

  --help   this text
`;

function edit(file, change) {
  const target = path.join(ROOT, file);
  const before = fs.readFileSync(target, 'utf8');
  const after = change(before);
  if (after === before) throw new Failure(`${file}: nothing to change`);
  fs.writeFileSync(target, after);
  console.log(`changed ${file}`);
}

cli(HELP, {}, async (_options, [version = '']) => {
  if (!/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version)) throw new Failure(HELP.trim());
  const { version: old } = JSON.parse(fs.readFileSync(path.join(ROOT, 'package.json'), 'utf8'));
  edit('package.json', (text) => text.replace(`"version": "${old}"`, `"version": "${version}"`));
  // the version of the package stands at the top and in its own entry, in front of all others
  edit('package-lock.json', (text) => {
    const [head, ...rest] = text.split('"node_modules/');
    return [head.replaceAll(`"version": "${old}"`, `"version": "${version}"`), ...rest].join(
      '"node_modules/',
    );
  });
  edit('Cargo.toml', (text) => text.replace(`version = "${old}"`, `version = "${version}"`));
  // a workspace of its own, whose crates need not be here
  edit('fuzz/Cargo.lock', (text) =>
    text.replace(/(name = "pg-berth-(?:native|uv)"\nversion = ")[^"]+/g, `$1${version}`),
  );
  edit('CHANGELOG.md', (text) =>
    text.replace('## Unreleased\n', `## Unreleased\n\n## ${version}\n`),
  );
  const { code, output } = await run('cargo', ['update', '--workspace', '--offline']);
  if (code !== 0) throw new Failure(`cargo update failed:\n${output}`);
  console.log('changed Cargo.lock');
});
