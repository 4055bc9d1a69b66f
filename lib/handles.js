// Handles of the engine: opening, sharing and letting go of pools, sessions and clients.
'use strict';

const os = require('node:os');
// Taken now: a test may put another clock in its place.
const { setTimeout } = require('node:timers');
const native = require('./native.js');
// Whatever is opened belongs to it.
require('./environment.js');

/** @import { Face } from '../types/native-error.js' */
/** @import { About, Target } from '../types/internal.js' */
/** @typedef {Pick<About, 'told' | 'comment' | 'key'>} Hooks */

/** After so long a forgotten pool is looked at again on which something runs. */
const PAUSE_MS = 250;

/** @param {number} handle generation × 2³² + slot @param {About} about @returns {Target} */
function targetOf(handle, about) {
  return Object.freeze({
    slot: handle % 2 ** 32,
    generation: Math.floor(handle / 2 ** 32),
    about,
  });
}

/** What sessions of a pool say of themselves. @type {WeakMap<About, About>} */
const sessions = new WeakMap();

/** @param {About} pool @returns {About} */
function sessionOf(pool) {
  let session = sessions.get(pool);
  if (session === undefined) {
    session = Object.freeze({ ...pool, isSession: true });
    sessions.set(pool, session);
  }
  return session;
}

/**
 * What the engine may take settings from: the PG variables, the user's name and home.
 * @param {readonly string[]} [names] the variables, by default all that begin with PG
 */
function surroundings(names) {
  /** @type {Record<string, string>} */
  const environment = {};
  for (const name of Object.keys(process.env)) {
    const isWanted = names === undefined ? name.startsWith('PG') : names.includes(name);
    const value = isWanted ? process.env[name] : undefined;
    if (value !== undefined) environment[name] = value;
  }
  const { username, homedir } = userInfo();
  if (username !== undefined) environment.USER = username;
  if (homedir !== undefined) environment.HOME = homedir;
  return JSON.stringify(environment);
}

/** @returns {{ username?: string | undefined, homedir?: string | undefined }} */
function userInfo() {
  try {
    return os.userInfo();
  } catch {
    // A container user without an entry in the password file.
    return { username: process.env.USER, homedir: process.env.HOME };
  }
}

/**
 * Turns what the engine threw or rejected with into the caller's error.
 * @param {unknown} error @param {Face} face @returns {Error}
 */
function thrown(error, face) {
  const { fields } = /** @type {{ fields?: string }} */ (error);
  if (fields === undefined) return /** @type {Error} */ (error);
  return require('./errors.js').fromNative(JSON.parse(fields), face);
}

/** @param {readonly string[]} warnings */
function warn(warnings) {
  for (const warning of warnings) process.emitWarning(warning, { code: 'PG_BERTH_CONFIG' });
}

/**
 * The three arguments of the engine's `…Open`: options, surroundings, and who is asked while a connection is opened.
 * @param {Record<string, any>} options
 * @param {readonly string[]} [variables] of the environment that count
 * @returns {[string, string, import('./passwords.js').Ask | undefined]}
 */
function openArguments({ password, ssl, ...options }, variables) {
  const give = typeof password === 'function' ? password : undefined;
  const judge = ssl?.checkServerIdentity;
  const source = give ? { passwordFunction: true } : { password };
  const tls = judge ? { ...ssl, checkServerIdentity: undefined, identityFunction: true } : ssl;
  return [
    JSON.stringify({ ...options, ...source, ssl: tls }),
    surroundings(variables),
    give || judge ? require('./passwords.js').answering(give, judge) : undefined,
  ];
}

/**
 * Opens a pool; connects to nothing.
 * @param {object} options checked options under the engine's names; `password` and `ssl.checkServerIdentity` may be functions
 * @param {Face} face @param {Hooks} [hooks]
 * @returns {Target}
 */
function openPool(options, face, hooks) {
  try {
    const { handle, warnings, about } = JSON.parse(native.poolOpen(...openArguments(options)));
    warn(warnings);
    return targetOf(handle, ofPool(about, face, hooks));
  } catch (error) {
    throw thrown(error, face);
  }
}

/**
 * A handle of its own for a pool that another thread has opened.
 * @param {{ slot: number, generation: number, described: any }} of @param {Face} face @param {Hooks} [hooks]
 * @returns {Target}
 */
function joinPool({ slot, generation, described }, face, hooks) {
  try {
    const about = ofPool({ ...described, joined: { slot, generation } }, face, hooks);
    return targetOf(native.poolJoin(slot, generation), about);
  } catch (error) {
    throw thrown(error, face);
  }
}

/** @param {any} about @param {Face} face @param {Hooks} [hooks] @returns {About} */
function ofPool(about, face, hooks) {
  const pool = `${about.hosts.join(',')}/${about.database}`;
  return Object.freeze({ ...about, face, pool, isPool: true, key: {}, ...hooks });
}

/**
 * Opens a single connection.
 * @param {object} options @param {Face} face
 * @param {readonly string[]} [variables] of the environment that count, by default all that begin with PG
 * @param {Hooks} [hooks]
 * @returns {Promise<{ target: Target, pid: number, host: string, encrypted: boolean, parameters: Record<string, string> }>}
 */
async function openClient(options, face, variables, hooks) {
  try {
    const opened = JSON.parse(await native.clientOpen(...openArguments(options, variables)));
    return adopted(opened, face, hooks);
  } catch (error) {
    throw thrown(error, face);
  }
}

/**
 * Opens a single connection while the thread is blocked.
 * @param {Record<string, any>} options the password as text @param {Face} face @param {number} patienceMs
 * @param {readonly string[]} [variables] @param {Hooks} [hooks] as in `openClient`
 * @returns {Awaited<ReturnType<typeof openClient>>}
 */
function openClientSync(options, face, patienceMs, variables, hooks) {
  try {
    const [settings, around] = openArguments(options, variables);
    return adopted(JSON.parse(native.clientOpenSync(settings, around, patienceMs)), face, hooks);
  } catch (error) {
    throw thrown(error, face);
  }
}

/** @param {any} opened @param {Face} face @param {Hooks} [hooks] */
function adopted({ handle, warnings, about, ...rest }, face, hooks) {
  warn(warnings);
  const target = targetOf(handle, Object.freeze({ ...about, face, hosts: [rest.host], ...hooks }));
  return { target, ...rest };
}

/** @param {Target} pool @param {Face} face @returns {Target} */
function openSession(pool, face) {
  try {
    const handle = native.sessionOpen(pool.slot, pool.generation);
    return targetOf(handle, sessionOf(pool.about));
  } catch (error) {
    throw thrown(error, face);
  }
}

/** Has the events of a pool sent here; where nothing was asked of it there are none. @param {Target} pool */
function hearPool(pool) {
  native.poolHear(pool.slot, pool.generation);
}

/** Has the events of a session's connection sent here; before its first request. @param {Target} session */
function hear(session) {
  native.sessionHear(session.slot, session.generation);
}

/** The same for statements of our own, which hooks do not hear of. @param {Target} target @returns {Target} */
function unheard(target) {
  if (target.about.told === undefined) return target;
  return { ...target, about: { ...target.about, told: undefined } };
}

/** A statement for it is about to come: a pool without connections opens one. @param {Target} pool */
function expect(pool) {
  native.poolExpect(pool.slot, pool.generation);
}

/** @param {Target} target */
function release(target) {
  native.release(target.slot, target.generation);
}

/**
 * Gives the connection of a session back once everything asked is answered, or its place in the queue.
 * @param {Target} session
 * @param {number} [waitedMs] so long was waited for a connection: a session that has it stays, and `false` comes back; what was
 *   asked of another one fails by what was in the way, after 0 because it left
 */
function leave(session, waitedMs) {
  return native.sessionLeave(session.slot, session.generation, waitedMs ?? null);
}

/** The number of a session's connection, unlike that of any other; 0 while it has none. @param {Target} session */
function serialOf(session) {
  return native.sessionConnection(session.slot, session.generation) ?? 0;
}

/** @param {Target} target @param {number} patienceMs @returns {Promise<string>} JSON `{drained, rejected, cancelled, open}` */
function end(target, patienceMs) {
  return native.end(target.slot, target.generation, patienceMs);
}

/** Is anything running on a pool, or waiting for a connection? @param {Target} pool */
function isBusy({ slot, generation }) {
  const { size, available, waiting } = JSON.parse(native.poolStatus(slot, generation) ?? '{}');
  return size > available || waiting > 0;
}

/** Nobody holds the object any more; what is awaited of a pool is answered all the same. @param {Target} target */
function letGo(target) {
  const { isPool, isSession, joined } = target.about;
  const isOwner = isPool === true && isSession !== true && joined === undefined;
  if (isOwner && isBusy(target)) setTimeout(letGo, PAUSE_MS, target).unref();
  else release(target);
}

/** Ends what was forgotten: an object of the engine lives until it is told otherwise. @type {FinalizationRegistry<Target>} */
const forgotten = new FinalizationRegistry(letGo);

module.exports = {
  end,
  expect,
  forgotten,
  hear,
  hearPool,
  joinPool,
  leave,
  openClient,
  openClientSync,
  openPool,
  openSession,
  release,
  serialOf,
  unheard,
};
