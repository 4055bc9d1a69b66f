// A folder in which `pg` is this package, as after `npm install pg@npm:pg-berth`.
'use strict';

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const ROOT = path.join(__dirname, '..', '..');

/** Packages whose folder holds packages: their members are linked one by one. */
const isScope = (name) => name.startsWith('@');

/** @returns {{ folder: string, remove: () => void }} everything is linked, so `node` has to keep symbolic links */
function aliasedFolder() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pg-berth-alias-'));
  const modules = path.join(folder, 'node_modules');
  fs.mkdirSync(modules);
  for (const name of fs.readdirSync(path.join(ROOT, 'node_modules'))) {
    if (name.startsWith('.') || name === 'pg') continue;
    const from = path.join(ROOT, 'node_modules', name);
    if (isScope(name)) {
      fs.mkdirSync(path.join(modules, name));
      for (const member of fs.readdirSync(from)) {
        fs.symlinkSync(path.join(from, member), path.join(modules, name, member));
      }
    } else {
      fs.symlinkSync(from, path.join(modules, name));
    }
  }
  fs.symlinkSync(ROOT, path.join(modules, 'pg'));
  fs.symlinkSync(path.join(ROOT, 'test'), path.join(folder, 'test'));
  return { folder, remove: () => fs.rmSync(folder, { recursive: true, force: true }) };
}

module.exports = { ROOT, aliasedFolder };
