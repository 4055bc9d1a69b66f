// Packs what is published: the main package, and the package of one platform.
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const { ADDON } = require('./support/addon.js');
const { cli, Failure } = require('./support/cli.js');
const { thirdPartyNotices } = require('./support/notices.js');
const { PLATFORMS, ownPlatform } = require('./support/platforms.js');
const { ROOT, run } = require('./support/run.js');
const { stageMain, stagePlatform } = require('./support/staging.js');

const HELP = `
Usage: npm run pack -- [options]

Writes tarballs as npm publishes them: pg-berth (JavaScript and types), and @pg-berth/<platform> (one binary,
with the licences of what is linked into it, which cargo knows).

  --platform NAME  default: this machine; there are ${PLATFORMS.map(({ name }) => name).join(', ')}
  --binary PATH    default: build/pg-berth.node
  --out FOLDER     default: release
  --only PART      main or platform
  --help           this text
`;

const OPTIONS = {
  platform: { type: 'string' },
  binary: { type: 'string', default: ADDON },
  out: { type: 'string', default: 'release' },
  only: { type: 'string' },
};

/** @returns {import('./support/platforms.js').Platform} */
function wantedPlatform(name) {
  const found = name ? PLATFORMS.find((platform) => platform.name === name) : ownPlatform();
  if (!found) throw new Failure(`--platform ${name ?? '(this machine)'}: not one of the platforms`);
  return found;
}

async function pack(folder, out) {
  const { code, output } = await run('npm', [
    'pack',
    folder,
    '--pack-destination',
    out,
    '--silent',
  ]);
  if (code !== 0) throw new Failure(`npm pack ${folder} failed:\n${output}`);
  const file = path.join(out, output.trim().split('\n').at(-1));
  console.log(`${path.relative(ROOT, file)}  ${(fs.statSync(file).size / 1024).toFixed(0)} KiB`);
}

cli(HELP, OPTIONS, async ({ platform, binary, out, only }) => {
  if (![undefined, 'main', 'platform'].includes(only)) throw new Failure('--only main or platform');
  const target = path.resolve(ROOT, out);
  const staged = path.join(target, 'staged');
  fs.rmSync(staged, { recursive: true, force: true });
  if (only !== 'platform') await pack(stageMain(staged), target);
  if (only !== 'main') {
    const wanted = wantedPlatform(platform);
    await pack(stagePlatform(staged, wanted, binary, await thirdPartyNotices(wanted)), target);
  }
});
