// Who takes part, and the command that runs each of them in a process of its own.
'use strict';

const fs = require('node:fs');
const path = require('node:path');

const BENCH = path.join(__dirname, '..');
const LIMIT = path.join(BENCH, 'limit/target/release/pg-berth-bench-limit');

/** isPlain: it knows no TLS. */
const PEERS = {
  'pg-named': { title: 'pg, named statements', needs: 'pg' },
  pg: { title: 'pg, plain', needs: 'pg' },
  'pg-pipeline': { title: 'pg, pipeline', needs: 'pg', optional: true },
  postgres: { title: 'postgres', needs: 'postgres' },
  bun: { title: "Bun's SQL", needs: 'bun/package.json' },
  limit: { title: 'Rust, tokio-postgres', isPlain: true },
  'pg-berth-pg': { title: 'pg-berth, pg face', needs: '../..' },
  'pg-berth-engine': { title: 'pg-berth, engine thread', needs: '../..' },
  'pg-berth': { title: 'pg-berth', needs: '../..' },
};
const SUBJECT = 'pg-berth';
const REFERENCE = 'pg-named';

/**
 * The command line of a peer's process.
 *
 * @param {string} peer
 * @param {'child.js' | 'cold.js'} script
 * @returns {[string, string[]]}
 */
function command(peer, script) {
  if (peer === 'limit') return [LIMIT, script === 'cold.js' ? ['--cold'] : []];
  const file = path.join(BENCH, script);
  if (peer === 'bun') return [bunBinary(), [file, peer]];
  return [process.execPath, [file, peer]];
}

function bunBinary() {
  const manifest = require.resolve('bun/package.json');
  return path.join(path.dirname(manifest), require(manifest).bin.bun);
}

/** Why a peer cannot run here, or null if it can. */
function missing(peer) {
  if (peer === 'limit') {
    return fs.existsSync(LIMIT) ? null : 'bench/limit is not built (cargo build --release)';
  }
  const { needs } = PEERS[peer];
  try {
    require.resolve(needs);
  } catch {
    return `${needs} cannot be resolved`;
  }
  return null;
}

module.exports = { PEERS, SUBJECT, REFERENCE, BENCH, command, missing };
