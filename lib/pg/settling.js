// What is left to do on a connection that nobody uses any more, before its next user has it.
'use strict';

const { defaults } = require('./defaults.js');
const { describe } = require('./failures.js');
const { readQuery } = require('./query.js');

/** @typedef {InstanceType<typeof import('./statement-queue.js').StatementQueue>} StatementQueue */
/** Of a pool. @typedef {{ resetQuery?: string, rollbackOnRelease?: boolean }} Options */

/** Ends a transaction that was left open. */
const ROLLBACK = 'ROLLBACK';

/** How long the ROLLBACK may take, and the reset of the session. */
const SETTLE_MS = 5000;

/**
 * Are transactions left open for the next one, as in pg? Asked at each release: programs set `defaults` late.
 * @param {Options} options
 */
function keepsTransactions({ rollbackOnRelease = defaults.rollbackOnRelease }) {
  return rollbackOnRelease === false;
}

/** Is there something to do at a release? @param {Options} options */
function settlesClients(options) {
  return options.resetQuery !== undefined || !keepsTransactions(options);
}

/**
 * @param {Options} options
 * @param {{ status: string | null, takeResidue: () => boolean }} link
 * @param {boolean} isRolledBack once is enough
 */
function settlingText(options, link, isRolledBack) {
  if (link.status !== 'I') {
    return isRolledBack || keepsTransactions(options) ? undefined : ROLLBACK;
  }
  const { resetQuery } = options;
  return resetQuery !== undefined && link.takeResidue() ? resetQuery : undefined;
}

/**
 * Calls back once what runs has come to its end, and what it has left is gone.
 * @param {StatementQueue} queue @param {() => Parameters<typeof settlingText>[1] | undefined} linkOf none: it is over
 * @param {Options} options @param {(error?: Error) => void} done
 */
function settle(queue, linkOf, options, done, isRolledBack = false) {
  const again = (was = isRolledBack) => settle(queue, linkOf, options, done, was);
  const link = linkOf();
  if (link !== undefined && queue.isBusy) {
    queue.whenQuiet(() => again());
    return;
  }
  const text = link && settlingText(options, link, isRolledBack);
  if (text === undefined) {
    done();
    return;
  }
  const asked = readQuery(text, undefined, undefined);
  const failed = (/** @type {any} */ reason) => done(describe(reason));
  // What the reset itself leaves is wanted.
  const settled = () => (text === ROLLBACK ? again(true) : done(void link?.takeResidue()));
  queue.start(asked, SETTLE_MS, settled, failed);
}

module.exports = { settle, settlesClients };
