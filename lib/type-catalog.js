// What the types mean that users of a database made: looked up once per pool and type.
'use strict';

/** @import { TypeInfo } from '../types/rows.js' */

/** Types remembered; a database with more has its lookups repeated. */
const MAX_TYPES = 10_000;

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
         case when t.typtype operator(pg_catalog.=) 'c' then (
           select pg_catalog.jsonb_agg(pg_catalog.jsonb_build_array(a.attname, a.atttypid::pg_catalog.int8) order by a.attnum)
           from pg_catalog.pg_attribute a
           where a.attrelid operator(pg_catalog.=) t.typrelid and a.attnum operator(pg_catalog.>) 0 and not a.attisdropped
         ) end as attributes
  from wanted join pg_catalog.pg_type t on t.oid operator(pg_catalog.=) wanted.oid`;

class TypeCatalog {
  /** @type {Map<number, ReturnType<TypeInfo>>} */
  #known = new Map();
  #query;

  /** @param {(sql: string, params: unknown[]) => Promise<any[]>} query runs a statement with the lossless preset */
  constructor(query) {
    this.#query = query;
  }

  /** @param {readonly number[]} oids */
  knows(oids) {
    return oids.every((oid) => this.#known.has(oid));
  }

  /** @type {TypeInfo} */
  typeInfo = (oid) => this.#known.get(oid);

  /** @param {readonly number[]} oids */
  async lookUp(oids) {
    const wanted = oids.filter((oid) => !this.#known.has(oid));
    if (wanted.length === 0) return;
    const rows = await this.#query(LOOKUP, [wanted]);
    this.#remember(wanted, rows);
  }

  /** The same for somebody who blocks. @param {readonly number[]} wanted @param {(sql: string, params: unknown[]) => any[]} query */
  lookUpBlocking(wanted, query) {
    if (wanted.length > 0) this.#remember(wanted, query(LOOKUP, [wanted]));
  }

  /** @param {readonly number[]} wanted @param {any[]} rows */
  #remember(wanted, rows) {
    if (this.#known.size + rows.length > MAX_TYPES) this.#known.clear();
    // A type that was dropped meanwhile stays text.
    for (const oid of wanted) this.#known.set(oid, undefined);
    for (const { oid, array, base, delimiter, attributes } of rows) {
      if (array !== null) this.#known.set(oid, { array, delimiter });
      else if (base !== null) this.#known.set(oid, { base });
      else this.#known.set(oid, attributes === null ? undefined : { attributes });
    }
  }
}

module.exports = { TypeCatalog };
