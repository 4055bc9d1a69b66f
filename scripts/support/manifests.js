// The package.json files of what is published: one main package without a binary, and one package per platform.
'use strict';

const { PLATFORMS } = require('./platforms.js');

const nameOf = (platform) => `@pg-berth/${platform.name}`;

/** Of the checkout's manifest only what users need; the binaries come as optional dependencies of the same version. */
function mainManifest({ private: _, scripts, devDependencies, allowScripts, ...own }) {
  const versions = PLATFORMS.map((platform) => [nameOf(platform), own.version]);
  return { ...own, optionalDependencies: Object.fromEntries(versions) };
}

/** @param {import('./platforms.js').Platform} platform */
function platformManifest(platform, { version, license, author, engines }) {
  const { name, os, cpu, libc } = platform;
  return {
    name: nameOf(platform),
    version,
    description: `The engine of pg-berth for ${name}.`,
    license,
    author,
    main: 'pg-berth.node',
    files: ['pg-berth.node'],
    os: [os],
    cpu: [cpu],
    ...(libc && { libc: [libc] }),
    engines,
  };
}

module.exports = { mainManifest, platformManifest };
