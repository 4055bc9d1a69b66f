// Connections that JavaScript opens and lends, told of while that goes on.
'use strict';

const { lazy } = require('../lazy.js');
const { channels, isHeard } = require('./channels.js');

const telling = lazy(() => require('./telling.js'));
const traces = lazy(() => require('./traces.js'));

/** @import { About } from '../../types/internal.js' */

/**
 * Opens a connection outside of a pool.
 * @template {{ host: string }} T
 * @param {About} about @param {() => Promise<T>} open
 * @returns {Promise<T>}
 */
function connecting(about, open) {
  if (!isHeard(channels.connect)) return open();
  const trace = new (traces().ConnectTrace)(about);
  return telling().during(channels.connect, trace, open, ({ host }) => trace.at(host));
}

/**
 * A checkout from a pool that JavaScript keeps.
 * @param {About} about
 * @returns {((error: unknown, host?: string) => void) | undefined} to be told how it ended; undefined when nobody listens
 */
function acquiring(about) {
  if (!isHeard(channels.acquire)) return undefined;
  const trace = new (traces().AcquireTrace)(about);
  const { begin, finish } = telling();
  begin(channels.acquire, trace, () => {});
  let isTold = false;
  return (error, host) => {
    if (isTold) return;
    isTold = true;
    if (host !== undefined) trace.at(host);
    trace.end(error ?? undefined);
    finish(channels.acquire, trace);
  };
}

module.exports = { acquiring, connecting };
