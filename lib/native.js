// Finds and loads the engine's binary, and says why when it cannot.
'use strict';

const path = require('node:path');

/** @typedef {typeof import('../types/native.js')} Native */

/** Packages that may hold the binary on this platform, tried in order: a wrong libc fails to load, which is no harm. */
const PLATFORM_PACKAGES = /** @type {Record<string, string[]>} */ ({
  'darwin-arm64': ['darwin-arm64'],
  'darwin-x64': ['darwin-x64'],
  'linux-arm64': ['linux-arm64-gnu', 'linux-arm64-musl'],
  'linux-x64': ['linux-x64-gnu', 'linux-x64-musl'],
  'win32-x64': ['win32-x64-msvc'],
});

/** @returns {string[]} files and packages in the order they are tried */
function candidates() {
  const given = process.env.PG_BERTH_BINARY;
  if (given) return [path.resolve(given)];
  const platform = `${process.platform}-${process.arch}`;
  const packages = (PLATFORM_PACKAGES[platform] ?? []).map((name) => `@pg-berth/${name}`);
  return [path.join(__dirname, '..', 'build', 'pg-berth.node'), ...packages];
}

/** @returns {Native} */
function load() {
  const failures = [];
  for (const candidate of candidates()) {
    try {
      return require(candidate);
    } catch (error) {
      const [reason] = String(/** @type {Error} */ (error).message).split('\n');
      failures.push(`${candidate}: ${reason}`);
    }
  }
  throw new Error(
    `pg-berth has no engine for ${process.platform} ${process.arch} (Node ${process.versions.node}). ` +
      'Install its optional dependencies again, or build it with "npm run build". Tried:\n  ' +
      failures.join('\n  '),
  );
}

module.exports = load();
