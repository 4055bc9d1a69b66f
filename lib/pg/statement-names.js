// The names under which a client's program has statements prepared, and their texts.
'use strict';

/** Loaded for the first name. */
const utils = () => require('./utils.js');

class StatementNames {
  /** For queries that leave their text out. @type {Map<string, string>} */
  #texts = new Map();
  /** Names the server knows, as programs find them at `client.connection`: what they delete there is parsed anew. */
  parsed = /** @type {Record<string, string>} */ ({});
  /** Names that were put there. @type {Set<string>} */
  #everParsed = new Set();

  /** Has the program taken a name out of those that are parsed? It has deallocated it then. @param {string} name */
  isGivenUp(name) {
    if (!this.#everParsed.has(name) || this.parsed[name] !== undefined) return false;
    this.#everParsed.delete(name);
    this.#texts.delete(name);
    return true;
  }

  /**
   * @param {string} name @param {string | undefined} given
   * @throws {Error} of a name that has another text, or that no message can hold
   */
  textFor(name, given) {
    const known = this.#texts.get(name);
    if (known === undefined) utils().refuseUnsendable(String(name), 'the name of a statement');
    if (known && given && given !== known) {
      throw new Error(
        `Prepared statements must be unique - '${name}' was used for a different statement`,
      );
    }
    return given || known || '';
  }

  /** @param {string} name @param {string | undefined} text */
  sent(name, text) {
    if (text) this.#texts.set(name, text);
  }

  /** The server has it. @param {string} name @param {string | undefined} text */
  parse(name, text) {
    if (this.#everParsed.has(name)) return;
    this.#everParsed.add(name);
    this.parsed[name] = text ?? this.#texts.get(name) ?? '';
  }

  /** It failed, and may come with another text. @param {string} name */
  forget(name) {
    this.#texts.delete(name);
  }
}

module.exports = { StatementNames };
