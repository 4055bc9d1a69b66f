// Finds and loads the engine's binary, and says why when it cannot.
'use strict';

const fs = require('node:fs');
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

/**
 * Node's own, which takes any name: bundlers put theirs in the place of `require`, and in a single executable that finds
 * nothing but Node's modules. There packages are looked for beside the bundle or the executable.
 */
const nodesRequire = moduleSystem().createRequire(__filename);

/** @returns {{ createRequire: (file: string) => NodeJS.Require }} */
function moduleSystem() {
  // The same thing where nobody has put another in its place; asked for by name it loads the one of ESM as well.
  const system = /** @type {any} */ (module.constructor);
  return typeof system.createRequire === 'function' ? system : require('node:module');
}

/** Set on an instance of the engine that a copy of these modules uses; the same in all copies. */
const TAKEN = Symbol.for('pg-berth.taken');

/** Where a checkout has its own build. */
const BUILT = path.join(__dirname, '..', 'build', 'pg-berth.node');
/** What only a checkout has. */
const SOURCES = path.join(__dirname, '..', 'native', 'Cargo.toml');

/**
 * What is tried, in order. A binary that was named or built here is the only one: when it is broken that has to be seen,
 * and not covered by another.
 */
function candidates() {
  const given = process.env.PG_BERTH_BINARY;
  if (given) return [path.resolve(given)];
  if (fs.existsSync(BUILT)) return [BUILT];
  const packages = PLATFORM_PACKAGES[`${process.platform}-${process.arch}`] ?? [];
  return packages.map((name) => `@pg-berth/${name}`);
}

/** Is this `node --build-snapshot`, or what makes a single executable with one? Whatever is native ends Node there. */
function isBuildingSnapshot() {
  const isBuilding = /^--(build-snapshot|build-sea|experimental-sea-config)/;
  if (!process.execArgv.some((flag) => isBuilding.test(flag))) return false;
  return require('node:v8').startupSnapshot.isBuildingSnapshot();
}

/** @returns {Native} */
function load() {
  if (isBuildingSnapshot()) {
    throw new Error(
      'the engine of pg-berth cannot be part of a startup snapshot: open pools and clients in the function that is given to v8.startupSnapshot.setDeserializeMainFunction',
    );
  }
  const tried = candidates();
  const failures = [];
  let isForbidden = false;
  for (const candidate of tried) {
    try {
      return ownInstance(nodesRequire(candidate), candidate);
    } catch (error) {
      const { message, code } = /** @type {NodeJS.ErrnoException} */ (error);
      const [reason] = String(message).split('\n');
      failures.push(`${candidate}: ${reason}`);
      isForbidden ||= code === 'ERR_DLOPEN_DISABLED';
    }
  }
  throw new Error(explain(tried, failures, isForbidden));
}

/**
 * The engine as an instance of this copy's own. Node keeps one instance a thread, and it wakes the copy of these modules that
 * set it up: in a second copy, such as each test file of Jest or each of several bundles has, nothing would ever be answered.
 * @param {Native} loaded @param {string} candidate
 * @returns {Native}
 */
function ownInstance(loaded, candidate) {
  if (!Object.hasOwn(loaded, TAKEN)) {
    Object.defineProperty(loaded, TAKEN, { value: true });
    return loaded;
  }
  const fresh = { exports: /** @type {any} */ ({}) };
  process.dlopen(fresh, nodesRequire.resolve(candidate));
  return fresh.exports;
}

/** @param {string[]} tried @param {string[]} failures @param {boolean} isForbidden this process may load no addon at all */
function explain(tried, failures, isForbidden) {
  const system = `${process.platform} ${process.arch}${libc()}`;
  const lead = `pg-berth has no engine for ${system} (Node ${process.versions.node}). `;
  if (tried.length === 0) {
    const known = Object.keys(PLATFORM_PACKAGES).join(', ');
    return `${lead}There are binaries for ${known}; elsewhere build one from a checkout with "npm run build" and set PG_BERTH_BINARY to its path.`;
  }
  if (isForbidden) {
    return `${lead}This process must not load addons: start Node without --no-addons, and with --allow-addons where there is --permission.`;
  }
  const isPackage = tried.every((name) => name.startsWith('@'));
  if (isPackage && fs.existsSync(SOURCES)) {
    return `${lead}This is a checkout in which it was not built yet: "npm run build" does that.`;
  }
  const advice = isPackage
    ? `Install ${tried.join(' or ')} in the same version; npm leaves it out with --omit=optional, or when node_modules comes from another platform.`
    : 'Build it again with "npm run build".';
  return `${lead}${advice} Tried:\n  ${failures.join('\n  ')}`;
}

/** Only asked when nothing loaded: the report takes milliseconds. */
function libc() {
  if (process.platform !== 'linux') return '';
  const report = /** @type {any} */ (process.report?.getReport());
  const version = report?.header?.glibcVersionRuntime;
  return version === undefined ? ' (no glibc, so probably musl)' : ` (glibc ${version})`;
}

module.exports = load();
