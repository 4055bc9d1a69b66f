// What the statements of a text do to the transaction they run in, read from their first words.
'use strict';

const { behindComment } = require('./sql-blocks.js');

/** @typedef {'begin' | 'commit' | 'rollback' | 'other'} Effect `commit`: what is lost of it leaves a doubt */

/**
 * White space, or the comment of a line, which ends where the server says that a line ends. Nothing here repeats a group: that
 * has no room on the stack for megabytes.
 */
const BLANK = /\s+|--[^\n\r]*/y;
const WORD = /[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*/y;
/** Everything between words that holds neither a quote, a comment, a dollar nor the end of a statement. */
const PLAIN = /[^\s;'"$/\-A-Za-z_\u0080-\uffff]+/y;
/** Up to the next character that may end an E'…', or hide its end. */
const UNESCAPED = /[^'\\]*/y;
const IDENTIFIER = /"[^"]*(?:"|$)/y;
const DOLLAR = /\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$/y;

/** @param {RegExp} pattern sticky @param {string} text @param {number} at @returns {string} '' without a match */
function match(pattern, text, at) {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0] ?? '';
}

/** @param {string} text @param {number} at the first quote @returns {number} behind the last one; one that is doubled goes on */
function behindQuoted(text, at) {
  let end = at;
  do {
    end = text.indexOf("'", end + 1) + 1;
    if (end === 0) return text.length;
  } while (text[end] === "'");
  return end;
}

/** @param {string} text @param {number} at behind the first quote of an E'…' @returns {number} behind its last one */
function behindEscaped(text, at) {
  for (let end = at; end < text.length; end += 2) {
    end += match(UNESCAPED, text, end).length;
    if (text[end] === "'" && text[end + 1] !== "'") return end + 1;
  }
  return text.length;
}

/** Behind white space and comments of a line. @param {string} text @param {number} at */
function behindBlank(text, at) {
  let end = at;
  for (let blank = match(BLANK, text, end); blank !== ''; blank = match(BLANK, text, end)) {
    end += blank.length;
  }
  return end;
}

/**
 * Behind an E'…' that goes on behind the end of a line: its next part is read as the first one is. Source: `quotecontinue` of the
 * server's src/backend/parser/scan.l.
 * @param {string} text @param {number} at its first quote
 */
function behindEscapedParts(text, at) {
  for (let end = behindEscaped(text, at + 1); ; ) {
    const next = behindBlank(text, end);
    if (text[next] !== "'" || !/[\n\r]/.test(text.slice(end, next))) return end;
    end = behindEscaped(text, next + 1);
  }
}

/** Behind a quote of any kind. @param {string} text @param {number} at @param {string} before the word in front */
function skipQuote(text, at, before) {
  const quote = text[at];
  if (quote === "'" && before === 'E') return behindEscapedParts(text, at);
  if (quote === "'") return behindQuoted(text, at);
  if (quote === '"') return at + match(IDENTIFIER, text, at).length;
  const tag = match(DOLLAR, text, at);
  if (tag === '') return at + 1;
  const end = text.indexOf(tag, at + tag.length);
  return end < 0 ? text.length : end + tag.length;
}

/** The first word of a text, in capitals: behind comments, and parentheses around a query. @param {string} text */
function firstWord(text) {
  for (let at = 0; ; ) {
    at = behindBlank(text, at);
    if (text.startsWith('/*', at)) at = behindComment(text, at);
    else if (text[at] === '(') at++;
    else return match(WORD, text, at).toUpperCase();
  }
}

/**
 * The effects of the statements of a text, in their order.
 * @param {string} text
 * @returns {Effect[]}
 */
function effectsOf(text) {
  /** @type {Effect[]} */
  const effects = [];
  /** The first words of the present statement, in capitals. @type {string[]} */
  let words = [];
  let isEmpty = true;
  const finish = () => {
    if (!isEmpty) effects.push(...classify(words));
    words = [];
    isEmpty = true;
  };
  let before = '';
  for (let at = 0; at < text.length; ) {
    const behind = behindBlank(text, at);
    if (behind > at) {
      at = behind;
      before = '';
      continue;
    }
    if (text.startsWith('/*', at)) {
      at = behindComment(text, at);
      continue;
    }
    const char = text[at];
    if (char === ';') {
      finish();
      at++;
      continue;
    }
    isEmpty = false;
    const word = match(WORD, text, at);
    if (word !== '') {
      at += word.length;
      // The body of a function in standard SQL holds semicolons; nothing behind it is looked at.
      if (before === 'BEGIN' && /^atomic$/i.test(word)) break;
      before = word.toUpperCase();
      if (words.length < 5) words.push(before);
      if (before === 'BEGIN') at = behindBlank(text, at);
    } else if (char === "'" || char === '"' || char === '$') {
      at = skipQuote(text, at, before);
      before = '';
    } else {
      at += match(PLAIN, text, at).length || 1;
      before = '';
    }
  }
  finish();
  return effects;
}

/** @param {string[]} words @returns {Effect[]} */
function classify([first = '', ...rest]) {
  const [second, ...more] = rest;
  if (first === 'BEGIN' || (first === 'START' && second === 'TRANSACTION')) return ['begin'];
  if (first === 'PREPARE') return [second === 'TRANSACTION' ? 'commit' : 'other'];
  const isCommit = first === 'COMMIT' || first === 'END';
  if (!isCommit && first !== 'ROLLBACK' && first !== 'ABORT') return ['other'];
  const [next, after] = second === 'WORK' || second === 'TRANSACTION' ? more : rest;
  // ROLLBACK TO SAVEPOINT stays inside; COMMIT PREPARED is about another transaction.
  if (next === 'TO' || next === 'PREPARED') return ['other'];
  /** @type {Effect} */
  const effect = isCommit ? 'commit' : 'rollback';
  return next === 'AND' && after === 'CHAIN' ? [effect, 'begin'] : [effect];
}

/**
 * Is a transaction open behind this text, as far as its writer can tell?
 * @param {string} text @param {boolean} isOpen in front of it
 */
function isOpenAfter(text, isOpen) {
  let open = isOpen;
  for (const effect of effectsOf(text)) if (effect !== 'other') open = effect === 'begin';
  return open;
}

/** May a loss of this text have committed something? @param {string} text */
function mayCommit(text) {
  return effectsOf(text).includes('commit');
}

/**
 * May a text that was asked inside a transaction, and lost with it, have left something behind?
 * @param {string} text
 */
function mayOutliveTransaction(text) {
  let isOpen = true;
  return effectsOf(text).some((effect) => {
    // What stands behind a ROLLBACK commits by itself.
    if (effect === 'commit' || (effect === 'other' && !isOpen)) return true;
    if (effect !== 'other') isOpen = effect === 'begin';
    return false;
  });
}

/** Does the text roll back, and nothing else? @param {string} text */
function isRollback(text) {
  const effects = effectsOf(text);
  return effects.length === 1 && effects[0] === 'rollback';
}

module.exports = {
  effectsOf,
  firstWord,
  isOpenAfter,
  isRollback,
  mayCommit,
  mayOutliveTransaction,
};
