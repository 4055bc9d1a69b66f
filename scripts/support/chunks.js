// Joins the modules that a start needs at once: of the package as it is published three files are read instead of thirty.
//
// Reading, resolving and compiling a file of its own takes Node 0.3 to 0.5 ms, of which a process pays one after the other
// before its first row. A chunk holds modules as functions, each run when it is first required, once. At the path of each
// module stays a file that asks the chunk for it, so there is one instance of it, whoever requires it, and in every runtime.
// A checkout has no chunks: they are made of lib/ whenever a package is, and cannot be older than it.
'use strict';

const fs = require('node:fs');
const path = require('node:path');

/**
 * Chunks, from the lowest up: what is in one requires what is in those before by their files. What is not needed by the first
 * statement of a pool stays a file (test/integration/start-chunks.test.js).
 */
const CHUNKS = Object.freeze({
  // What the modules for any runtime use too: nothing of Node, nothing native.
  'start-any': ['lazy', 'option-rules'],
  // createPool, up to the first connection being opened
  'start-pool': [
    'native',
    'environment',
    'handles',
    'login-options',
    'query-hooks',
    'options',
    'pool',
  ],
  // the first statement: read while the server answers
  'start-statement': [
    'hearers',
    'operations',
    'statements',
    'rows/scalars',
    'rows/prepare',
    'rows/params',
    'rows/frame-view',
    'mailbox',
    'tracing/channels',
    'pool-events',
    'decoders',
    'answer',
    'rows/types',
    'request',
    'queryable',
    'type-catalog',
    'single',
    'pool-parts',
    'rows/code-generation',
    'rows/kinds',
    'rows/cursor',
    'rows/readers',
    'rows/plain',
    'rows/decoder',
  ],
});

/** Which chunk a module is in. */
const HOME = new Map(
  Object.entries(CHUNKS).flatMap(([chunk, ids]) => ids.map((id) => [id, chunk])),
);

/** How a module of a chunk asks for another one of it; no module may use the name. */
const OWN = 'requireOwn';

/**
 * The text without the comments and the empty lines that fill lines of their own: they are half of it, and V8 reads every byte twice.
 * A text in which something else goes over several lines, such as a template, stays as it is: such lines may be part of it.
 * @param {string} text
 */
function withoutComments(text) {
  const kept = [];
  let isInside = false;
  for (const line of text.split('\n')) {
    const words = line.trim();
    if (isInside) {
      isInside = !words.endsWith('*/');
      if (words.includes('*/') && isInside) return text;
    } else if (words.startsWith('/*') && !words.includes('*/')) {
      isInside = true;
    } else if (!isComment(words) && words !== '') {
      if (goesOn(words)) return text;
      kept.push(line);
    }
  }
  return kept.join('\n');
}

/** May what begins in a line of code, a template, a string or a comment, end in another line? @param {string} words */
function goesOn(words) {
  const isOpen = words.lastIndexOf('/*') > words.lastIndexOf('*/');
  return isOpen || words.endsWith('\\') || (words.split('`').length - 1) % 2 === 1;
}

/** Is it a comment from its first word to its last? @param {string} words */
function isComment(words) {
  if (words.startsWith('//')) return true;
  return words.startsWith('/*') && words.indexOf('*/') === words.length - 2;
}

/**
 * Its `require` of files as the place where it will stand has them.
 * @param {string} text @param {string} id its own name @param {string} [chunk] where it will stand; by default it stays a file
 */
function redirected(text, id, chunk) {
  const from = path.posix.dirname(id);
  return text.replaceAll(/\brequire\('(\.[^']*)\.js(on)?'\)/g, (_, target, json = '') => {
    const wanted = path.posix.join(from, target);
    const home = json ? undefined : HOME.get(wanted);
    if (home !== undefined && home === chunk) return `${OWN}('${wanted}')`;
    const up = chunk === undefined ? from : '.';
    const place = path.posix.relative(up, home ?? wanted);
    const file = place.startsWith('.') ? place : `./${place}`;
    return home === undefined
      ? `require('${file}.js${json}')`
      : `require('${file}.js')('${wanted}')`;
  });
}

/** @param {string} lib @param {string} id */
const textOf = (lib, id) => fs.readFileSync(path.join(lib, `${id}.js`), 'utf8');

/** One module as a member of a chunk's table. @param {string} lib @param {string} id @param {string} chunk */
function member(lib, id, chunk) {
  const text = textOf(lib, id);
  // In a chunk these mean its own file: the same thing for a module beside it, and another for all others.
  const isElsewhere = id.includes('/') && /\b__(dirname|filename)\b/.test(text);
  const isUnknown = /\brequire\((?!'(node:|\.))|\bimport\.meta\b/.test(text);
  if (text.includes(OWN) || isElsewhere || isUnknown) {
    throw new Error(`lib/${id}.js cannot be part of a chunk`);
  }
  const body = redirected(withoutComments(text), id, chunk);
  return `  '${id}': function (module, exports) {\n${body}\n  },\n`;
}

/** @param {string} lib @param {string} chunk @param {readonly string[]} ids */
function chunkText(lib, chunk, ids) {
  return `// Made when the package was packed: modules that a start needs at once, in one file.
'use strict';

const host = module;
const modules = {
${ids.map((id) => member(lib, id, chunk)).join('')}};
const made = new Map();

function ${OWN}(id) {
  const known = made.get(id);
  if (known !== undefined) return known.exports;
  const own = { __proto__: host, exports: {} };
  made.set(id, own);
  let isWhole = false;
  try {
    modules[id](own, own.exports);
    isWhole = true;
  } finally {
    // As Node does: what failed is tried again by the next one who asks.
    if (!isWhole) made.delete(id);
  }
  return own.exports;
}

module.exports = ${OWN};
`;
}

/** What stays at the path of a module. @param {string} id @param {string} chunk */
function stubText(id, chunk) {
  const file = path.posix.relative(path.posix.dirname(id), chunk);
  const place = file.startsWith('.') ? file : `./${file}`;
  return `// In ${chunk}.js, with others that a start needs at once.\n'use strict';\n\nmodule.exports = require('${place}.js')('${id}');\n`;
}

/**
 * Makes the chunks in a copy of lib/.
 * @param {string} lib
 */
function writeChunks(lib) {
  const texts = Object.entries(CHUNKS).map(([chunk, ids]) => [chunk, chunkText(lib, chunk, ids)]);
  // What every start reads first spares itself the detour.
  const index = redirected(textOf(lib, 'index'), 'index');
  for (const [id, chunk] of HOME) fs.writeFileSync(path.join(lib, `${id}.js`), stubText(id, chunk));
  for (const [chunk, text] of texts) fs.writeFileSync(path.join(lib, `${chunk}.js`), text);
  fs.writeFileSync(path.join(lib, 'index.js'), index);
}

module.exports = { CHUNKS, withoutComments, writeChunks };
