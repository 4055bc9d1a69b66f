// Compares the security rules with the tests that carry their numbers, and with the lines that excuse a missing one.
'use strict';

/** Numbers in the first cells of a page's tables. @param {string} page @returns {string[]} */
const numbersOf = (page) => [...page.matchAll(/^\| ([A-Z]\d\d) \|/gm)].map(([, rule = '']) => rule);

/** Numbers that names of tests carry, as `W03`. @param {string} source @returns {string[]} */
function testedIn(source) {
  const names = source.matchAll(/\bfn (sec_[a-z]\d\d)_|['"`]([^'"`\n]*\bsec_[a-z]\d\d[^\n]*)/g);
  return [...names]
    .flatMap(([, inRust, inJs = '']) => (inRust ? [inRust] : (inJs.match(/sec_[a-z]\d\d/g) ?? [])))
    .map((name) => name.slice(4).toUpperCase());
}

/**
 * @param {{ rules: string, excuses: string, sources: string[] }} pages Markdown of the rules and of the excuses, and
 * everything that may hold tests
 * @returns {{ complaints: string[], rules: number, tested: number }}
 */
function compareRules({ rules, excuses, sources }) {
  const numbers = numbersOf(rules);
  const excused = new Set(numbersOf(excuses));
  const tested = new Set(sources.flatMap(testedIn));
  const known = new Set(numbers);
  const complaints = [
    ...numbers
      .filter((rule) => !tested.has(rule) && !excused.has(rule))
      .map(
        (rule) =>
          `${rule}: no test carries sec_${rule.toLowerCase()}, and SECURITY.md does not say why`,
      ),
    ...numbers
      .filter((rule) => tested.has(rule) && excused.has(rule))
      .map((rule) => `${rule}: has tests, but SECURITY.md says that it has none`),
    ...[...tested, ...excused]
      .filter((rule) => !known.has(rule))
      .map((rule) => `${rule}: docs/security-rules.md has no such rule`),
    ...numbers
      .filter((rule, index) => numbers.indexOf(rule) !== index)
      .map((rule) => `${rule}: listed twice`),
  ];
  return {
    complaints,
    rules: known.size,
    tested: numbers.filter((rule) => tested.has(rule)).length,
  };
}

module.exports = { compareRules };
