// The database: one leased connection per container, outside the handler, with credentials that may be rotated.

import { readFileSync } from 'node:fs';
import {
  ConnectError,
  PgError,
  ServerlessClient,
  type ServerlessConfig,
  type ServerlessResult,
} from 'pg-berth';
import { CredentialsError } from './errors.js';
import { log } from './log.js';
import { type Credentials, credentials, replacementFor } from './secrets.js';

interface Database {
  client: ServerlessClient;
  credentials: Credentials;
}

/** For a connection, its further attempts included: whoever waits for the answer gets a 503 while he still waits. */
const CONNECT_MS = 2000;
const QUERY_MS = 5000;
/** Bytes of a secret that leases are signed with. */
const LEAST_SECRET = 16;
/** A connection that was not used for longer is asked whether it is alive: the container may have been frozen. */
const TRUSTED_MS = 30_000;

let current: Database | undefined;
let opening: Promise<Database> | undefined;
let usedAt = 0;

/** @throws whatever the database or Secrets Manager says; `toHttpError` knows what it means */
export async function query<Row>(text: string, values: unknown[] = []): Promise<Row[]> {
  const database = await opened();
  try {
    return await run<Row>(database, text, values);
  } catch (error) {
    if (!isRefused(error)) throw error;
    log('warn', 'The database refused the credentials', { code: error.code });
    return await run<Row>(await replaced(database), text, values);
  }
}

/**
 * A statement that changes nothing: when its connection is lost under it, it is sent once more.
 * @throws as `query`
 */
export async function read<Row>(text: string, values: unknown[] = []): Promise<Row[]> {
  try {
    return await query<Row>(text, values);
  } catch (error) {
    if (error instanceof PgError && error.outcomeUnknown) return await query<Row>(text, values);
    throw error;
  }
}

/** Closes what is open; the next query opens anew. */
export async function close(): Promise<void> {
  const database = current;
  current = undefined;
  await database?.client.end();
}

async function run<Row>({ client }: Database, text: string, values: unknown[]): Promise<Row[]> {
  const wasOpen = client.getClient() !== null;
  if (wasOpen && Date.now() - usedAt > TRUSTED_MS) {
    const alive = { text: 'SELECT 1', query_timeout: CONNECT_MS };
    await client.query(alive).catch(() => client.clean());
  }
  let result: ServerlessResult<Row>;
  try {
    result = await client.query<Row>(text, values);
  } catch (error) {
    // The connection ended while nobody used it: certainly nothing was done, and a new one may serve. If it can be had.
    const isUnsent = error instanceof PgError && error.safeToRetry;
    if (!wasOpen || !isUnsent || error instanceof ConnectError) throw error;
    result = await client.query<Row>(text, values);
  }
  usedAt = Date.now();
  return result.rows;
}

/** The login was refused, so certainly nothing was done. */
function isRefused(error: unknown): error is PgError {
  return error instanceof PgError && (error.code === '28P01' || error.code === '28000');
}

/** All requests share one attempt to find out where the database is. */
function opened(): Promise<Database> {
  opening ??= credentials()
    .then((found) => open(found))
    .finally(() => {
      opening = undefined;
    });
  return opening;
}

/** The database after these credentials were refused; another request may have found the new ones already. */
async function replaced(refused: Database): Promise<Database> {
  return open(await replacementFor(refused.credentials));
}

function open(found: Credentials): Database {
  if (current?.credentials.version === found.version) return current;
  const old = current;
  current = { client: new ServerlessClient(configOf(found)), credentials: found };
  // Says goodbye behind the statements that are under way; never rejects.
  old?.client.end();
  return current;
}

function configOf({ version: _, ssl, ...target }: Credentials): ServerlessConfig {
  const secret = process.env.COORD_SECRET;
  if (secret && Buffer.byteLength(secret) < LEAST_SECRET) {
    throw new CredentialsError(`COORD_SECRET has less than ${LEAST_SECRET} bytes`);
  }
  const leaseTtlMs = Number(process.env.DB_LEASE_TTL_MS);
  return {
    ...target,
    ssl: ssl && tlsOptions(),
    serviceName: process.env.AWS_LAMBDA_FUNCTION_NAME ?? 'users',
    connectionTimeoutMillis: CONNECT_MS,
    maxConnectRetryTimeMs: CONNECT_MS,
    maxQueryRetryTimeMs: CONNECT_MS,
    defaultQueryTimeoutMs: QUERY_MS,
    ...(secret ? { secret } : { leaseMode: 'optional' as const }),
    ...(leaseTtlMs >= 1 && { leaseTtlMs }),
  };
}

function tlsOptions() {
  if (process.env.DB_SSL_NO_VERIFY === '1') return { rejectUnauthorized: false };
  const bundle = process.env.PGSSLROOTCERT ?? process.env.NODE_EXTRA_CA_CERTS;
  return { rejectUnauthorized: true, ...(bundle && { ca: readFileSync(bundle, 'utf8') }) };
}
