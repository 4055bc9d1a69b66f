// biome-ignore-all lint/suspicious/noExplicitAny: the program is written as programs for @types/pg are.
// A program that was written for @types/pg: its names and forms of call. tsc reads it with those types and with ours.

import { EventEmitter } from 'node:events';
import { readFileSync } from 'node:fs';
import { Readable, Writable } from 'node:stream';
import type { ConnectionOptions } from 'node:tls';
import * as whole from 'pg';
import {
  type BindConfig,
  Client,
  type ClientBase,
  type ClientConfig,
  type Connection,
  type ConnectionConfig,
  type CustomTypesConfig,
  DatabaseError,
  type Defaults,
  defaults,
  type Events,
  type ExecuteConfig,
  escapeIdentifier,
  escapeLiteral,
  type FieldDef,
  type MessageConfig,
  type Notification,
  native,
  Pool,
  type PoolClient,
  type PoolConfig,
  type PoolOptions,
  Query,
  type QueryArrayConfig,
  type QueryArrayResult,
  type QueryConfig,
  type QueryConfigValues,
  type QueryParse,
  type QueryResult,
  type QueryResultBase,
  type QueryResultRow,
  Result,
  type ResultBuilder,
  type Submittable,
  type TransactionStatus,
  TypeOverrides,
  types,
} from 'pg';

interface User {
  id: number;
  name: string;
}

const raw: CustomTypesConfig = {
  getTypeParser: (oid: number, format?: string) => (text: string) => `${oid} ${format} ${text}`,
};

const asJson: CustomTypesConfig = {
  getTypeParser: () => JSON.parse,
};

const config: ClientConfig = {
  user: 'u',
  database: 'd',
  password: async () => 'secret',
  port: 5432,
  host: 'localhost',
  connectionString: 'postgres://localhost/d',
  keepAlive: true,
  keepAliveInitialDelayMillis: 1000,
  statement_timeout: false,
  query_timeout: 1000,
  lock_timeout: 1000,
  idle_in_transaction_session_timeout: 1000,
  connectionTimeoutMillis: 1000,
  ssl: { ca: readFileSync('ca.pem'), cert: 'PEM', key: ['PEM'], rejectUnauthorized: true },
  enableChannelBinding: true,
  sslnegotiation: 'direct',
  application_name: 'app',
  fallback_application_name: 'app',
  types: raw,
  options: '-c search_path=app',
  client_encoding: 'UTF8',
  pipeline: false,
};

const tls: ConnectionOptions = { rejectUnauthorized: false };
const encrypted: ConnectionConfig = { ...config, ssl: tls, password: 'x' };

const poolConfig: PoolConfig = {
  ...encrypted,
  max: 5,
  min: 0,
  idleTimeoutMillis: null,
  maxUses: 100,
  maxLifetimeSeconds: 60,
  allowExitOnIdle: true,
  log: (...messages) => messages.length,
  Promise,
  Client,
  onConnect: (client) => void client.query('select 1'),
  verify: (client, done) => client.query('select 1', (error) => done(error)),
};

/** As programs take the options of a pool apart. */
export function optionsOf({ options }: Pool): PoolOptions {
  const { max, maxUses, allowExitOnIdle, maxLifetimeSeconds, idleTimeoutMillis, host } = options;
  const copy: PoolOptions = {
    max: max + 1,
    maxUses: maxUses * 2,
    allowExitOnIdle: !allowExitOnIdle,
    maxLifetimeSeconds,
    idleTimeoutMillis,
    host,
  };
  new Pool(copy);
  return { ...options, ...copy };
}

class Repository<R extends QueryResultRow> {
  readonly #db: Pool | ClientBase;

  constructor(db: Pool | ClientBase) {
    this.#db = db;
  }

  find<I extends any[]>(text: string, values?: QueryConfigValues<I>): Promise<QueryResult<R>> {
    return this.#db.query<R, I>(text, values);
  }
}

/** Every form of `query`. */
export async function queries(client: ClientBase, pool: Pool): Promise<QueryResultBase> {
  const named: QueryConfig<[number]> = { name: 'n', text: 'select $1', values: [1], types: raw };
  const arrays: QueryArrayConfig<[number]> = {
    text: 'select $1',
    rowMode: 'array',
    values: [1],
    types: asJson,
  };
  for (const db of [client, pool]) {
    const { rows } = await db.query<User>('select 1');
    rows[0]?.name.trim();
    await db.query<User, [number]>('select $1', [1]);
    await db.query<User, [number]>(named);
    await db.query<User>({ text: 'select $1' }, [1]);
    const inArrays: QueryArrayResult<[number]> = await db.query<[number]>(arrays);
    inArrays.rows[0]?.[0].toFixed();
    await db.query<[number], [number]>(arrays, [1]);
    db.query(arrays, (error: Error, result: QueryArrayResult<[number]>) => [error, result]);
    db.query<User>('select 1', (error, result) => error.message + result.rows[0]?.name);
    db.query<User>(named, (_error, result: QueryResult<User>) => result.rowCount?.toFixed());
    db.query<User, [number]>('select $1', [1], (_error, { rows: [row] }) => row?.id);
  }
  const { rows } = await client.query('select 1');
  for (const row of rows) row.anything.at.all();
  await new Repository<User>(client).find<[number]>('select $1', [1]);
  const fields: FieldDef[] = (await new Repository<User>(pool).find('select 1')).fields;
  const [{ name, tableID, columnID, dataTypeID, dataTypeSize, dataTypeModifier, format }] =
    fields as [FieldDef];
  return {
    command: `${name} ${format}`,
    rowCount: tableID + columnID,
    oid: dataTypeID + dataTypeSize + dataTypeModifier,
    fields,
  };
}

/** A client from its first call to its last. */
export async function lifeOfClient(): Promise<TransactionStatus> {
  new Client();
  new Client('postgres://localhost');
  const client = new Client(config);
  client.on('connect', () => {});
  client.on('drain', () => client.end());
  client.on('end', () => {});
  client.on('error', (error: Error) => error.stack);
  client.on('notice', (notice) => `${notice.severity} ${notice.message} ${notice.length}`);
  client.on('notification', ({ channel, payload, processId }: Notification) =>
    [channel, payload?.trim(), processId.toFixed()].join(),
  );
  client.once('error', (error) => error.message);
  client.removeAllListeners('error');
  client.connect((error: Error) => error?.message);
  const connected: ClientBase = await client.connect();
  connected.setTypeParser(types.builtins.INT8, (text) => BigInt(text));
  connected.setTypeParser(20, 'text', Number);
  connected.getTypeParser(20, 'text')('1');
  connected.escapeIdentifier('a') + connected.escapeLiteral('b');
  const from: Writable = connected.copyFrom('copy t from stdin');
  const to: Readable = connected.copyTo('copy t to stdout');
  to.pipe(from);
  const { user, database, port, host, password, pipeline, connection } = client;
  const seen: [string | undefined, number, string, boolean] = [user, port, host, pipeline];
  const told: EventEmitter = connection;
  connection.stream.on('close', () => [seen, database, password, told]);
  client.end((error) => error.message);
  client.end((error?: Error) => error?.message);
  client.end(() => {});
  await client.end();
  return client.getTransactionStatus();
}

/** A pool from its first call to its last. */
export async function lifeOfPool(): Promise<number> {
  new Pool();
  const pool = new Pool(poolConfig);
  pool.on('error', (error: Error, client: PoolClient) => client.release(error));
  pool.on('connect', (client) => void client.query('set search_path to app'));
  pool.on('acquire', (client: PoolClient) => client.getTransactionStatus());
  pool.on('remove', (client) => client.removeAllListeners());
  pool.on('release', (error, client) => [error?.message, client.port]);
  pool.connect((error, client, done) => {
    if (error || !client) return done(error);
    client.query('select 1', (failure) => done(failure));
  });
  pool.connect((_error, _client, done) => done());
  const client: PoolClient = await pool.connect();
  try {
    await client.query('begin');
    await queries(client, pool);
  } catch (error) {
    client.release(true);
    if (error instanceof DatabaseError) tell(error);
    throw error;
  }
  client.release();
  client.release(new Error('broken'));
  pool.end(() => {});
  await pool.end();
  if (pool.ending && pool.ended) return pool.expiredCount;
  return pool.totalCount + pool.idleCount + pool.waitingCount;
}

/** All that an error of the server has. */
function tell(error: DatabaseError): (string | undefined)[] {
  const { code, constraint, detail, hint, schema, severity, table, column, where } = error;
  const { position, internalPosition, internalQuery, dataType, file, line, routine } = error;
  const described = [code, constraint, detail, hint, schema, severity, table, column, where];
  const place = [position, internalPosition, internalQuery, dataType, file, line, routine];
  return [...described, ...place, error.name, error.message, error.length.toFixed()];
}

/** Queries that tell of their rows by events. */
export function events(client: Client): Query {
  new Query<User>('select 1', (error, result) => error?.message ?? result.rows[0]?.name);
  new Query<User, [number]>('select $1', [1], (_error, result) =>
    result.addRow(result.rows[0] as User),
  );
  const query = new Query<User, [number]>({ text: 'select $1', values: [1] }, [1]);
  query.on('row', (row: User, result) => result?.addRow(row));
  query.on('error', (error: Error) => error.message);
  query.on('end', (result: ResultBuilder<User>) => result.rowCount);
  const same: Query<User, [number]> = client.query(query);
  return same;
}

/** As pg-cursor, pg-query-stream and pg-copy-streams declare themselves. */
declare class Cursor<R extends QueryResultRow = any> extends EventEmitter implements Submittable {
  constructor(text: string, values?: any[] | null, config?: { types?: CustomTypesConfig });
  read(rows: number): Promise<R[]>;
  submit: (connection: Connection) => void;
}
declare class QueryStream extends Readable implements Submittable {
  cursor: unknown;
  submit: (connection: Connection) => void;
}
declare class CopyStreamQuery extends Writable implements Submittable {
  rowCount: number;
  handleCopyInResponse(connection: Connection): void;
  submit(connection: Connection): void;
}

export async function streams(client: ClientBase, pool: Pool): Promise<number> {
  const cursor: Cursor<User> = client.query(new Cursor<User>('select 1', [], { types }));
  const [user] = await cursor.read(1);
  for await (const row of pool.query(new QueryStream())) row.name.trim();
  const copy = client.query(new CopyStreamQuery());
  copy.end('1\n');
  return copy.rowCount + (user?.id ?? 0);
}

/** Parsers, defaults and what else the module has. */
export function others(): unknown[] {
  types.setTypeParser(20, Number);
  types.setTypeParser(types.builtins.DATE, 'text', (text) => text);
  const parse = types.getTypeParser(types.builtins.TIMESTAMPTZ, 'text');
  const overrides = new TypeOverrides(types);
  new TypeOverrides().setTypeParser(types.builtins.NUMERIC, 'text', Number.parseFloat);
  overrides.setTypeParser(types.builtins.BYTEA, 'binary', (bytes) => bytes.length);
  new Client({ types: overrides });
  new Client({ types });

  defaults.parseInt8 = true;
  defaults.ssl = true;
  defaults.poolSize = 5;
  const { user, host, binary, parseInputDatesAsUTC }: Defaults = defaults;

  const result: QueryResult<User> = new Result<User>('array', types);

  const parsed: QueryParse = { name: 'n', text: 'select 1', types: [] };
  const bound: BindConfig = { portal: '', statement: 'n', values: [Buffer.of(1), null, 'x'] };
  const executed: ExecuteConfig = { portal: '', rows: '1' };
  const described: MessageConfig = { type: 'P', name: 'n' };
  const emitter = new EventEmitter() as Events;
  emitter.on('error', (error, client) => [error.message, client.host]);

  const fastest = native ?? whole;
  new fastest.Pool();
  const made: whole.Pool = new whole.Pool({} as whole.PoolConfig);
  return [
    parse('x'),
    user,
    host,
    binary,
    parseInputDatesAsUTC,
    parsed,
    bound,
    executed,
    described,
  ].concat([made, result, escapeIdentifier('a'), escapeLiteral('b')]);
}
