// Which texts end the transaction that they are run in: its owner has to know, whoever has written them.
'use strict';

const { wrongArgument } = require('./error-classes.js');
const { behindComment } = require('./sql-blocks.js');

/** So such a text begins; `;`, spaces and comments may stand in front. */
const BEGINNING = /^[; \t\n\r\f\v]*(?:--|\/\*|commit|end|rollback|abort|prepare)/i;
/** As words; behind others nothing more has to be read. */
const POSSIBLE = /^;?(?:$|(?:commit|end|rollback|abort|prepare) )/;
/** Spaces and comments, words, and single characters. Source: the server's src/backend/parser/scan.l. */
const TOKEN = /(?<space>[ \t\n\r\f\v]+|--[^\n\r]*|(?<comment>\/\*))|[a-z]+|[\s\S]/iy;
/** Of a text no more is read: what ends a transaction says so with few words. */
const MAX_WORDS = 60;
const END =
  /^;?(?:(?<prepare>prepare transaction .*)|(?:commit|end|(?<rollback>rollback|abort))(?: work| transaction)?(?<chain> and chain)?(?: and no chain)? ;?)$/;

/**
 * `chain`: another one begins right behind. ROLLBACK TO a savepoint, and what the server refuses, ends nothing.
 * @typedef {'commit' | 'rollback' | 'prepare' | 'chain'} End
 */

/** @param {unknown} sql @returns {End | undefined} */
function endOf(sql) {
  // Asked for each statement of a transaction: most are told by their first character.
  if (typeof sql !== 'string' || !BEGINNING.test(sql)) return undefined;
  const found = END.exec(wordsOf(sql));
  if (found === null) return undefined;
  const { prepare, rollback, chain } = found.groups ?? {};
  if (prepare !== undefined) return 'prepare';
  if (chain !== undefined) return 'chain';
  return rollback === undefined ? 'commit' : 'rollback';
}

/**
 * How the text ends a transaction that has to end by COMMIT or ROLLBACK, if it does.
 * @param {string} sql @throws {TypeError} in another way
 */
function endableOf(sql) {
  const end = endOf(sql);
  if (end === undefined || end === 'commit' || end === 'rollback') return end;
  const what = end === 'chain' ? 'AND CHAIN' : 'PREPARE TRANSACTION';
  throw wrongArgument(`${what}: this transaction ends by COMMIT or ROLLBACK; use a Client`);
}

/** The beginning of a text: its words in small letters, with a space behind each. @param {string} sql */
function wordsOf(sql) {
  let words = '';
  for (let at = 0; at < sql.length && words.length < MAX_WORDS; at = TOKEN.lastIndex) {
    TOKEN.lastIndex = at;
    const { 0: token, groups = {} } = /** @type {RegExpExecArray} */ (TOKEN.exec(sql));
    if (groups.comment !== undefined) TOKEN.lastIndex = behindComment(sql, at);
    if (groups.space !== undefined || (token === ';' && words.endsWith(';'))) continue;
    words += token === ';' ? token : `${token.toLowerCase()} `;
    if (!POSSIBLE.test(words)) break;
  }
  return words;
}

module.exports = { endOf, endableOf };
