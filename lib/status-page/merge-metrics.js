// Several texts in Prometheus' format as one: each family once, with the samples of all.
'use strict';

/** @param {readonly string[]} texts @returns {string} */
function mergeMetrics(texts) {
  /** @type {Map<string, { head: string[], samples: string[] }>} */
  const families = new Map();
  for (const text of texts) {
    /** @type {{ head: string[], samples: string[] } | undefined} */
    let family;
    for (const line of text.split('\n')) {
      const [, name] = /^# (?:HELP|TYPE) (\S+)/.exec(line) ?? [];
      if (name !== undefined) {
        family = families.get(name) ?? { head: [], samples: [] };
        families.set(name, family);
        if (!family.head.includes(line)) family.head.push(line);
      } else if (line !== '') {
        family?.samples.push(line);
      }
    }
  }
  const lines = [...families.values()].flatMap(({ head, samples }) => [...head, ...samples]);
  return lines.length === 0 ? '' : `${lines.join('\n')}\n`;
}

module.exports = { mergeMetrics };
