// Steps of a run: each is printed with its duration when it ends, with its output when it fails.
'use strict';

/** Collects what steps report; `failed` counts tests, and one for each failed step without tests. */
class Steps {
  passed = 0;
  failed = 0;
  #failures = [];
  #unsteady = [];

  /**
   * Runs one step.
   * @param {string} name
   * @param {() => Promise<{ code: number, output?: string, passed?: number, failed?: number, unsteady?: string[] }>} work
   * @returns {Promise<boolean>} whether it went well
   */
  async run(name, work) {
    const started = performance.now();
    let result;
    try {
      result = await work();
    } catch (error) {
      result = { code: 1, output: error.message };
    }
    const { code, output = '', passed = 0, failed = 0, unsteady = [] } = result;
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    const counts = passed + failed > 0 ? `  ${passed} passed, ${failed} failed` : '';
    this.passed += passed;
    this.#unsteady.push(...unsteady);
    this.failed += failed || (code === 0 ? 0 : 1);
    if (code === 0) {
      console.log(`✓ ${name}  ${seconds} s${counts}`);
      return true;
    }
    this.#failures.push(name);
    console.log(`✗ ${name}  ${seconds} s${counts}`);
    if (output) console.log(output.trim().replaceAll(/^/gm, '    '));
    return false;
  }

  /** Prints the closing lines: failed steps, files that passed only at their second run, the sum. @returns {number} the exit code */
  finish() {
    if (this.#failures.length > 0) console.log(`\nfailed: ${this.#failures.join(', ')}`);
    for (const file of this.#unsteady) console.log(`unsteady: ${file} passed only when run alone`);
    console.log(`\n${this.passed} passed, ${this.failed} failed`);
    return this.failed > 0 ? 1 : 0;
  }
}

module.exports = { Steps };
