// One signal for several, as AbortSignal.any, which refuses signals of others and in Node 24 may give the reason of a later one.
'use strict';

const { hearAbort } = require('./abort-hearers.js');

/** A signal lives as long as somebody holds it, and what can fire it as long as the signal. @type {WeakMap<AbortSignal, AbortController>} */
const controllers = new WeakMap();

/** A signal that nobody holds any more leaves those it waited for. @type {FinalizationRegistry<(() => void)[]>} */
const forgotten = new FinalizationRegistry((leaves) => {
  for (const leave of leaves) leave();
});

/**
 * @param {AbortSignal[]} signals
 * @returns {AbortSignal} fires with the reason of the first one that does, at once if one has fired
 */
function anySignal(signals) {
  const controller = new AbortController();
  const fired = signals.find((signal) => signal.aborted);
  if (fired !== undefined) {
    controller.abort(fired.reason);
    return controller.signal;
  }
  const made = new WeakRef(controller);
  const leaves = signals.map((signal) => hearAbort(signal, hearerOf(signal, made)));
  controllers.set(controller.signal, controller);
  forgotten.register(controller.signal, leaves);
  return controller.signal;
}

/** Apart from the signal that was made, which nothing here may hold. @param {AbortSignal} signal @param {WeakRef<AbortController>} made */
function hearerOf(signal, made) {
  return () => made.deref()?.abort(signal.reason);
}

module.exports = { anySignal };
