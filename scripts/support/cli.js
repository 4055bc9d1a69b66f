// Command lines of the scripts: --help, named mistakes, exit codes.
'use strict';

const { parseArgs } = require('node:util');

/**
 * Parses this process's arguments, prints the help when asked, and runs `main`.
 * Exit codes: 0 done, 1 failed, 2 wrong usage.
 *
 * @param {string} help
 * @param {Record<string, object>} options as for `util.parseArgs`
 * @param {(values: any, positionals: string[]) => Promise<number | void> | number | void} main what is no option is refused
 *   unless it takes it: a forgotten `--file` must not run everything
 */
async function cli(help, options, main) {
  let parsed;
  try {
    const all = { ...options, help: { type: 'boolean' } };
    parsed = parseArgs({ options: all, allowPositionals: main.length > 1 });
  } catch (error) {
    console.error(`${error.message}\n\n${help.trim()}`);
    process.exitCode = 2;
    return;
  }
  if (parsed.values.help) {
    console.log(help.trim());
    return;
  }
  try {
    process.exitCode = (await main(parsed.values, parsed.positionals)) ?? 0;
  } catch (error) {
    console.error(error instanceof Failure ? error.message : error);
    process.exitCode = 1;
  }
}

/** An expected end: its message is all there is to say, no stack. */
class Failure extends Error {}

module.exports = { cli, Failure };
