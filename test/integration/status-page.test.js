// pg-berth/status: what the handler answers, what the page shows in a browser, and what neither shows.
'use strict';

const assert = require('node:assert/strict');
const { execFile } = require('node:child_process');
const fs = require('node:fs');
const http = require('node:http');
const os = require('node:os');
const path = require('node:path');
const { once } = require('node:events');
const { promisify } = require('node:util');
const pg = require('pg');
const { CircuitBreaker, createPool } = require('../../lib/index.js');
const { statusHandler } = require('../../lib/status-page/index.js');
const { testDatabase } = require('../support/pools.js');
const { parsePrometheus } = require('../support/prometheus.js');
const { test } = require('../support/timed-test.js');
const { waitFor } = require('../support/wait.js');
require('../support/stray-errors.js');

const database = testDatabase('create table shown (n int)');
const CANARY = 'kanarienvogel';

/** The handler behind a server; `ask` fetches from it. */
async function serve(t, pools, options) {
  const handler = statusHandler(pools, { intervalMs: 50, healthIntervalMs: 50, ...options });
  const server = http.createServer((request, response) => handler(request, response));
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.after(() => {
    handler.close();
    server.closeAllConnections();
    server.close();
  });
  const base = `http://127.0.0.1:${server.address().port}`;
  const ask = async (target, init) => {
    const response = await fetch(base + target, { redirect: 'manual', ...init });
    return { code: response.status, headers: response.headers, body: await response.text() };
  };
  return { base, ask };
}

test('/health says 200 with a database and 503 without, and never why in words', async (t) => {
  const pool = database.openPool(t);
  const dead = createPool({ host: '127.0.0.1', port: 1, user: CANARY, password: CANARY });
  t.after(() => dead.end());
  const { ask: healthy } = await serve(t, pool);
  await waitFor(async () => (await healthy('/health')).code === 200, { what: 'a good check' });
  const { body } = await healthy('/health');
  assert.equal(JSON.parse(body).pools.pool.status, 'healthy');
  const { ask: sick } = await serve(t, { good: pool, dead });
  const seen = await waitFor(async () => {
    const answer = await sick('/health');
    return JSON.parse(answer.body).pools.dead.status === 'unhealthy' && answer;
  });
  assert.equal(seen.code, 503);
  assert.ok(!seen.body.includes(CANARY));
});

test('/metrics has each family once, with the samples of all pools', async (t) => {
  const pools = { a: database.openPool(t, { poolSize: 2 }), b: database.openPool(t) };
  const { ask } = await serve(t, pools);
  await Promise.all([pools.a.query('select 1'), pools.b.query('select 2')]);
  const { code, body, headers } = await ask('/metrics');
  assert.equal(code, 200);
  assert.match(headers.get('content-type'), /^text\/plain; version=0\.0\.4/);
  const families = parsePrometheus(body);
  const most = families.get('pgberth_connections_max').samples;
  assert.deepEqual(
    most.map(({ labels, value }) => [labels.pool, value]),
    [
      ['a', 2],
      ['b', 10],
    ],
  );
});

test('/data has figures, roles and breakers, and nothing of statements', async (t) => {
  const pool = database.openPool(t, { poolSize: 1, password: CANARY });
  const breaker = new CircuitBreaker({ threshold: 1 });
  const { ask } = await serve(t, { main: pool }, { breakers: { database: breaker } });
  await pool.query('insert into shown select n from unnest($1::int[]) n', [[1, 2, 3]]);
  await assert.rejects(pool.query(`select '${CANARY}'::int`));
  const data = async (since = 0) => JSON.parse((await ask(`/data?since=${since}`)).body);
  const hasRate = async () => (await data()).pools[0].samples.some((one) => one.perSecond > 0);
  await waitFor(hasRate, { what: 'a sample with statements' });
  breaker.forceOpen();
  await waitFor(async () => (await data()).breakers[0].state === 'open', { what: 'the breaker' });
  const { pools, changes, now } = await data();
  assert.deepEqual(
    changes.map(({ name, state }) => [name, state]),
    [
      ['database', 'closed'],
      ['database', 'open'],
    ],
  );
  const sample = pools[0].samples.find((one) => one.p95 > 0);
  assert.ok(sample.p50 <= sample.p95 && sample.p95 <= sample.p99, JSON.stringify(sample));
  assert.equal(pools[0].nodes[0].role, 'primary');
  const [{ name, state }] = pools[0].roles;
  assert.deepEqual([name, state], [pools[0].nodes[0].host, 'primary']);
  assert.ok(!JSON.stringify(pools).includes(CANARY));
  const later = await waitFor(async () => {
    const found = (await data(now)).pools[0].samples;
    return found.length > 0 && found;
  });
  assert.ok(
    later.every(({ at }) => at > now),
    'only what is new',
  );
});

test('what the page remembers is bounded', async (t) => {
  let asked = 0;
  const restless = { getState: () => ({ state: String(++asked) }) };
  const history = { intervalMs: 1, historyMs: 3, breakers: { restless } };
  const { ask } = await serve(t, database.openPool(t), history);
  await waitFor(() => asked > 60, { what: 'samples' });
  const { pools, changes } = JSON.parse((await ask('/data')).body);
  assert.deepEqual([pools[0].samples.length, changes.length], [3, 50]);
  assert.ok(Number(changes[0].state) > 1, 'the oldest go');
});

test('/data tells what was done with leases, second by second', async (t) => {
  const lease = { secret: CANARY.repeat(2), serviceName: 'shown', leaseTtlMs: 600 };
  const pool = database.openPool(t, { poolSize: 1, lease });
  const { ask } = await serve(t, pool);
  await pool.query('select 1');
  const data = await waitFor(
    async () => {
      const found = JSON.parse((await ask('/data')).body);
      return found.leaseSamples.some(({ renewed }) => renewed > 0) && found;
    },
    { what: 'a renewal' },
  );
  const [{ renewed, failed, killed }] = data.leases;
  assert.ok(renewed > 0);
  assert.deepEqual([failed, killed], [0, 0]);
  assert.ok(!JSON.stringify(data).includes(CANARY));
});

test('a pool of another driver is shown as far as it can be', async (t) => {
  const pool = new pg.Pool({ connectionString: database.url, max: 3 });
  t.after(() => pool.end());
  const { ask } = await serve(t, { foreign: pool });
  await waitFor(async () => (await ask('/health')).code === 200, { what: 'a good check' });
  const [{ samples }] = JSON.parse((await ask('/data')).body).pools;
  assert.equal(samples.at(-1).max, 3);
});

test('paths, methods and headers', async (t) => {
  const { ask } = await serve(t, database.openPool(t), { basePath: '/status' });
  assert.equal((await ask('/status')).headers.get('location'), 'status/');
  const { code, headers, body } = await ask('/status/');
  assert.equal(code, 200);
  assert.match(headers.get('content-type'), /^text\/html/);
  assert.match(headers.get('content-security-policy'), /default-src 'none'/);
  assert.equal(headers.get('cache-control'), 'no-store');
  assert.equal((await ask('/status/', { method: 'HEAD' })).body, '');
  const refused = await ask('/status/', { method: 'POST' });
  assert.deepEqual([refused.code, refused.headers.get('allow')], [405, 'GET, HEAD']);
  for (const elsewhere of ['/', '/health', '/statusx', '/status/none', '/status/constructor']) {
    assert.equal((await ask(elsewhere)).code, 404, elsewhere);
  }
  assert.doesNotMatch(body, /https?:\/\/(?!www\.w3\.org\/2000\/svg)/, 'nothing from outside');
  assert.throws(() => statusHandler(undefined), /pools must be/);
  assert.throws(() => statusHandler({}, { basePath: 'x/' }), /option "basePath" must be/);
  assert.throws(() => statusHandler({}, { intervalMs: 0 }), /intervalMs/);
});

test('a request line that is no URL is answered like any other, and stops nobody', async (t) => {
  const { base, ask } = await serve(t, database.openPool(t));
  const { hostname, port } = new URL(base);
  for (const place of ['http://[bad', '//[', 'http://:x/', '//']) {
    const request = http.request({ hostname, port, path: place });
    const [response] = await once(request.end(), 'response');
    response.resume();
    assert.equal(response.statusCode, 404, place);
  }
  assert.equal((await ask('/')).code, 200);
});

test('a pool whose figures fail stops nobody', async (t) => {
  const broken = () => {
    throw new Error('no figures');
  };
  const members = { getMetrics: broken, getStats: broken, status: broken, metricsText: broken };
  for (const pool of [{ getMetrics: broken }, members]) {
    const { ask } = await serve(t, { broken: pool, whole: database.openPool(t) });
    for (const place of ['/metrics', '/data', '/'])
      assert.equal((await ask(place)).code, 200, place);
    assert.match((await ask('/metrics')).body, /pool="whole"/);
  }
});

test('a breaker that fails is unknown as long as it does', async (t) => {
  let isFailing = false;
  const getState = () => {
    if (isFailing) throw new Error('no state');
    return { state: 'closed' };
  };
  const { ask } = await serve(t, {}, { breakers: { one: { getState } } });
  const stateIs = (state) => async () =>
    JSON.parse((await ask('/data')).body).breakers[0].state === state;
  await waitFor(stateIs('closed'));
  isFailing = true;
  await waitFor(stateIs('unknown'));
  isFailing = false;
  await waitFor(stateIs('closed'));
});

test('what is no pool is refused before any other one is checked', async () => {
  let checks = 0;
  const query = async () => checks++;
  const one = { query, getMetrics: () => ({ total: 1, idle: 1, active: 0, waiting: 0 }) };
  assert.throws(() => statusHandler({ one, none: null }), /pool must be an object, got null/);
  await new Promise(setImmediate);
  assert.equal(checks, 0);
});

test('below a path of Express the page gets the slash that its references need', async (t) => {
  const handler = statusHandler({});
  const server = http.createServer((request, response) => {
    // As `app.use('/status', handler)` does.
    Object.assign(request, { originalUrl: request.url });
    request.url = request.url.replace(/^\/status\/?/, '/');
    handler(request, response);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.after(() => {
    handler.close();
    server.closeAllConnections();
    server.close();
  });
  const { url, status } = await fetch(`http://127.0.0.1:${server.address().port}/status`);
  assert.equal(status, 200);
  assert.match(url, /\/status\/$/);
});

test('a title is text, whatever it holds', async (t) => {
  const { ask } = await serve(t, {}, { title: '<script>alert("x")</script>' });
  const { body } = await ask('/');
  assert.ok(!body.includes('<script>alert'));
  assert.ok(body.includes('&lt;script&gt;alert(&quot;x&quot;)'));
});

const CHROMIUM = ['chromium', 'chromium-browser', 'google-chrome']
  .flatMap((name) =>
    (process.env.PATH ?? '').split(path.delimiter).map((dir) => path.join(dir, name)),
  )
  .find((file) => fs.existsSync(file));

for (const scheme of ['light', 'dark']) {
  test(`a browser draws the page, ${scheme}`, async (t) => {
    if (CHROMIUM === undefined) {
      t.diagnostic('no Chromium here: the page was read above, and not drawn');
      return;
    }
    const lease = { secret: CANARY.repeat(2), serviceName: 'shown', leaseTtlMs: 600 };
    const pool = database.openPool(t, { poolSize: 6, lease });
    const breaker = new CircuitBreaker();
    const hostile = '</script><img src=x onerror=alert(1)>';
    const { ask, base } = await serve(
      t,
      { main: pool, [hostile]: database.openPool(t) },
      {
        breakers: { database: breaker },
        title: 'orders',
      },
    );
    let isBusy = true;
    const work = Promise.all(
      Array.from({ length: 4 }, async () => {
        while (isBusy) await pool.query('select pg_sleep(random() / 50)');
      }),
    );
    const drawn = async () => {
      const { pools, leaseSamples } = JSON.parse((await ask('/data')).body);
      return pools[0].samples.length >= 30 && leaseSamples.some(({ renewed }) => renewed > 0);
    };
    await waitFor(drawn, { what: 'something to draw' });
    breaker.forceOpen();
    const isSeen = async () => JSON.parse((await ask('/data')).body).changes.length === 2;
    await waitFor(isSeen, { what: 'the breaker' });
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pg-berth-page-'));
    t.after(() => fs.rmSync(folder, { recursive: true, force: true }));
    const picture = process.env.PG_BERTH_SCREENSHOTS
      ? path.join(process.env.PG_BERTH_SCREENSHOTS, `status-${scheme}.png`)
      : path.join(folder, 'page.png');
    const run = (...flags) =>
      promisify(execFile)(
        CHROMIUM,
        [
          ...['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-background-networking'],
          ...['--no-first-run', `--user-data-dir=${folder}/profile`, '--enable-logging=stderr'],
          ...['--window-size=1200,1000', '--hide-scrollbars', '--virtual-time-budget=3000'],
          ...(scheme === 'dark' ? ['--blink-settings=preferredColorScheme=0'] : []),
          ...flags,
          `${base}/`,
        ],
        { timeout: 40_000, maxBuffer: 2 ** 25 },
      );
    const { stdout: dom, stderr: log } = await run('--dump-dom');
    await run(`--screenshot=${picture}`);
    if (process.env.PG_BERTH_SCREENSHOTS) {
      await run(`--screenshot=${picture.replace('.png', '-whole.png')}`, '--window-size=1200,1700');
    }
    isBusy = false;
    await work;
    assert.doesNotMatch(log, /CONSOLE.*(Refused|Error|violates)/);
    const [, body] = dom.split('<body>');
    assert.match(body, /<span id="status" class="pill (healthy|degraded)"/);
    assert.match(body, /<path class="c-active" d="M[\d.]+/);
    assert.match(body, /<path class="line c-p95" d="M[\d.]+/);
    assert.match(body, /<td>primary<\/td>/);
    assert.match(body, /Circuit breakers/);
    // Histories of roles and breakers, and the chart of leases.
    assert.match(body, /<rect class="s-primary" x="[\d.]+"/);
    assert.match(body, /<rect class="s-closed"[^>]*><title>closed since/);
    assert.match(body, /<rect class="s-open"/);
    assert.match(body, /<path class="line c-renewed" d="M[\d.]+/);
    assert.ok(body.includes('&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;'), 'a name is text');
    assert.ok(!body.includes('<img'));
    assert.ok(fs.statSync(picture).size > 20_000, 'there is something in the picture');
  }, 90_000);
}
