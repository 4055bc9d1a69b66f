// What subscribers of the channels are given; never with the value of a parameter or a secret.
'use strict';

const { describeText } = require('../sql-text.js');

/** @import { About } from '../../types/internal.js' */
/** @import * as api from '../../types/tracing.js' */

const DEFAULT_PORT = 5432;
/** What a pool is known by, and what it does as well, across copies of this package. */
const KEY = Symbol.for('pg-berth.key');

/** Milliseconds since 1970, with fractions. */
const now = () => performance.timeOrigin + performance.now();

/** @typedef {{ host: string, port: number | undefined, address: string | undefined }} Place */

/** Every statement says where it runs, mostly where the last ones did. @type {Map<string, Place>} */
const places = new Map();
const MAX_PLACES = 64;

/** @param {string} text host and port, and behind a tab the address, if known @returns {Place} */
function placeOf(text) {
  const known = places.get(text);
  if (known !== undefined) return known;
  const [host = '', address] = text.split('\t');
  const place = { ...hostAndPort(host), address: address || undefined };
  if (places.size === MAX_PLACES) places.clear();
  places.set(text, place);
  return place;
}

/** @param {string} text `host:port`, `[v6]:port`, or the path of a socket @returns {{ host: string, port: number | undefined }} */
function hostAndPort(text) {
  const [, host = text, port] = /^(.*):(\d+)$/.exec(text) ?? [];
  const isBare = port !== undefined && !host.startsWith('/');
  return {
    host: isBare ? host.replace(/^\[(.*)\]$/, '$1') : text,
    port: isBare ? Number(port) : undefined,
  };
}

/** What all traces have. @implements {api.Trace} */
class Trace {
  #key;
  startTime = now();
  /** @type {number | undefined} */
  durationMs;
  /** @type {Error | undefined} */
  error;
  /** @type {string | undefined} */
  host;
  /** @type {number | undefined} */
  port;
  /** Address and port behind the host's name. @type {string | undefined} */
  address;

  /** @param {About | undefined} about */
  constructor(about) {
    this.#key = about?.key;
    this.face = about?.face ?? 'cluster';
    this.database = about?.database;
    this.user = about?.user;
    this.pool = about?.pool;
    if (about?.hosts?.length === 1) this.at(/** @type {string} */ (about.hosts[0]));
  }

  get [KEY]() {
    return this.#key;
  }

  /** @param {string} text host and port, and behind a tab the address, if known */
  at(text) {
    const { host, port, address } = placeOf(text);
    this.host = host;
    this.port = port;
    if (address !== undefined) this.address = address;
  }

  /** @param {unknown} [error] what ended it */
  end(error) {
    this.durationMs ??= Math.max(0, now() - this.startTime);
    if (error !== undefined) {
      this.error = error instanceof Error ? error : new Error(String(error));
    }
  }

  /** Under the names of OpenTelemetry's stable conventions for databases. @returns {api.Attributes} */
  get attributes() {
    /** @type {api.Attributes} */
    const attributes = { 'db.system.name': 'postgresql' };
    if (this.database !== undefined) attributes['db.namespace'] = this.database;
    if (this.host !== undefined) attributes['server.address'] = this.host;
    if (this.port !== undefined && this.port !== DEFAULT_PORT)
      attributes['server.port'] = this.port;
    if (this.address !== undefined) {
      const { host, port } = hostAndPort(this.address);
      attributes['network.peer.address'] = host;
      if (port !== undefined) attributes['network.peer.port'] = port;
    }
    return Object.assign(attributes, errorAttributes(this.error));
  }
}

/** @param {any} error @returns {api.Attributes} */
function errorAttributes(error) {
  if (error === undefined) return {};
  const { code, severity } = error;
  // Only what the server has said is its status.
  if (severity !== undefined && typeof code === 'string') {
    return { 'error.type': code, 'db.response.status_code': code };
  }
  return { 'error.type': typeof code === 'string' ? code : (error.name ?? 'Error') };
}

/** @implements {api.QueryTrace} */
class QueryTrace extends Trace {
  /** Not to be listed: it may hold values. */
  #sql;
  /** Called when it is over, before whoever waits for it. @type {((end: undefined) => void) | undefined} */
  #whenOver;
  /** @type {string | undefined} */
  command;
  /** @type {number | null} */
  rowCount = null;
  /** How long it waited for a connection of its pool. @type {number | undefined} */
  waitMs;
  /** @type {TransactionTrace | undefined} */
  transaction;

  /**
   * @param {About | undefined} about @param {string} sql @param {api.QueryTrace['kind']} kind
   * @param {number} parameterCount
   */
  constructor(about, sql, kind, parameterCount) {
    super(about);
    this.#sql = sql;
    this.kind = kind;
    this.parameterCount = parameterCount;
  }

  /** @param {QueryTrace} trace @param {(end: undefined) => void} whenOver */
  static tell(trace, whenOver) {
    trace.#whenOver = whenOver;
  }

  /** @param {QueryTrace} trace that is over */
  static told(trace) {
    trace.#whenOver?.(undefined);
  }

  /** As given. */
  get sql() {
    return this.#sql;
  }

  /** Operations and relations in a few words. */
  get summary() {
    return describeText(this.sql).summary;
  }

  /** The text; without its literals unless its values travelled as parameters. */
  get text() {
    return this.parameterCount > 0 ? this.sql : describeText(this.sql).text;
  }

  /** @override @returns {api.Attributes} */
  get attributes() {
    const { operation, summary } = describeText(this.sql);
    /** @type {api.Attributes} */
    const attributes = { ...super.attributes, 'db.query.text': this.text };
    if (operation !== '') attributes['db.operation.name'] = operation;
    if (summary !== '') attributes['db.query.summary'] = summary;
    return attributes;
  }
}

/** @implements {api.ConnectTrace} */
class ConnectTrace extends Trace {}

/** @implements {api.AcquireTrace} */
class AcquireTrace extends Trace {
  /** What it was for, when that is being traced. @type {QueryTrace | undefined} */
  query;
}

/** @implements {api.TransactionTrace} */
class TransactionTrace extends Trace {
  /** @type {api.TransactionTrace['outcome']} */
  outcome;

  /** @param {About | undefined} about @param {string} begin */
  constructor(about, begin) {
    super(about);
    this.begin = begin;
  }
}

/** @implements {api.FailoverTrace} */
class FailoverTrace extends Trace {
  /** @param {About | undefined} about @param {string} from @param {string} to */
  constructor(about, from, to) {
    super(about);
    this.from = from;
    this.to = to;
    this.at(to);
  }
}

/** @implements {api.LeaseTrace} */
class LeaseTrace extends Trace {
  /** @type {api.LeaseTrace['pass']} */
  pass;

  /** @param {About | undefined} about @param {api.LeaseTrace['action']} action */
  constructor(about, action) {
    super(about);
    this.action = action;
  }
}

module.exports = {
  AcquireTrace,
  ConnectTrace,
  FailoverTrace,
  LeaseTrace,
  QueryTrace,
  TransactionTrace,
  now,
};
