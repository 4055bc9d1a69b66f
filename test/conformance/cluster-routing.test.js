// createPool finds the right node of a real cluster, and says why when there is none (CP-12, CP-13, CP-20 to CP-22, CP-27).
'use strict';

const assert = require('node:assert/strict');
const net = require('node:net');
const { once } = require('node:events');
const { after, before } = require('node:test');
const {
  createListener,
  createPool,
  NoNodeError,
  NoPrimaryError,
  NoStandbyError,
} = require('../../lib/index.js');
const { startCluster } = require('../support/cluster.js');
const { failureOf } = require('../support/script-replies.js');
const { startProxy } = require('../support/proxy.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');
require('../support/stray-errors.js');

/** @type {Awaited<ReturnType<typeof startCluster>>} */
let cluster;
before(async () => {
  cluster = await startCluster();
});
after(() => cluster.stop());

function open(t, options) {
  const pool = createPool(cluster.options(options));
  t.after(() => pool.end({ timeoutMs: 500 }));
  return pool;
}

const portOf = async (pool) => {
  const [row] = await pool.query(
    'select inet_server_port() as port, pg_is_in_recovery() as standby',
  );
  return row;
};

/** Opens all connections of a pool: as many transactions at a time as it has. Gives what each of them sees. */
async function openAll(pool, size) {
  const all = await Promise.all(Array.from({ length: size }, () => pool.begin()));
  const ports = await Promise.all(
    all.map(async (tx) => (await tx.query('select inet_server_port() as port'))[0].port),
  );
  await Promise.all(all.map((tx) => tx.rollback()));
  return ports;
}

/** A port that accepts connections and never says a word. */
async function silentPort(t) {
  const sockets = new Set();
  const listener = net.createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    listener.close();
  });
  return /** @type {net.AddressInfo} */ (listener.address()).port;
}

for (const mode of ['read-write', 'rw', 'readwrite', 'primary']) {
  test(`CP-22: mode ${mode} uses the primary wherever it stands in the list`, async (t) => {
    for (const hosts of [cluster.hosts, cluster.hosts.toReversed()]) {
      const { port, standby } = await portOf(open(t, { mode, hosts }));
      assert.deepEqual([port, standby], [cluster.primary.port, false]);
    }
  });
}

test('CP-22: a listener listens on the primary wherever it stands in the list', async (t) => {
  for (const hosts of [cluster.hosts, cluster.hosts.toReversed()]) {
    const listener = createListener(cluster.options({ hosts }));
    t.after(() => listener.end());
    const heard = new Promise((resolve) => {
      listener.listen('news', resolve).then(() => cluster.primary.sql(`notify news, 'x'`), resolve);
    });
    assert.equal((await heard).payload, 'x');
  }
});

for (const mode of ['read-only', 'ro', 'readonly', 'standby', 'prefer-standby', 'preferstandby']) {
  test(`CP-13: mode ${mode} uses a standby`, async (t) => {
    // A standby that is slower than the stagger may give way to the primary: here it has time.
    for (const hosts of [cluster.hosts, cluster.hosts.toReversed()])
      assert.equal((await portOf(open(t, { mode, hosts, raceDelayMs: 4000 }))).standby, true);
  });
}

test('mode any takes what answers, and target_session_attrs means what it means in libpq', async (t) => {
  const [standby] = cluster.standbys;
  const any = open(t, { mode: 'any', hosts: [standby.host] });
  assert.equal((await portOf(any)).standby, true);
  const list = cluster.nodes.map(({ server }) => `127.0.0.1:${server.port}`).join(',');
  const text = (attribute) =>
    `postgres://postgres@${list}/postgres?sslmode=disable&target_session_attrs=${attribute}`;
  for (const [attribute, standbyWanted] of [
    ['any', undefined],
    ['read-write', false],
    ['primary', false],
    ['read-only', true],
    ['standby', true],
    ['prefer-standby', true],
  ]) {
    const pool = createPool(text(attribute));
    t.after(() => pool.end());
    const row = await portOf(pool);
    if (standbyWanted !== undefined) assert.equal(row.standby, standbyWanted, attribute);
  }
});

test('CP-13: prefer-standby falls back to the primary when no standby answers', async (t) => {
  const pool = open(t, { mode: 'prefer-standby', hosts: ['127.0.0.1:1', cluster.primary.host] });
  assert.equal((await portOf(pool)).standby, false);
});

test('CP-27, sec_m05: without a writable primary the error lists what each host said', async (t) => {
  const [one, two] = cluster.standbys;
  const pool = open(t, { hosts: [one.host, '127.0.0.1:1', two.host], acquireTimeoutMs: 400 });
  const began = performance.now();
  const error = await failureOf(pool.query('select 1'));
  const took = performance.now() - began;
  assert.ok(error instanceof NoPrimaryError && error instanceof NoNodeError, error.stack);
  assert.match(error.message, /^query: no writable primary available after 400ms: /);
  assert.equal(error.code, '08006');
  assert.deepEqual([error.outcome, error.transient], ['not-sent', true]);
  assert.deepEqual(
    error.nodes.map(({ host, role, reason, error: cause }) => [host, role, reason, cause?.code]),
    [
      [one.host, 'standby', 'is a standby', undefined],
      ['127.0.0.1:1', undefined, undefined, 'ECONNREFUSED'],
      [two.host, 'standby', 'is a standby', undefined],
    ],
  );
  const ports = error.nodes.map(({ port }) => port);
  assert.deepEqual(ports, [one.server.port, 1, two.server.port]);
  assert.ok(error.message.includes(`${one.host} is a standby`), error.message);
  assert.equal(error.cause.code, 'ECONNREFUSED');
  assert.ok(took >= 390, `rejected after ${took} ms`);
});

test('CP-27: without a standby a read-only pool says so', async (t) => {
  const pool = open(t, {
    mode: 'read-only',
    hosts: [cluster.primary.host],
    acquireTimeoutMs: 200,
  });
  const error = await failureOf(pool.query('select 1'));
  assert.ok(error instanceof NoStandbyError, error.stack);
  assert.match(error.message, /^query: no standby available after 200ms: .* is the primary$/);
});

test('CP-27: a password that one standby refuses does not matter to a pool that writes', async (t) => {
  const [one] = cluster.standbys;
  const pool = open(t, {
    hosts: [one.host, cluster.primary.host],
    user: 'scram_user',
    password: 'x',
  });
  const refused = await failureOf(pool.query('select 1'));
  assert.equal(refused.code, '28P01');
  const right = open(t, {
    hosts: [one.host, cluster.primary.host],
    user: 'scram_user',
    password: one.server.passwords.scram_user,
  });
  assert.equal((await portOf(right)).port, cluster.primary.port);
});

test('CP-20, sec_m02: a silent host in front costs the stagger, not its timeout', async (t) => {
  const silent = await silentPort(t);
  const pool = open(t, {
    hosts: [`127.0.0.1:${silent}`, cluster.primary.host],
    raceDelayMs: 100,
    connectTimeoutMs: 5000,
    acquireTimeoutMs: 4000,
  });
  assert.equal((await portOf(pool)).port, cluster.primary.port);
});

test('CP-20, sec_m02: a frozen node in front costs the stagger', async (t) => {
  const [standby] = cluster.standbys;
  standby.freeze();
  t.after(() => standby.thaw());
  const pool = open(t, {
    hosts: [standby.host, cluster.primary.host],
    raceDelayMs: 100,
    connectTimeoutMs: 20_000,
    acquireTimeoutMs: 15_000,
  });
  assert.equal((await portOf(pool)).port, cluster.primary.port);
});

test('CP-22: once the primary is known, 20 connections are 20 attempts there and none elsewhere', async (t) => {
  const proxies = await Promise.all(cluster.nodes.map(({ server }) => startProxy(server)));
  t.after(() => Promise.all(proxies.map((proxy) => proxy.close())));
  const pool = open(t, { poolSize: 20, hosts: proxies.map(({ host, port }) => `${host}:${port}`) });
  await pool.query('select 1');
  const attempts = () => proxies.map(({ counts }) => counts.connections);
  const before = attempts();
  await openAll(pool, 20);
  assert.equal(pool.status().size, 20);
  const isPrimary = ({ port }) => port === cluster.primary.port;
  const expected = cluster.nodes.map((node, n) => before[n] + (isPrimary(node) ? 19 : 0));
  assert.deepEqual(attempts(), expected);
});

test('CP-25: reads are spread over the standbys, and round-robin takes them in turn', async (t) => {
  for (const loadBalance of ['least-in-use', 'round-robin', 'random']) {
    const pool = open(t, { mode: 'read-only', poolSize: 8, loadBalance });
    const ports = await openAll(pool, 8);
    const standbys = cluster.standbys.map(({ port }) => port);
    assert.deepEqual(
      ports.filter((port) => !standbys.includes(port)),
      [],
    );
    if (loadBalance !== 'random') assert.equal(new Set(ports).size, 2, `${loadBalance}: ${ports}`);
  }
});

test('CP-25: of 3000 reads both standbys serve a good part', async (t) => {
  const pool = open(t, { mode: 'read-only', poolSize: 6 });
  // The shares of a pool follow its connections, so all of them are opened first.
  await openAll(pool, 6);
  /** @type {Map<number, number>} */
  const counts = new Map();
  const reader = async () => {
    for (let i = 0; i < 500; i++) {
      const [{ port }] = await pool.query('select inet_server_port() as port');
      counts.set(port, (counts.get(port) ?? 0) + 1);
    }
  };
  await Promise.all(Array.from({ length: 6 }, reader));
  for (const { port } of cluster.standbys) {
    const share = (counts.get(port) ?? 0) / 3000;
    // A node that answers faster gets more, and on a busy machine one of them does.
    assert.ok(share > 0.15, `${port}: ${share}`);
  }
});

test('CP-25: in turn and at random mean nodes: of 3000 reads each standby serves 45 to 55 %', async (t) => {
  for (const loadBalance of /** @type {const} */ (['round-robin', 'random'])) {
    const pool = open(t, { mode: 'read-only', poolSize: 6, loadBalance });
    await openAll(pool, 6);
    let first = 0;
    // Fewer callers than connections: there is a choice each time.
    const reader = async () => {
      for (let i = 0; i < 1500; i++) {
        const [{ port }] = await pool.query('select inet_server_port() as port');
        if (port === cluster.standbys[0].port) first += 1;
      }
    };
    await Promise.all([reader(), reader()]);
    assert.ok(first >= 0.45 * 3000 && first <= 0.55 * 3000, `${loadBalance}: ${first}`);
  }
});

test('CP-25: least-in-use takes equal nodes in turn, and one that is slow less often', async (t) => {
  const even = open(t, { mode: 'read-only', poolSize: 6 });
  await openAll(even, 6);
  const [one, other] = cluster.standbys;
  const share = async (pool, reads, port) => {
    let count = 0;
    await reads(async () => {
      if ((await portOf(pool)).port === port) count += 1;
    });
    return count;
  };
  // Nobody is in the way: both have nothing in use each time.
  const alone = await share(
    even,
    async (read) => {
      for (let i = 0; i < 3000; i++) await read();
    },
    one.port,
  );
  assert.ok(alone >= 1350 && alone <= 1650, `${alone} of 3000`);

  const proxies = await Promise.all([one, other].map(({ server }) => startProxy(server)));
  t.after(() => Promise.all(proxies.map((proxy) => proxy.close())));
  const hosts = proxies.map(({ host, port }) => `${host}:${port}`);
  const uneven = open(t, { hosts, mode: 'read-only', poolSize: 8 });
  await openAll(uneven, 8);
  proxies[0]?.delay(20);
  const slow = await share(
    uneven,
    (read) =>
      Promise.all(
        Array.from({ length: 4 }, async () => {
          for (let i = 0; i < 50; i++) await read();
        }),
      ),
    one.port,
  );
  assert.ok(slow < 80, `${slow} of 200 at the slow one`);
});

test('CP-26: a name with several addresses is one list of candidates', async (t) => {
  const pool = createPool({
    hosts: [`localhost:${cluster.primary.port}`],
    user: 'postgres',
    database: 'postgres',
    sslmode: 'disable',
  });
  t.after(() => pool.end());
  assert.equal((await portOf(pool)).port, cluster.primary.port);
});

test('a pool whose only node is down finds it when it comes back', async (t) => {
  const lonely = await require('../support/server.js').startServer();
  t.after(() => lonely.stop());
  const pool = createPool({ connectionString: `${lonely.url}?sslmode=disable` });
  t.after(() => pool.end({ timeoutMs: 500 }));
  await pool.query('select 1');
  await lonely.shutdown();
  await waitFor(() => pool.status().size === 0, { what: 'the loss of the connection' });
  const waiting = pool.query('select 2 as n');
  await lonely.start();
  assert.deepEqual([...(await waiting)], [{ n: 2 }]);
});
