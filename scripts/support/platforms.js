// The platforms that have a binary: names, what npm chooses by, Rust triples.
'use strict';

/**
 * Names are those of lib/native.js.
 * @typedef {{ name: string, os: string, cpu: string, libc?: 'glibc' | 'musl', triple: string }} Platform
 */

/** @type {readonly Platform[]} */
const PLATFORMS = [
  { name: 'win32-x64-msvc', os: 'win32', cpu: 'x64', triple: 'x86_64-pc-windows-msvc' },
  { name: 'darwin-x64', os: 'darwin', cpu: 'x64', triple: 'x86_64-apple-darwin' },
  { name: 'darwin-arm64', os: 'darwin', cpu: 'arm64', triple: 'aarch64-apple-darwin' },
  linux('linux-x64-gnu', 'x64', 'glibc', 'x86_64-unknown-linux-gnu'),
  linux('linux-arm64-gnu', 'arm64', 'glibc', 'aarch64-unknown-linux-gnu'),
  linux('linux-x64-musl', 'x64', 'musl', 'x86_64-unknown-linux-musl'),
  linux('linux-arm64-musl', 'arm64', 'musl', 'aarch64-unknown-linux-musl'),
];

/** Node's own floor. Linking with zig reaches it on any machine; without, a binary needs the glibc it was built on. */
const GLIBC_FLOOR = '2.28';

/** @returns {Platform} */
function linux(name, cpu, libc, triple) {
  return { name, os: 'linux', cpu, libc, triple };
}

/** The platform of this machine, as far as it is one of them. @returns {Platform | undefined} */
function ownPlatform() {
  const isGlibc = Boolean(process.report?.getReport().header.glibcVersionRuntime);
  const libc = process.platform === 'linux' ? (isGlibc ? 'glibc' : 'musl') : undefined;
  return PLATFORMS.find(
    ({ os, cpu, libc: wanted }) =>
      os === process.platform && cpu === process.arch && wanted === libc,
  );
}

module.exports = { GLIBC_FLOOR, PLATFORMS, ownPlatform };
