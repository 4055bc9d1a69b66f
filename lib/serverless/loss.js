// What was asked of a connection and not answered when it was lost, and what that means for the caller's transaction.
'use strict';

const { isOpenAfter } = require('../sql-effects.js');

/**
 * A statement on its way. `isWithin`: its connection was lost, and a transaction was open in front of it, or it has opened
 * one that others are behind: nothing of that may go on alone.
 * @typedef {{ text: string, isWithin: boolean }} Request
 */

/**
 * A loss. `opened`: the statement that had opened the transaction in which the connection was lost, with nothing behind it,
 * and was not answered itself; `isOpen`: as far as the caller can tell, he is inside a transaction.
 * @typedef {{ error: Error | undefined, isOpen: boolean, opened: Request | undefined }} Loss
 */

/**
 * Marks the statements that were inside a transaction.
 * @param {Iterable<Request>} unanswered in their order @param {boolean} wasOpen by the server's last answer
 * @param {Error | undefined} error
 * @returns {Loss}
 */
function lossOf(unanswered, wasOpen, error) {
  let isOpen = wasOpen;
  /** @type {Request | undefined} */
  let opened;
  for (const request of unanswered) {
    request.isWithin = isOpen;
    if (isOpen && opened !== undefined) {
      opened.isWithin = true;
      opened = undefined;
    }
    const before = isOpen;
    isOpen = isOpenAfter(request.text, before);
    if (isOpen !== before) opened = isOpen ? request : undefined;
  }
  return { error, isOpen, opened };
}

/** Is a transaction open once everything sent is answered? @param {Iterable<Request>} unanswered @param {boolean} isOpen now */
function isOpenBehind(unanswered, isOpen) {
  let open = isOpen;
  for (const { text } of unanswered) open = isOpenAfter(text, open);
  return open;
}

module.exports = { isOpenBehind, lossOf };
