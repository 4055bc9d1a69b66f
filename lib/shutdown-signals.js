// Signals that end the process: one listener per signal, however many databases wait for it.
'use strict';

const { callHook } = require('./hooks.js');

/**
 * A database that wants to be shut down: `begin` starts it and never throws, `exitCode` says what its end means.
 * @typedef {{
 *   begin: (signal: string) => Promise<{ error?: unknown }>,
 *   exitCode: (error: unknown, signal: string) => number,
 *   exits: boolean,
 * }} Registration
 */

/** Numbers of POSIX and, where they differ, of Linux: what a shell shows is 128 plus the number. */
const NUMBERS = /** @type {Record<string, number>} */ ({
  ...{ SIGHUP: 1, SIGINT: 2, SIGQUIT: 3, SIGABRT: 6, SIGUSR1: 10, SIGUSR2: 12, SIGALRM: 14 },
  ...{ SIGTERM: 15, SIGBREAK: 21 },
});

/** Every name that some system knows: programs name those of all systems they run on. Sources: `os.constants.signals`, `signal(7)`. */
const NAMES = new Set(
  [
    'SIGHUP SIGINT SIGQUIT SIGILL SIGTRAP SIGABRT SIGIOT SIGBUS SIGFPE SIGUSR1 SIGSEGV SIGUSR2 SIGPIPE SIGALRM SIGTERM',
    'SIGCHLD SIGSTKFLT SIGCONT SIGTSTP SIGTTIN SIGTTOU SIGURG SIGXCPU SIGXFSZ SIGVTALRM SIGPROF SIGWINCH SIGIO SIGPOLL',
    'SIGPWR SIGSYS SIGINFO SIGEMT SIGBREAK SIGLOST SIGUNUSED',
  ].flatMap((names) => names.split(' ')),
);

/** @type {Map<string, { listener: () => void, registrations: Set<Registration> }>} */
const listened = new Map();

/** A signal has come and its shutdowns run, or have run. */
let isEnding = false;

/** The process, where it can hear signals and be ended. @returns {any} */
function processOf() {
  const { process } = /** @type {any} */ (globalThis);
  const isUsable = typeof process?.on === 'function' && typeof process?.exit === 'function';
  return isUsable ? process : undefined;
}

/** Signals never arrive in worker threads. */
function isWorker() {
  const process = processOf();
  const threads = process?.getBuiltinModule?.('worker_threads');
  // Node marks what a worker may not call.
  return threads ? threads.isMainThread === false : process?.abort?.disabled === true;
}

/**
 * What is wrong with the names: a listener for what never comes would be found out at the end of a program.
 * @param {readonly string[]} signals
 * @returns {string | undefined}
 */
function problemOf(signals) {
  if (signals.length === 0) return 'must name a signal; without it they are SIGTERM and SIGINT';
  for (const signal of signals) {
    if (NAMES.has(signal)) continue;
    if (signal === 'SIGKILL' || signal === 'SIGSTOP') {
      return `must not have ${signal}, which no process can catch; SIGTERM is what asks one to end`;
    }
    const upper = signal.toUpperCase();
    const meant = [upper, `SIG${upper}`].find((name) => NAMES.has(name));
    const hint =
      meant === undefined ? 'names are those of Node, as SIGTERM' : `did you mean ${meant}?`;
    return `has ${JSON.stringify(signal.slice(0, 64))}, which is no signal; ${hint}`;
  }
  return undefined;
}

/**
 * @param {readonly string[]} signals @param {Registration} registration
 * @returns {() => void} takes the registration back
 */
function onSignals(signals, registration) {
  const process = processOf();
  for (const signal of signals) {
    let entry = listened.get(signal);
    if (entry === undefined) {
      entry = { listener: () => void end(signal), registrations: new Set() };
      process.on(signal, entry.listener);
      listened.set(signal, entry);
    }
    entry.registrations.add(registration);
  }
  return () => {
    for (const signal of signals) forget(signal, registration);
  };
}

/** @param {string} signal @param {Registration} registration */
function forget(signal, registration) {
  const entry = listened.get(signal);
  if (!entry?.registrations.delete(registration) || entry.registrations.size > 0) return;
  processOf()?.removeListener(signal, entry.listener);
  listened.delete(signal);
  if (listened.size === 0) isEnding = false;
}

/** @param {string} signal */
async function end(signal) {
  const process = processOf();
  // Whoever asks twice does not want to wait.
  if (isEnding) return process.exit(128 + (NUMBERS[signal] ?? 0));
  isEnding = true;
  const registrations = [...(listened.get(signal)?.registrations ?? [])];
  const codes = await Promise.all(
    registrations.map(async ({ begin, exitCode }) => {
      const { error } = await begin(signal);
      let code = error === undefined ? 0 : 1;
      callHook(() => {
        const chosen = exitCode(error, signal);
        if (Number.isInteger(chosen)) code = chosen;
        return chosen;
      }, []);
      return code;
    }),
  );
  if (registrations.some(({ exits }) => exits)) process.exit(codes.find((code) => code !== 0) ?? 0);
}

module.exports = { isWorker, onSignals, problemOf, processOf };
