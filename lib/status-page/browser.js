// The script of the status page. It runs in browsers and nowhere else: its text is sent, so it uses nothing around it.
'use strict';

function browser() {
  const { document, fetch, location } = /** @type {any} */ (globalThis);
  const WIDTH = 600;
  const HEIGHT = 120;
  const POLL_MS = 1000;
  const KEPT_MS = 900_000;
  /** What was fetched so far, by pool. @type {Map<string, { samples: any[], health: any[] }>} */
  const known = new Map();
  /** @type {any[]} */
  let leasesKept = [];
  let since = 0;
  let failures = 0;

  /** @param {string} tag @param {Record<string, any>} [properties] @param {...any} children */
  function element(tag, properties = {}, ...children) {
    const made = document.createElement(tag);
    Object.assign(made, properties);
    made.append(...children);
    return made;
  }

  /** @param {string} tag @param {Record<string, string | number>} attributes */
  function shape(tag, attributes) {
    const made = document.createElementNS('http://www.w3.org/2000/svg', tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
    return made;
  }

  /** @param {number | null | undefined} value */
  function shown(value) {
    if (value === null || value === undefined) return '–';
    return value >= 100 ? String(Math.round(value)) : String(Math.round(value * 10) / 10);
  }

  /** A round number not below the given one. @param {number} value */
  function ceiling(value) {
    const power = 10 ** Math.floor(Math.log10(Math.max(value, 1e-3)));
    const step = [1, 2, 5, 10].find((factor) => factor * power >= value) ?? 10;
    return step * power;
  }

  /**
   * A chart over the last minutes: `areas` are stacked, `lines` are not.
   * @param {string} title @param {any[]} samples @param {number} now @param {string} unit
   * @param {[key: string, label: string][]} areas @param {[key: string, label: string][]} lines
   */
  function chart(title, samples, now, unit, areas, lines) {
    const from = Math.min(now - 30_000, samples[0]?.at ?? now);
    const x = (/** @type {number} */ at) => ((at - from) / (now - from)) * WIDTH;
    const tops = samples.map((one) => {
      const stacked = areas.reduce((sum, [key]) => sum + (one[key] ?? 0), 0);
      return Math.max(stacked, ...lines.map(([key]) => one[key] ?? 0));
    });
    const top = ceiling(Math.max(1, ...tops));
    const y = (/** @type {number} */ value) => HEIGHT - (value / top) * (HEIGHT - 6);
    const box = { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img' };
    const drawing = shape('svg', { ...box, 'aria-label': title });
    const below = samples.map(() => 0);
    for (const [key] of areas) {
      const lower = samples.map((one, i) => `${x(one.at)},${y(below[i] ?? 0)}`).reverse();
      const upper = samples.map((one, i) => {
        below[i] = (below[i] ?? 0) + (one[key] ?? 0);
        return `${x(one.at)},${y(below[i] ?? 0)}`;
      });
      if (samples.length > 1) {
        drawing.append(
          shape('path', { class: `c-${key}`, d: `M${upper.join('L')}L${lower.join('L')}Z` }),
        );
      }
    }
    for (const [key] of lines) {
      let path = '';
      let isOpen = false;
      for (const one of samples) {
        const value = one[key];
        if (value === null || value === undefined) {
          isOpen = false;
          continue;
        }
        path += `${isOpen ? 'L' : 'M'}${x(one.at)},${y(value)}`;
        // A value alone has no line.
        if (!isOpen) path += 'h.01';
        isOpen = true;
      }
      if (path !== '') drawing.append(shape('path', { class: `line c-${key}`, d: path }));
    }
    const last = samples.at(-1) ?? {};
    const legend = element('div', { className: 'legend' });
    for (const [key, label] of [...areas, ...lines]) {
      const mark = element('i', { className: `c-${key}` });
      legend.append(element('span', {}, mark, `${label} `, element('b', {}, shown(last[key]))));
    }
    const span = Math.round((now - from) / 1000);
    const past = span < 120 ? `${span} s` : `${Math.round(span / 60)} min`;
    legend.append(element('span', {}, `0–${top}${unit}, last ${past}`));
    return element('figure', {}, element('h3', {}, title), drawing, legend);
  }

  /**
   * What something was over the last minutes, from the times when that changed.
   * @param {{ at: number, name: string, state: string }[]} changes @param {string} name @param {number} now
   */
  function lane(changes, name, now) {
    const own = changes.filter((change) => change.name === name);
    const from = Math.max(now - KEPT_MS, Math.min(now - 30_000, own[0]?.at ?? now));
    const x = (/** @type {number} */ at) => ((Math.max(at, from) - from) / (now - from)) * WIDTH;
    const box = { viewBox: `0 0 ${WIDTH} 10`, preserveAspectRatio: 'none', class: 'lane' };
    const drawing = shape('svg', { ...box, role: 'img', 'aria-label': `${name} over time` });
    own.forEach(({ at, state }, index) => {
      const until = own[index + 1]?.at ?? now;
      const [left, right] = [x(at), x(until)];
      if (right <= 0) return;
      const width = Math.max(right - left, 1);
      const part = shape('rect', { class: `s-${state}`, x: left, y: 0, width, height: 10 });
      part.append(shape('title', {}));
      part.firstChild.textContent = `${state} since ${time(at)}`;
      drawing.append(part);
    });
    return drawing;
  }

  /** @param {string} title @param {string[]} heads @param {any[][]} rows */
  function table(title, heads, rows) {
    const head = element('tr', {}, ...heads.map((text) => element('th', { scope: 'col' }, text)));
    const body = rows.map((cells) =>
      element('tr', {}, ...cells.map((cell) => element('td', {}, cell ?? '–'))),
    );
    return element('div', {}, element('h3', {}, title), element('table', {}, head, ...body));
  }

  /** @param {string} status */
  const pill = (status) => element('span', { className: `pill ${status}` }, status);

  /** @param {number} at */
  const time = (at) => new Date(at).toLocaleTimeString();

  /** @param {any} pool @param {number} now */
  function card(pool, now) {
    const kept = known.get(pool.name) ?? { samples: [], health: [] };
    known.set(pool.name, kept);
    const recent = (/** @type {any} */ one) => one.at > now - KEPT_MS;
    kept.samples = [...kept.samples, ...pool.samples].filter(recent);
    kept.health = [...kept.health, ...pool.health].filter(recent);
    const { samples, health } = kept;
    const charts = element('div', { className: 'charts' });
    charts.append(
      chart(
        'Connections and waiters',
        samples,
        now,
        '',
        [
          ['active', 'in use'],
          ['idle', 'idle'],
          ['connecting', 'connecting'],
        ],
        [
          ['waiting', 'waiting'],
          ['max', 'maximum'],
        ],
      ),
    );
    if (samples.some((one) => 'perSecond' in one)) {
      charts.append(
        chart(
          'Statement time',
          samples,
          now,
          ' ms',
          [],
          [
            ['p50', 'p50'],
            ['p95', 'p95'],
            ['p99', 'p99'],
          ],
        ),
        chart(
          'Statements a second',
          samples,
          now,
          '',
          [],
          [
            ['perSecond', 'answered'],
            ['errorsPerSecond', 'failed'],
          ],
        ),
      );
    }
    const strip = element('div', { className: 'strip' });
    for (const { at, status, ms } of health) {
      const title = `${time(at)} ${status}${ms === null ? '' : `, ${shown(ms)} ms`}`;
      strip.append(element('span', { className: status, title }));
    }
    const latest = health.at(-1);
    const answered = latest?.ms === null || !latest ? '' : `, answered in ${shown(latest.ms)} ms`;
    const heading = element('h2', {}, pool.name, pill(pool.status));
    const checks = element('div', {}, element('h3', {}, `Health checks${answered}`), strip);
    const made = element('article', { className: 'card' }, heading, charts, checks);
    if (pool.nodes.length > 0) {
      const rows = pool.nodes.map((/** @type {any} */ { host, role, open, error }) => [
        host,
        role,
        open,
        error,
        lane(pool.roles, host, now),
      ]);
      const heads = ['host', 'role', 'connections', 'last error', 'its role over time'];
      const hosts = table('Hosts', heads, rows);
      made.append(element('div', { className: 'tables' }, hosts));
    }
    return made;
  }

  /** @param {any} data */
  function draw({ now, status, pools, breakers, changes, leases, leaseSamples }) {
    const badge = document.getElementById('status');
    badge.className = `pill ${status}`;
    badge.textContent = status;
    document
      .getElementById('pools')
      .replaceChildren(...pools.map((/** @type {any} */ pool) => card(pool, now)));
    const tables = element('div', { className: 'tables' });
    if (breakers.length > 0) {
      const rows = breakers.map((/** @type {any} */ { name, state }) => [
        name,
        pill(state),
        lane(changes, name, now),
      ]);
      tables.append(table('Circuit breakers', ['breaker', 'state', 'over time'], rows));
      const past = [...changes]
        .reverse()
        .slice(0, 8)
        .map(({ at, name, state }) => [time(at), name, state]);
      tables.append(table('Changes of breakers', ['time', 'breaker', 'state'], past));
    }
    if (leases.length > 0) {
      const rows = leases.map((/** @type {any} */ { name, renewed, failed, killed, at }) => [
        name,
        renewed,
        failed,
        killed,
        time(at),
      ]);
      tables.append(table('Leases', ['of', 'renewed', 'failed', 'sessions ended', 'last'], rows));
      leasesKept = [...leasesKept, ...leaseSamples].filter(({ at }) => at > now - KEPT_MS);
      const lines = /** @type {[string, string][]} */ ([
        ['renewed', 'renewed'],
        ['failed', 'failed'],
        ['killed', 'sessions ended'],
      ]);
      tables.append(chart('Leases a second', leasesKept, now, '', [], lines));
    }
    const more = document.getElementById('more');
    more.className = tables.childElementCount > 0 ? 'card' : '';
    more.replaceChildren(tables);
  }

  async function poll() {
    try {
      const response = await fetch(new URL(`data?since=${since}`, location.href));
      if (!response.ok) throw new Error(String(response.status));
      const data = await response.json();
      draw(data);
      since = data.now;
      failures = 0;
    } catch {
      failures++;
    }
    document.getElementById('stale').hidden = failures < 2;
    document.documentElement.dataset.polls = String(
      Number(document.documentElement.dataset.polls ?? 0) + 1,
    );
    setTimeout(poll, POLL_MS);
  }

  poll();
}

module.exports = { browser };
