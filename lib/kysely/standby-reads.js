// A plugin that asks for single queries to be read from standbys, and who has asked.
'use strict';

/** Queries that may run on a standby, by what Kysely knows them by. @type {WeakSet<object>} */
const asked = new WeakSet();

/** What may read: the server itself refuses what would write. */
const READING = new Set(['SelectQueryNode', 'RawNode']);

class StandbyReads {
  /** @template T @param {{ node: T, queryId: object }} args @returns {T} */
  transformQuery({ node, queryId }) {
    asked.add(queryId);
    return node;
  }

  /** @template T @param {{ result: T }} args */
  async transformResult({ result }) {
    return result;
  }
}

function readFromStandby() {
  return new StandbyReads();
}

/** @param {{ query?: { kind?: string }, queryId?: object }} compiled */
function mayReadFromStandby({ query, queryId }) {
  return queryId !== undefined && asked.has(queryId) && READING.has(query?.kind ?? '');
}

module.exports = { mayReadFromStandby, readFromStandby };
