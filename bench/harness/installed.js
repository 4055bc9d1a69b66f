// pg-berth as users get it: the peers' processes load the packed package, not the files of the checkout.
'use strict';

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

/**
 * Puts the package of this checkout where the adapters find it.
 * @returns {() => void} takes it away
 */
function installed() {
  const { stageInstalled } = require('../../scripts/support/staging.js');
  const project = fs.mkdtempSync(path.join(os.tmpdir(), 'pg-berth-bench-'));
  process.env.PG_BERTH_PUBLISHED = stageInstalled(project);
  return () => fs.rmSync(project, { recursive: true, force: true });
}

module.exports = { installed };
