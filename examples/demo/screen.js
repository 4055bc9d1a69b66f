// How the demo looks in a terminal: headings, notes and tables; colours only where they are wanted.
'use strict';

const WIDTH = 78;
const CODES = { bold: 1, dim: 2, green: 32, yellow: 33, red: 31, cyan: 36 };

const isWanted = process.stdout.isTTY ? !process.env.NO_COLOR : process.env.FORCE_COLOR === '1';

/** @param {keyof typeof CODES} name @param {unknown} text */
const paint = (name, text) => (isWanted ? `\x1b[${CODES[name]}m${text}\x1b[0m` : String(text));

// biome-ignore lint/suspicious/noControlCharactersInRegex: the colour codes above begin with ESC
const visible = (text) => text.replaceAll(/\x1b\[\d+m/g, '');

/** @param {string} text */
function title(text) {
  console.log(`\n${paint('bold', text)}`);
}

/** @param {number} number @param {string} text */
function heading(number, text) {
  const line = '─'.repeat(Math.max(3, WIDTH - text.length - 6));
  console.log(`\n${paint('cyan', `${number}  ${text}`)}  ${paint('dim', line)}`);
}

/** @param {string} text */
function note(text) {
  console.log(`   ${text}`);
}

/** A statement or call, as it stands in the program. @param {string} text */
function code(text) {
  for (const line of text.split('\n')) console.log(`   ${paint('dim', `› ${line}`)}`);
}

/**
 * Rows in columns as wide as their longest cell.
 * @param {string[]} head
 * @param {unknown[][]} rows
 * @param {{ right?: number[], least?: number[], continues?: boolean }} [layout] columns that are aligned to the right;
 * least widths, so that a table can be printed in parts; `continues`: a later part, without the head
 */
function table(head, rows, { right = [], least = [], continues = false } = {}) {
  const texts = rows.map((row) => row.map(String));
  const widths = head.map((name, column) =>
    Math.max(least[column] ?? 0, name.length, ...texts.map((row) => visible(row[column]).length)),
  );
  const line = (cells) => {
    const padded = cells.map((cell, column) => {
      const space = ' '.repeat(widths[column] - visible(cell).length);
      return right.includes(column) ? space + cell : cell + space;
    });
    return `   ${padded.join('  ').trimEnd()}`;
  };
  if (!continues) console.log(paint('dim', line(head)));
  for (const row of texts) console.log(line(row));
}

/** A bar of at most `width` places. @param {number} share 0 to 1 @param {number} width */
function bar(share, width) {
  return '█'.repeat(Math.max(1, Math.round(share * width)));
}

/** One of nine heights. @param {number} share 0 to 1 */
const level = (share) => (share === 0 ? ' ' : ' ▁▂▃▄▅▆▇█'.charAt(Math.ceil(share * 8)));

/** @param {number} value */
const grouped = (value) => Math.round(value).toLocaleString('en-GB').replaceAll(',', ' ');

module.exports = { bar, code, grouped, heading, level, note, paint, table, title };
