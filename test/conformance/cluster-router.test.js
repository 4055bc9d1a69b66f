// Which node a pool uses, by what the nodes are and what they say: a table over scripted nodes (CP-10 to CP-13, CP-20 to CP-27).
'use strict';

const assert = require('node:assert/strict');
const { createPool } = require('../../lib/index.js');
const { startProxy } = require('../support/proxy.js');
const { failureOf } = require('../support/script-replies.js');
const { startNode } = require('../support/scripted-nodes.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');
require('../support/stray-errors.js');

const FAST = { raceDelayMs: 30, connectTimeoutMs: 400, acquireTimeoutMs: 500 };

/** Nodes in the order of the list, the mode, and the place of the one that answers; or the error and what it says of each node. */
const TABLE = /** @type {[string[], string, number | number[] | [string, RegExp]][]} */ ([
  [['primary'], 'read-write', 0],
  [['primary', 'standby'], 'read-write', 0],
  [['standby', 'primary'], 'read-write', 1],
  [['standby', 'standby', 'primary'], 'read-write', 2],
  [['dead', 'primary'], 'read-write', 1],
  [['dead', 'dead', 'primary'], 'read-write', 2],
  [['silent', 'primary'], 'read-write', 1],
  [['silent', 'silent', 'primary'], 'read-write', 2],
  [['closing', 'primary'], 'read-write', 1],
  [['babbling', 'primary'], 'read-write', 1],
  [['starting', 'primary'], 'read-write', 1],
  [['full', 'primary'], 'read-write', 1],
  [['fenced', 'primary'], 'read-write', 1],
  [['fenced', 'standby', 'dead', 'silent', 'primary'], 'read-write', 4],
  [['wrong password', 'primary'], 'read-write', 1],
  [['no such database', 'primary'], 'read-write', 1],
  [['liar: is a standby', 'primary'], 'read-write', 1],
  [['liar: is fenced', 'primary'], 'read-write', 1],
  [['mute primary', 'standby'], 'read-write', 0],
  [['mute standby', 'primary'], 'read-write', 1],
  [['mute fenced', 'primary'], 'read-write', 1],
  [['promoted meanwhile', 'standby'], 'read-write', 0],
  [['standby'], 'read-write', ['NoPrimaryError', /is a standby$/]],
  [
    ['fenced'],
    'read-write',
    ['NoPrimaryError', /is read-only \(default_transaction_read_only is on\)$/],
  ],
  [['standby', 'fenced'], 'read-write', ['NoPrimaryError', /is a standby; .* is read-only/]],
  [['dead'], 'read-write', ['NoPrimaryError', /ECONNREFUSED|refused/]],
  [
    ['dead', 'standby'],
    'read-write',
    ['NoPrimaryError', /refused.*; .* is a standby|is a standby; .*refused/],
  ],
  [['silent'], 'read-write', ['NoPrimaryError', /400ms/]],
  [['starting'], 'read-write', ['NoPrimaryError', /starting up/]],
  [['full'], 'read-write', ['NoPrimaryError', /too many clients/]],
  [['mute standby', 'dead'], 'read-write', ['NoPrimaryError', /is a standby/]],
  [['mute standby'], 'primary', ['NoPrimaryError', /is a standby$/]],
  [['mute primary'], 'read-only', ['NoStandbyError', /is the primary$/]],
  [['mute fenced'], 'read-only', ['NoStandbyError', /is a fenced primary$/]],
  [['mute primary'], 'read-write', 0],
  [['mute standby'], 'read-only', 0],
  [['wrong password'], 'read-write', ['error', /password authentication failed/]],
  [['no such database'], 'read-write', ['error', /database does not exist/]],
  [['standby'], 'read-only', 0],
  [['primary', 'standby'], 'read-only', 1],
  [['read-only standby'], 'read-only', 0],
  [['fenced', 'standby'], 'read-only', 1],
  [['dead', 'silent', 'standby'], 'read-only', 2],
  [['mute primary', 'mute standby'], 'read-only', 1],
  [['standby', 'standby'], 'read-only', [0, 1]],
  [['primary'], 'read-only', ['NoStandbyError', /is the primary$/]],
  [['fenced'], 'read-only', ['NoStandbyError', /is a fenced primary$/]],
  [['primary', 'dead'], 'standby', ['NoStandbyError', /is the primary/]],
  [['primary', 'standby'], 'prefer-standby', 1],
  [['primary', 'dead'], 'prefer-standby', 0],
  [['primary', 'silent'], 'prefer-standby', 0],
  [['fenced', 'dead'], 'prefer-standby', 0],
  [['dead', 'dead'], 'prefer-standby', ['NoNodeError', /refused/]],
  [['standby', 'fenced'], 'primary', 1],
  [['standby', 'primary'], 'primary', 1],
  [['standby', 'dead'], 'primary', ['NoPrimaryError', /is a standby/]],
  [['standby', 'primary'], 'any', [0, 1]],
  [['dead', 'fenced'], 'any', 1],
  [['dead', 'dead'], 'any', ['NoNodeError', /refused/]],
]);

for (const [parts, mode, expected] of TABLE) {
  const [end, says] = Array.isArray(expected) && typeof expected[0] === 'string' ? expected : [];
  const what =
    end === undefined
      ? `uses ${[expected]
          .flat()
          .map((at) => parts[at])
          .join(' or ')}`
      : `is a ${end}`;
  test(`CP-22: [${parts.join(', ')}] ${mode} ${what}`, async (t) => {
    const nodes = await Promise.all(parts.map((part, at) => startNode(part, String(at))));
    t.after(() => Promise.all(nodes.map((node) => node.close())));
    const hosts = nodes.map(({ host }) => host);
    const own = { user: 'u', database: 'd', sslmode: 'disable', poolSize: 1, ...FAST };
    const pool = createPool({ hosts, mode: /** @type {any} */ (mode), ...own });
    t.after(() => pool.end({ timeoutMs: 100 }));
    const asked = pool.query('select name');
    if (end === undefined) {
      const [{ name }] = await asked;
      assert.ok([expected].flat().includes(Number(name)), `node ${name} answered`);
      return;
    }
    const error = await failureOf(asked);
    assert.equal(error.name, end, error.stack);
    assert.match(error.message, says);
    assert.equal(error.safeToRetry || error.outcome === 'failed', true);
    for (const node of nodes) assert.ok(!node.asked.includes('select name'), 'somebody was asked');
  });
}

test('CP-22: a primary on a timeline that the cluster has left is never used', async (t) => {
  const nodes = [await startNode('primary', 'new'), await startNode('left primary', 'old')];
  t.after(() => Promise.all(nodes.map((node) => node.close())));
  const hosts = nodes.map(({ host }) => host);
  const own = { user: 'u', database: 'd', sslmode: 'disable', poolSize: 1, ...FAST };
  const first = createPool({ hosts, ...own });
  t.after(() => first.end({ timeoutMs: 100 }));
  assert.deepEqual(await first.query('select name'), [{ name: 'new' }]);
  await nodes[0].close();
  await waitFor(() => first.status().size === 0, { what: 'the loss' });
  const error = await failureOf(first.query('select name'));
  assert.equal(error.name, 'NoPrimaryError', error.stack);
  assert.match(error.message, /is a primary on a timeline that the cluster has left/);
  assert.deepEqual(
    first
      .status()
      .nodes.map(({ role }) => role)
      .sort(),
    ['primary', 'unreachable'],
  );
});

/** Nodes behind proxies, each with its part as its name, and a way to open pools on all of them. */
async function proxiedNodes(t, parts) {
  const nodes = await Promise.all(parts.map((part) => startNode(part, part)));
  const proxies = await Promise.all(
    nodes.map(({ host }) => startProxy({ host: '127.0.0.1', port: Number(host.split(':')[1]) })),
  );
  t.after(() => Promise.all([...proxies, ...nodes].map((one) => one.close())));
  const hosts = proxies.map(({ host, port }) => `${host}:${port}`);
  const open = (options) => {
    // With a stagger that is over before a node has answered, the second best is the one that was quicker.
    const own = { user: 'u', database: 'd', sslmode: 'disable', poolSize: 1, raceDelayMs: 10_000 };
    const pool = createPool({ hosts, ...own, acquireTimeoutMs: 5000, ...options });
    t.after(() => pool.end({ timeoutMs: 100 }));
    return pool;
  };
  return { proxies, open };
}

const nameOf = async (pool) => (await pool.query('select name'))[0].name;

/** Each on a connection of its own, if the pool has `maxUses: 1`. */
async function namesOf(pool, count = 12) {
  const names = new Set();
  for (let i = 0; i < count; i++) names.add(await nameOf(pool));
  return [...names];
}

for (const other of ['left primary', 'fenced'])
  test(`CP-22: prefer-standby uses the primary of now rather than one that is: ${other}`, async (t) => {
    const { open } = await proxiedNodes(t, [other, 'primary']);
    const pool = open({ mode: 'prefer-standby', maxUses: 1 });
    assert.deepEqual(await namesOf(pool), ['primary']);
  });

test('CP-22: pools that take a primary as well leave one that was left behind', async (t) => {
  const { proxies, open } = await proxiedNodes(t, ['left primary', 'primary']);
  const [old, next] = proxies;
  next.refuse();
  const writer = open({ maxUses: 1 });
  const others = [open({ mode: 'prefer-standby', rebalanceMs: 0 }), open({ mode: 'any' })];
  for (const pool of [writer, ...others]) assert.equal(await nameOf(pool), 'left primary');
  // Only the later one lets anybody in, and what is open to the other stays open.
  old.refuse();
  next.heal();
  assert.equal(await nameOf(writer), 'primary');
  for (const pool of others) {
    await waitFor(() => pool.status().size === 0, { what: 'the end of what led to the old one' });
  }
  old.heal();
  for (const mode of /** @type {const} */ (['prefer-standby', 'any'])) {
    assert.deepEqual(await namesOf(open({ mode, maxUses: 1 })), ['primary'], mode);
  }
  // Whoever takes any takes this one where there is no other.
  next.refuse();
  await next.cutAll();
  await waitFor(() => writer.status().size === 0, { what: 'the loss' });
  assert.equal(await nameOf(open({ mode: 'any', raceDelayMs: 0 })), 'left primary');
  const preferring = open({ mode: 'prefer-standby', raceDelayMs: 0, acquireTimeoutMs: 500 });
  const error = await failureOf(preferring.query('select name'));
  assert.equal(error.name, 'NoNodeError', error.stack);
  assert.match(error.message, /is a primary on a timeline that the cluster has left/);
});

test('CP-14: prefer-standby on a primary that was demoted moves to the next one', async (t) => {
  const { proxies, open } = await proxiedNodes(t, ['liar: is fenced', 'primary']);
  proxies[1].refuse();
  const pool = open({ mode: 'prefer-standby', rebalanceMs: 50 });
  assert.equal(await nameOf(pool), 'liar: is fenced');
  proxies[1].heal();
  await waitFor(async () => (await nameOf(pool)) === 'primary', { what: 'the primary' });
});
