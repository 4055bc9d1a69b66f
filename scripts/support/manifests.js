// The package.json files of what is published: one main package without a binary, and one package per platform.
'use strict';

const { PLATFORMS } = require('./platforms.js');

const nameOf = (platform) => `@pg-berth/${platform.name}`;

/**
 * Where the package comes from, as the workflow that packs it knows: npm accepts provenance only from the repository that
 * the manifest names.
 * @param {NodeJS.ProcessEnv} env
 */
function repositoryOf({
  GITHUB_SERVER_URL: server = 'https://github.com',
  GITHUB_REPOSITORY: name,
}) {
  return name ? { repository: { type: 'git', url: `git+${server}/${name}.git` } } : {};
}

/** Of the checkout's manifest only what users need; the binaries come as optional dependencies of the same version. */
function mainManifest(
  { private: _, scripts, devDependencies, allowScripts, ...own },
  env = process.env,
) {
  const versions = PLATFORMS.map((platform) => [nameOf(platform), own.version]);
  return { ...own, ...repositoryOf(env), optionalDependencies: Object.fromEntries(versions) };
}

/** @param {import('./platforms.js').Platform} platform */
function platformManifest(platform, { version, license, author, engines }, env = process.env) {
  const { name, os, cpu, libc } = platform;
  return {
    name: nameOf(platform),
    version,
    description: `The engine of pg-berth for ${name}.`,
    license,
    author,
    ...repositoryOf(env),
    main: 'pg-berth.node',
    files: ['pg-berth.node', 'THIRD-PARTY-NOTICES'],
    os: [os],
    cpu: [cpu],
    ...(libc && { libc: [libc] }),
    engines,
  };
}

module.exports = { mainManifest, platformManifest };
