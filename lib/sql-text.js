// SQL texts for people who watch: without literals, and in a few words.
'use strict';

const { behindComment } = require('./sql-blocks.js');

/** Texts that were looked at, so that a statement is read once; and their characters in all. */
const MAX_KNOWN = 1000;
const MAX_KEPT = 4 * 1024 * 1024;
/** Of a text no more is read: longer tokens are too much for the stack of a regular expression. */
const MAX_READ = 1024 * 1024;
/** Longer texts are cut: what watches is not an archive. */
const MAX_TEXT = 4096;
const MAX_SUMMARY = 255;

const WORD = '[A-Za-z_\\u0080-\\uffff][\\w$\\u0080-\\uffff]*';
/**
 * Spaces and comments, literals, quoted names, parameters, numbers, words, and single characters; what is open at the end
 * ends there. Source: the server's src/backend/parser/scan.l.
 */
const TOKENS = new RegExp(
  [
    '(?<space>[ \\t\\n\\r\\f\\v]+|--[^\\n\\r]*|(?<comment>/\\*))',
    "(?<escaped>[eE]'(?:\\\\[\\s\\S]|''|[^'\\\\])*(?:'|$))",
    "(?<plain>(?:[bBxXnN]|[uU]&)?'(?:''|[^'])*(?:'|$))",
    `(?<name>(?:[uU]&)?"(?:""|[^"])*(?:"|$))`,
    `(?<dollar>\\$(?<tag>${WORD.replace('$', '')})?\\$[\\s\\S]*?(?:\\$\\k<tag>\\$|$))`,
    '(?<parameter>\\$\\d+)',
    '(?<number>(?:\\d[\\d_]*\\.?[\\d_]*|\\.\\d+)(?:[eE][+-]?\\d+)?\\w*)',
    `(?<word>${WORD})`,
    '(?<other>[\\s\\S])',
  ].join('|'),
  'g',
);

/** What a text does; anything else is not an operation. */
const OPERATIONS = new Set(
  (
    'SELECT INSERT UPDATE DELETE MERGE TRUNCATE COPY CALL CREATE ALTER DROP BEGIN START COMMIT ROLLBACK SAVEPOINT RELEASE ' +
    'SET RESET SHOW EXPLAIN ANALYZE VACUUM REINDEX CLUSTER REFRESH GRANT REVOKE LOCK LISTEN UNLISTEN NOTIFY DECLARE ' +
    'FETCH MOVE CLOSE PREPARE EXECUTE DEALLOCATE DISCARD CHECKPOINT COMMENT DO VALUES TABLE END ABORT IMPORT SECURITY'
  ).split(' '),
);
/** Those that can stand inside of another statement. */
const NESTED = new Set(['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'MERGE']);
/** Words in front of the name of a relation. */
const BEFORE_TARGET = new Set([
  'FROM',
  'JOIN',
  'INTO',
  'UPDATE',
  'TABLE',
  'COPY',
  'CALL',
  'TRUNCATE',
]);
const SKIPPED = new Set([
  'ONLY',
  'LATERAL',
  'TABLE',
  'IF',
  'NOT',
  'EXISTS',
  'CONCURRENTLY',
  'STDIN',
  'STDOUT',
]);
/** Behind these words UPDATE and its like are no statement: locks, clauses, triggers, and what MERGE does with a row. */
const NO_STATEMENT = new Set(['FOR', 'DO', 'KEY', 'ON', 'OR', 'BEFORE', 'AFTER', 'OF', 'THEN']);

/** @typedef {{ text: string, summary: string, operation: string }} Described */

/** @type {Map<string, Described>} */
const known = new Map();
let keptLength = 0;

/**
 * A text without its literals, its operation, and its operations and relations in a few words.
 * @param {string} sql
 * @returns {Described}
 */
function describeText(sql) {
  const found = known.get(sql);
  if (found !== undefined) return found;
  const described = read(sql.slice(0, MAX_READ));
  if (sql.length > MAX_KEPT) return described;
  keptLength += sql.length;
  if (known.size >= MAX_KNOWN || keptLength > MAX_KEPT) {
    known.clear();
    keptLength = sql.length;
  }
  known.set(sql, described);
  return described;
}

/** @param {string} sql @returns {Described} */
function read(sql) {
  let text = '';
  const summary = new Summary();
  TOKENS.lastIndex = 0;
  for (let found = TOKENS.exec(sql); found !== null; found = TOKENS.exec(sql)) {
    const { 0: token, groups = {} } = found;
    if (groups.comment !== undefined) TOKENS.lastIndex = behindComment(sql, found.index);
    if (groups.space !== undefined) {
      if (text !== '' && !text.endsWith(' ')) text += ' ';
      continue;
    }
    const { escaped, plain, dollar, number } = groups;
    const isLiteral = (escaped ?? plain ?? dollar ?? number) !== undefined;
    if (!isLiteral) summary.take(token, groups);
    text += isLiteral ? '?' : token;
    // With standard_conforming_strings off this is not where the literal ends, so the rest may be one.
    if (plain?.includes('\\')) break;
    if (text.length > MAX_TEXT) break;
  }
  const short = text
    .trim()
    .replace(/\((?:\s*\?\s*,)+\s*\?\s*\)/g, '(?)')
    .slice(0, MAX_TEXT);
  return { text: short, summary: summary.text, operation: summary.operation };
}

/** Collects operations and the relations they name. */
class Summary {
  operation = '';
  text = '';
  #last = '';
  #isTarget = false;
  /** A relation's name may go on behind a dot. */
  #mayGoOn = false;

  /** @param {string} token @param {Record<string, string | undefined>} groups */
  take(token, { word, name }) {
    if (token === '.' && this.#mayGoOn) {
      this.#add('.', '');
      this.#isTarget = true;
      return;
    }
    const upper = word?.toUpperCase() ?? '';
    if (this.#isTarget && (word ?? name) !== undefined && !SKIPPED.has(upper)) {
      if (!NESTED.has(upper)) {
        this.#add(token, this.#mayGoOn ? '' : ' ');
        this.#isTarget = false;
        this.#mayGoOn = true;
        this.#last = upper;
        return;
      }
    }
    this.#mayGoOn = false;
    if (word === undefined) {
      this.#isTarget = false;
      this.#last = token;
      return;
    }
    const isOperation = this.operation === '' ? OPERATIONS.has(upper) : NESTED.has(upper);
    if (isOperation && !NO_STATEMENT.has(this.#last)) {
      this.operation ||= upper;
      this.#add(upper, ' ');
    }
    const isDistinct = upper === 'FROM' && this.#last === 'DISTINCT';
    const isLock = upper === 'UPDATE' && NO_STATEMENT.has(this.#last);
    if (BEFORE_TARGET.has(upper) && !isDistinct && !isLock) this.#isTarget = true;
    else if (!SKIPPED.has(upper)) this.#isTarget = false;
    this.#last = upper;
  }

  /** @param {string} part @param {string} space */
  #add(part, space) {
    const longer = this.text === '' ? part : `${this.text}${space}${part}`;
    if (longer.length <= MAX_SUMMARY) this.text = longer;
  }
}

module.exports = { describeText };
