// Folders of packages as they are published, made from the checkout.
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const { ADDON } = require('./addon.js');
const { writeChunks } = require('./chunks.js');
const { mainManifest, platformManifest } = require('./manifests.js');
const { ownPlatform } = require('./platforms.js');
const { ROOT } = require('./run.js');

const own = () => JSON.parse(fs.readFileSync(path.join(ROOT, 'package.json'), 'utf8'));

function writeManifest(folder, manifest) {
  fs.mkdirSync(folder, { recursive: true });
  const text = `${JSON.stringify(manifest, null, 2)}\n`;
  fs.writeFileSync(path.join(folder, 'package.json'), text);
}

/** The main package: JavaScript, joined where a start needs it at once, and types; no binary. @returns {string} its folder */
function stageMain(out) {
  const manifest = mainManifest(own());
  const folder = path.join(out, 'pg-berth');
  writeManifest(folder, manifest);
  for (const name of [...manifest.files, 'README.md', 'LICENSE']) {
    fs.cpSync(path.join(ROOT, name), path.join(folder, name), { recursive: true });
  }
  writeChunks(path.join(folder, 'lib'));
  return folder;
}

/**
 * The package of one platform.
 * @param {string} out @param {import('./platforms.js').Platform} platform @param {string} binary
 * @param {string} notices licences of what is linked into the binary
 * @returns {string} its folder
 */
function stagePlatform(out, platform, binary, notices) {
  const folder = path.join(out, platform.name);
  const manifest = platformManifest(platform, own());
  writeManifest(folder, manifest);
  fs.copyFileSync(binary, path.join(folder, 'pg-berth.node'));
  fs.copyFileSync(path.join(ROOT, 'LICENSE'), path.join(folder, 'LICENSE'));
  fs.writeFileSync(path.join(folder, 'THIRD-PARTY-NOTICES'), notices);
  const text = `# ${manifest.name}\n\n${manifest.description} Installed by \`pg-berth\`; nothing to use by itself.\n`;
  fs.writeFileSync(path.join(folder, 'README.md'), text);
  return folder;
}

/**
 * Both packages as npm would install them here, without asking it.
 * @param {string} project
 * @returns {string} the folder of the main one
 */
function stageInstalled(project) {
  const modules = path.join(project, 'node_modules');
  const platform = ownPlatform();
  const isBuilt = platform !== undefined && fs.existsSync(ADDON);
  if (isBuilt) stagePlatform(path.join(modules, '@pg-berth'), platform, ADDON, '');
  return stageMain(modules);
}

module.exports = { stageInstalled, stageMain, stagePlatform };
