// Log lines as JSON, and the keys whose values nobody may see.

const SECRET_KEYS = new Set(
  [
    'password passwd pass token accessToken refreshToken idToken authorization apiKey api_key x-api-key',
    'secret secretKey secret_key ssn creditCard cardNumber',
  ].flatMap((line) => line.toLowerCase().split(' ')),
);

const isSecret = (key: string) => SECRET_KEYS.has(key.toLowerCase());

/** A copy without secret keys at any depth. */
export function withoutSecrets(value: unknown): unknown {
  return copy(value, () => undefined);
}

/** A copy whose secret values are masked at any depth. */
export function masked(value: unknown): unknown {
  return copy(value, () => '***');
}

function copy(value: unknown, replace: () => unknown): unknown {
  if (Array.isArray(value)) return value.map((item) => copy(item, replace));
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([key, item]) => [
    key,
    isSecret(key) ? replace() : copy(item, replace),
  ]);
  return Object.fromEntries(entries);
}

type Level = 'info' | 'warn' | 'error';

/** Writes one line. Only what the caller names goes into it, never a whole error object. */
export function log(level: Level, message: string, details: Record<string, unknown> = {}): void {
  const line = { level, message, ...(masked(details) as object) };
  console[level](JSON.stringify(line));
}
