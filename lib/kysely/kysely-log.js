// How BEGIN and the end of a transaction get into Kysely's log, which hears what goes through executeQuery().
'use strict';

const kysely = require('kysely');

/** @typedef {{ executeQuery(compiled: any): Promise<unknown> }} Logged */

/** What the texts stand for that only the log is to see. @type {WeakMap<object, () => Promise<unknown>>} */
const works = new WeakMap();

/** Does Kysely listen? It puts a function of its own in front of that of the class. @param {Logged} connection */
function isLogged(connection) {
  return Object.hasOwn(connection, 'executeQuery');
}

/**
 * Does the work so that the log hears of it and of its end.
 * @param {Logged} connection @param {string} sql @param {() => Promise<unknown>} work
 */
async function logged(connection, sql, work) {
  if (!isLogged(connection)) return work();
  /** @type {Promise<unknown> | undefined} */
  let done;
  const query = kysely.CompiledQuery.raw(sql);
  works.set(query, () => {
    done ??= work();
    return done;
  });
  try {
    await connection.executeQuery(query);
  } catch (error) {
    // What the log throws does not undo what the server has done.
    if (done === undefined) throw error;
  }
  return done;
}

/** @param {object} query @returns {(() => Promise<unknown>) | undefined} what it stands for, if it is one of the log's */
function workOf(query) {
  return works.get(query);
}

module.exports = { isLogged, logged, workOf };
