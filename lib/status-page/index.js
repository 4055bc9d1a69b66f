// pg-berth/status: one handler for a page of live charts, a health check and metrics.
'use strict';

const { aboveZero, number } = require('../infra-options.js');
const { LIMIT_OPTIONS, limitsOf } = require('../health-check.js');
const { isObject, isText, readOptions } = require('../option-rules.js');
const { mergeMetrics } = require('./merge-metrics.js');
const { page, POLICY } = require('./page.js');
const { Sampler } = require('./sampler.js');

/** @import { IncomingMessage, ServerResponse } from 'node:http' */
/** @import * as api from '../../types/status.js' */

const OPTIONS = Object.freeze({
  ...LIMIT_OPTIONS,
  title: { accepts: isText, says: 'a non-empty string' },
  basePath: {
    accepts: (/** @type {unknown} */ value) => value === '' || /^\/.*[^/]$/.test(String(value)),
    says: 'a path that begins with a slash and does not end with one',
  },
  breakers: {
    accepts: (/** @type {unknown} */ value) =>
      isObject(value) &&
      Object.values(value).every((breaker) => typeof breaker?.getState === 'function'),
    says: 'an object of circuit breakers by name',
    copy: (/** @type {any} */ value) => (isObject(value) ? { ...value } : value),
  },
  intervalMs: number,
  historyMs: number,
  healthIntervalMs: number,
});

/** @param {any} pools @returns {Record<string, any>} */
function readPools(pools) {
  if (!isObject(pools)) throw new TypeError('pools must be a pool, or an object of pools by name');
  const isOne = ['getMetrics', 'query', 'connect'].some(
    (name) => typeof (/** @type {any} */ (pools)[name]) === 'function',
  );
  return isOne ? { pool: pools } : { ...pools };
}

/**
 * @param {any} pools @param {api.StatusOptions} [options]
 * @returns {api.StatusHandler}
 */
function statusHandler(pools, options) {
  const read = readOptions(OPTIONS, options);
  const { title = 'pg-berth', basePath = '', breakers = {} } = read;
  const sampler = new Sampler(readPools(pools), {
    intervalMs: aboveZero('intervalMs', read.intervalMs ?? 1000),
    historyMs: aboveZero('historyMs', read.historyMs ?? 900_000),
    healthIntervalMs: aboveZero('healthIntervalMs', read.healthIntervalMs ?? 5000),
    limits: limitsOf(read),
    breakers,
  });
  const html = page(title);

  /** @type {Record<string, (url: URL) => { type: string, body: string, code?: number }>} */
  const routes = {
    '/': () => ({ type: 'text/html; charset=utf-8', body: html }),
    '/data': (url) => ({
      type: 'application/json',
      body: JSON.stringify(sampler.data(Number(url.searchParams.get('since')) || 0)),
    }),
    '/health': () => {
      const health = sampler.health();
      const code = ['healthy', 'degraded'].includes(String(health.status)) ? 200 : 503;
      return { code, type: 'application/json', body: JSON.stringify(health) };
    },
    '/metrics': () => ({
      type: 'text/plain; version=0.0.4; charset=utf-8',
      body: mergeMetrics(
        [...sampler.pools].map(([name, pool]) => pool.metricsText({ labels: { pool: name } })),
      ),
    }),
  };

  /** @param {IncomingMessage} request @param {ServerResponse} response @param {() => void} [next] */
  function handle(request, response, next) {
    const url = urlOf(request.url);
    const inside = url.pathname === basePath || url.pathname.startsWith(`${basePath}/`);
    const place = url.pathname.slice(basePath.length) || '/';
    const route = inside && Object.hasOwn(routes, place) ? routes[place] : undefined;
    if (route === undefined) {
      if (next) next();
      else answer(response, 404, 'text/plain', 'there is nothing here\n');
      return;
    }
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('Allow', 'GET, HEAD');
      answer(response, 405, 'text/plain', 'GET or HEAD\n');
      return;
    }
    // Relative references of the page need the slash at the end, which Express hides below the path of `app.use`.
    const { pathname } = urlOf(/** @type {any} */ (request).originalUrl ?? request.url);
    if (place === '/' && !pathname.endsWith('/')) {
      response.setHeader('Location', `${pathname.slice(pathname.lastIndexOf('/') + 1)}/`);
      answer(response, 302, 'text/plain', '');
      return;
    }
    const { code = 200, type, body } = route(url);
    answer(response, code, type, request.method === 'HEAD' ? '' : body);
  }

  return Object.assign(handle, { close: () => sampler.stop() });
}

/** Clients send what they like: what is no URL is a place that does not exist. @param {string} [url] */
function urlOf(url = '/') {
  const base = 'http://status';
  return new URL(URL.canParse(url, base) ? url : '/no-url', base);
}

/** @param {ServerResponse} response @param {number} code @param {string} type @param {string} body */
function answer(response, code, type, body) {
  response.writeHead(code, {
    'Content-Type': type,
    'Cache-Control': 'no-store',
    'Content-Security-Policy': POLICY,
    'Referrer-Policy': 'no-referrer',
    'X-Content-Type-Options': 'nosniff',
  });
  response.end(body);
}

module.exports = { statusHandler };
