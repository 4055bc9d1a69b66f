// One signal for several: AbortSignal.any, also before Node 20.3 and for signals of others, which that refuses.
'use strict';

/** A signal lives as long as somebody holds it, and what can fire it as long as the signal. @type {WeakMap<AbortSignal, AbortController>} */
const controllers = new WeakMap();

/** A signal that nobody holds any more leaves those it waited for. @type {FinalizationRegistry<() => void>} */
const forgotten = new FinalizationRegistry((leave) => leave());

/**
 * @param {AbortSignal[]} signals
 * @returns {AbortSignal} fires with the reason of the first one that does, at once if one has fired
 */
function anySignal(signals) {
  const isKnown = signals.every((signal) => signal instanceof AbortSignal);
  if (isKnown && typeof AbortSignal.any === 'function') return AbortSignal.any(signals);
  const controller = new AbortController();
  const fired = signals.find((signal) => signal.aborted);
  if (fired !== undefined) {
    controller.abort(fired.reason);
    return controller.signal;
  }
  follow(signals, controller);
  return controller.signal;
}

/**
 * Apart from the signal that was made, which nothing here may hold.
 * @param {AbortSignal[]} signals @param {AbortController} controller
 */
function follow(signals, controller) {
  const made = new WeakRef(controller);
  const hearers = signals.map((signal) => hearerOf(signal, made));
  const leave = () => {
    for (const [at, signal] of signals.entries()) {
      signal.removeEventListener('abort', /** @type {() => void} */ (hearers[at]));
    }
  };
  controllers.set(controller.signal, controller);
  forgotten.register(controller.signal, leave);
  for (const [at, signal] of signals.entries()) {
    signal.addEventListener('abort', /** @type {() => void} */ (hearers[at]), { once: true });
  }
}

/** @param {AbortSignal} signal @param {WeakRef<AbortController>} made */
function hearerOf(signal, made) {
  return () => made.deref()?.abort(signal.reason);
}

module.exports = { anySignal };
