// Database credentials from Secrets Manager: cached, fetched once at a time, fetched anew when they were rotated.

import { CredentialsError } from './errors.js';
import { log } from './log.js';

export interface Credentials {
  host: string;
  port: number;
  user: string;
  password: string;
  database: string;
  ssl: boolean;
  /** Which version of the secret this is. */
  version: string;
}

const DEFAULT_TTL_MS = 300_000;
/** After a fetch that gave nothing new the next one waits this long, then twice as long, and so on. */
const FIRST_WAIT_MS = 200;
const LONGEST_WAIT_MS = 30_000;

let cached: { credentials: Credentials; fetchedAt: number } | undefined;
let fetching: Promise<Credentials> | undefined;
let isStale = false;
let waitMs = 0;
let notBefore = 0;

/** Empty, or no number: the default, and not a fetch for every request. */
export function ttlMs(given = process.env.DB_SECRET_TTL_MS): number {
  const ms = given ? Number(given) : Number.NaN;
  return ms >= 0 ? ms : DEFAULT_TTL_MS;
}

/**
 * The credentials, at most `DB_SECRET_TTL_MS` old; older ones when there are no newer to be had.
 * @throws {CredentialsError} there are none
 */
export async function credentials(): Promise<Credentials> {
  if (cached === undefined) return fetchOnce();
  if (Date.now() - cached.fetchedAt < ttlMs()) return cached.credentials;
  const old = cached;
  try {
    const fresh = await fetchOnce();
    isStale = false;
    return fresh;
  } catch (error) {
    if (!isStale) log('warn', 'Using old credentials', { reason: (error as Error).message });
    isStale = true;
    old.fetchedAt = Date.now();
    return old.credentials;
  }
}

/**
 * Newer credentials after the server has refused these.
 * @throws {CredentialsError} there are none yet
 */
export async function replacementFor(refused: Credentials): Promise<Credentials> {
  if (cached !== undefined && cached.credentials.version !== refused.version) {
    return cached.credentials;
  }
  if (Date.now() < notBefore) throw new CredentialsError('The credentials were refused');
  const fresh = await fetchOnce();
  if (fresh.version !== refused.version) {
    waitMs = 0;
    return fresh;
  }
  waitMs = Math.min(Math.max(2 * waitMs, FIRST_WAIT_MS), LONGEST_WAIT_MS);
  notBefore = Date.now() + waitMs;
  throw new CredentialsError('The credentials were refused, and the secret has no newer version');
}

/** Whoever asks while a fetch is under way gets its result. */
function fetchOnce(): Promise<Credentials> {
  fetching ??= fetchSecret()
    .then((fresh) => {
      cached = { credentials: fresh, fetchedAt: Date.now() };
      return fresh;
    })
    .finally(() => {
      fetching = undefined;
    });
  return fetching;
}

async function fetchSecret(): Promise<Credentials> {
  const SecretId = process.env.DB_SECRET_ID;
  if (!SecretId) throw new CredentialsError('DB_SECRET_ID environment variable is not set');
  // Loading the SDK takes a few hundred milliseconds, which requests without database need not wait for.
  const { GetSecretValueCommand, SecretsManagerClient } = await import(
    '@aws-sdk/client-secrets-manager'
  );
  const manager = new SecretsManagerClient({ region: process.env.AWS_REGION ?? 'us-east-1' });
  try {
    const { SecretString, VersionId } = await manager.send(new GetSecretValueCommand({ SecretId }));
    return readSecret(SecretString, VersionId ?? '');
  } catch (error) {
    if (error instanceof CredentialsError) throw error;
    throw new CredentialsError(`Secrets Manager: ${(error as Error).name}`);
  } finally {
    manager.destroy();
  }
}

/** The names of RDS-managed secrets are understood too. Nothing of the text goes into an error. */
export function readSecret(text: string | undefined, version: string): Credentials {
  if (!text) throw new CredentialsError('The secret has no text');
  let secret: Record<string, unknown> | null;
  try {
    secret = JSON.parse(text);
  } catch {
    throw new CredentialsError('The secret is not JSON');
  }
  const { host, password, port = 5432, ssl = false } = secret ?? {};
  const user = secret?.user ?? secret?.username;
  const database = secret?.database ?? secret?.dbname;
  const texts = { host, user, password, database };
  for (const [name, value] of Object.entries(texts)) {
    // A server that trusts its clients has none.
    const isMissing = value === '' && name !== 'password';
    if (typeof value !== 'string' || isMissing) {
      throw new CredentialsError(`The secret has no ${name}`);
    }
    if (value.includes('\0')) throw new CredentialsError(`The ${name} of the secret holds U+0000`);
  }
  // What is refused here is not cached, so that the next request sees the secret that was mended.
  if (!/^\d{1,5}$/.test(String(port)) || Number(port) < 1 || Number(port) > 65_535) {
    throw new CredentialsError('The port of the secret is no integer from 1 to 65535');
  }
  const isOn = ssl === true || ssl === 'true';
  return {
    ...(texts as Record<keyof typeof texts, string>),
    port: Number(port),
    ssl: isOn,
    version,
  };
}
