// Names of prepared statements that one client has given, each with its text.
'use strict';

/** @import { Query } from './query.js' */

class StatementNames {
  /** `isKnown` once the server has taken the text. @type {Map<string, { text: string, isKnown: boolean }>} */
  #named = new Map();

  /** @param {Query} asked @returns {string} */
  textOf({ name, text }) {
    if (name === undefined) return /** @type {string} */ (text);
    const known = this.#named.get(name);
    if (known === undefined) {
      if (text === undefined) throw new TypeError(`the statement "${name}" needs a text`);
      this.#named.set(name, { text, isKnown: false });
      return text;
    }
    if (text === undefined || text === known.text) return known.text;
    throw new Error(
      `Prepared statements must be unique - '${name}' was used for a different statement`,
    );
  }

  /** A name whose first text failed is free again. @param {Query} asked @param {boolean} isAnswered */
  remember({ name }, isAnswered) {
    const known = name === undefined ? undefined : this.#named.get(name);
    if (known === undefined || name === undefined) return;
    if (isAnswered) known.isKnown = true;
    else if (!known.isKnown) this.#named.delete(name);
  }
}

module.exports = { StatementNames };
