// Columns of text for a terminal.
'use strict';

/** Whatever a server sent, a terminal gets no control characters. @param {unknown} cell */
function plain(cell) {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the ones that are taken out.
  return String(cell ?? '').replace(/[\u0000-\u001f\u007f-\u009f]/g, '?');
}

/**
 * @param {readonly string[]} head @param {readonly (readonly unknown[])[]} rows
 * @returns {string}
 */
function table(head, rows) {
  const lines = [head, ...rows].map((row) => row.map(plain));
  const widths = head.map((_, column) =>
    Math.max(...lines.map((line) => (line[column] ?? '').length)),
  );
  return lines
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

module.exports = { plain, table };
