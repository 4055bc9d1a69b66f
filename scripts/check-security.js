// Checks that every security rule has a test with its number, or a line that says why not.
'use strict';

const { cli } = require('./support/cli.js');
const { listFiles, readText } = require('./support/files.js');
const { compareRules } = require('./support/security-rules.js');

const HELP = `
Usage: node scripts/check-security.js

Compares docs/security-rules.md with the tests that carry the numbers of rules in their names
(sec_w03_… in native/src, 'sec_w03: …' in test/). Fails on a rule that has neither a test nor a line
under "Rules without a numbered test" in SECURITY.md, and on numbers that are no rule.

  --help   this text
`;

cli(HELP, {}, () => {
  const files = [...listFiles('test', ['.test.js', '.mjs']), ...listFiles('native/src', ['.rs'])];
  const [, excuses = ''] = readText('SECURITY.md').split('### Rules without a numbered test');
  const { complaints, rules, tested } = compareRules({
    rules: readText('docs/security-rules.md'),
    excuses,
    sources: files.map(readText),
  });
  for (const line of complaints) console.log(line);
  console.log(`${rules} rules, ${tested} with tests, ${complaints.length} complaints`);
  return complaints.length === 0 ? 0 : 1;
});
