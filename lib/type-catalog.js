// What the types mean that users of a database made: looked up once per pool and type, composites again when they are old.
'use strict';

/** @import { Target } from '../types/internal.js' */
/** @import { TypeInfo } from '../types/rows.js' */

/** Types remembered; a database with more has its lookups repeated. */
const MAX_TYPES = 10_000;

/**
 * A composite may be altered at any time and the server tells nobody. A changed number of attributes shows in the next
 * value and a statement of this pool that alters types in its tag; what neither shows, such as an attribute renamed by
 * somebody else, is noticed after this time.
 */
const COMPOSITE_LIFE_MS = 60_000;

/** Types may contain types; deeper than this is taken for a cycle (rule W07). */
const MAX_DEPTH = 64;

/** Statements with these first words may change what a type means. */
const ALTERING = new Set(['ALTER', 'CREATE', 'DROP']);

/**
 * Every type a set of types is made of, over any number of steps: elements of arrays, bases of domains, attributes of
 * composites.
 */
const LOOKUP = `
  with recursive wanted(oid) as (
    select pg_catalog.unnest($1::pg_catalog.oid[])
    union
    select part.oid
    from wanted
    join pg_catalog.pg_type t on t.oid operator(pg_catalog.=) wanted.oid
    cross join lateral (
      select case when t.typcategory operator(pg_catalog.=) 'A' then t.typelem
                  when t.typtype operator(pg_catalog.=) 'd' then t.typbasetype end
      union all
      select a.atttypid from pg_catalog.pg_attribute a
      where a.attrelid operator(pg_catalog.=) t.typrelid and t.typtype operator(pg_catalog.=) 'c'
        and a.attnum operator(pg_catalog.>) 0 and not a.attisdropped
    ) part(oid)
    where part.oid operator(pg_catalog.>=) 16384
  )
  select t.oid,
         case when t.typcategory operator(pg_catalog.=) 'A' then t.typelem end as "array",
         case when t.typtype operator(pg_catalog.=) 'd' then t.typbasetype end as base,
         t.typdelim::pg_catalog.text as delimiter,
         case when t.typtype operator(pg_catalog.=) 'c' then coalesce((
           select pg_catalog.jsonb_agg(pg_catalog.jsonb_build_array(a.attname, a.atttypid::pg_catalog.int8) order by a.attnum)
           from pg_catalog.pg_attribute a
           where a.attrelid operator(pg_catalog.=) t.typrelid and a.attnum operator(pg_catalog.>) 0 and not a.attisdropped
         ), '[]') end as attributes
  from wanted join pg_catalog.pg_type t on t.oid operator(pg_catalog.=) wanted.oid`;

/**
 * Where a lookup runs: in the session that its result comes from, asked as that was, and within its limits.
 * @typedef {{ session: Target | undefined, flags: number, limits: { timeoutMs?: number, signal?: AbortSignal } }} Within
 */
/** @typedef {{ info: ReturnType<TypeInfo>, since: number }} Known */

class TypeCatalog {
  /** @type {Map<number, Known>} */
  #known = new Map();
  #epoch = 0;
  #query;

  /**
   * @param {(sql: string, params: unknown[], session: Target | undefined, limits?: Within['limits'], flags?: number) => Promise<any[]>} query
   *   runs a statement with the lossless preset, inside the transaction of the session if there is one: what was made there
   *   is seen nowhere else
   */
  constructor(query) {
    this.#query = query;
  }

  /** @param {readonly number[]} oids */
  knows(oids) {
    return oids.every((oid) => this.#known.has(oid));
  }

  /** @type {TypeInfo} */
  typeInfo = (oid) => this.#known.get(oid)?.info;

  /** @param {readonly number[]} oids @param {Within} within */
  async lookUp(oids, { session, flags, limits }) {
    const wanted = oids.filter((oid) => !this.#known.has(oid));
    if (wanted.length === 0) return;
    const rows = await this.#query(LOOKUP, [wanted], session, limits, flags);
    this.#remember(wanted, rows);
  }

  /** The same for somebody who blocks. @param {readonly number[]} wanted @param {(sql: string, params: unknown[]) => any[]} query */
  lookUpBlocking(wanted, query) {
    if (wanted.length > 0) this.#remember(wanted, query(LOOKUP, [wanted]));
  }

  /**
   * Until when what is known about types holds; `Infinity` when nothing can change it.
   * @param {readonly number[]} oids
   * @returns {number}
   */
  freshUntil(oids, depth = 0) {
    let until = Number.POSITIVE_INFINITY;
    for (const oid of oids) {
      const known = this.#known.get(oid);
      if (known?.info === undefined || depth > MAX_DEPTH) continue;
      const { array, base, attributes } = known.info;
      const part = array ?? base;
      const parts = part === undefined ? (attributes ?? []).map(([, type]) => type) : [part];
      if (attributes !== undefined) until = Math.min(until, known.since + COMPOSITE_LIFE_MS);
      until = Math.min(until, this.freshUntil(parts, depth + 1));
    }
    return until;
  }

  /**
   * Changes whenever something was forgotten; forgets when that time is over.
   * @param {number} freshUntil
   */
  epochAt(freshUntil) {
    if (performance.now() > freshUntil) this.forget();
    return this.#epoch;
  }

  /** A statement was carried out: does it change what is known here? @param {string} command */
  forgetAfter(command) {
    if (this.#known.size > 0 && ALTERING.has(command)) this.forget();
  }

  /** Everything is looked up again when it is needed next. */
  forget() {
    this.#known.clear();
    this.#epoch++;
  }

  /** @param {readonly number[]} wanted @param {any[]} rows */
  #remember(wanted, rows) {
    if (this.#known.size + rows.length > MAX_TYPES) this.forget();
    const since = performance.now();
    // A type that was dropped meanwhile stays text.
    for (const oid of wanted) this.#known.set(oid, { info: undefined, since });
    for (const row of rows) this.#known.set(row.oid, { info: infoOf(row), since });
  }
}

/** @param {any} row @returns {ReturnType<TypeInfo>} */
function infoOf({ array, base, delimiter, attributes }) {
  if (array !== null) return { array, delimiter };
  if (base !== null) return { base };
  return attributes === null ? undefined : { attributes };
}

module.exports = { TypeCatalog };
