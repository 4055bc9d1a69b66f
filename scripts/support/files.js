// Lists files of the repository for the checks.
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const { ROOT } = require('./run.js');

const PASSED_OVER = new Set(['node_modules', 'target', 'vectors', 'corpus']);

/**
 * Files below `folder` (relative to the repository) whose name ends in one of `endings`, sorted, with forward slashes.
 * A folder that does not exist has no files.
 *
 * @param {string} folder
 * @param {string[]} endings
 * @returns {string[]} paths relative to the repository
 */
function listFiles(folder, endings) {
  const absolute = path.join(ROOT, folder);
  if (!fs.existsSync(absolute)) return [];
  const entries = fs.readdirSync(absolute, { withFileTypes: true });
  const found = entries.flatMap((entry) => {
    const name = `${folder}/${entry.name}`;
    if (entry.isDirectory()) return PASSED_OVER.has(entry.name) ? [] : listFiles(name, endings);
    return endings.some((ending) => entry.name.endsWith(ending)) ? [name] : [];
  });
  return found.sort();
}

const readText = (file) => fs.readFileSync(path.join(ROOT, file), 'utf8');

module.exports = { listFiles, readText };
