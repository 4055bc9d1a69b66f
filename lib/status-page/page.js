// The status page: one document with its style and its script in it, and nothing from outside.
'use strict';

const { createHash } = require('node:crypto');
const { browser } = require('./browser.js');
const { STYLE } = require('./style.js');

const SCRIPT = `(${browser})();`;

/** @param {string} text */
const hashOf = (text) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;

/** Nothing runs but what is written here, whatever a name on the page may be. */
const POLICY = [
  "default-src 'none'",
  "connect-src 'self'",
  `script-src ${hashOf(SCRIPT)}`,
  `style-src ${hashOf(STYLE)}`,
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** @param {string} text */
function escaped(text) {
  const names = /** @type {Record<string, string>} */ ({
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
    '"': '&quot;',
  });
  return text.replace(/[&<>"]/g, (character) => names[character] ?? '');
}

/** @param {string} title */
function page(title) {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escaped(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<header><h1>${escaped(title)}</h1><span id="status" class="pill" role="status">starting</span><span id="stale" hidden>no news from the process</span></header>
<main id="pools"></main>
<section id="more"></section>
<noscript>The charts need JavaScript. <a href="health">Health</a> and <a href="metrics">metrics</a> do not.</noscript>
<footer><a href="health">health</a> · <a href="metrics">metrics</a></footer>
<script>${SCRIPT}</script>
</body>
</html>
`;
}

module.exports = { POLICY, page };
