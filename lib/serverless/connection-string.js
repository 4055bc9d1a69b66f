// The connection strings of the pg face for ServerlessClient: what it cannot obey is refused, by the parameter.
'use strict';

const { LATER, wrong } = require('../option-rules.js');
const { parse } = require('../pg/connection-string.js');

const OPTION = 'connectionString';

/** `pg` reads what has no scheme as a path on a host that is called base. */
const FORM = /^([a-z][a-z\d+.-]*:\/\/|socket:|\/)/i;

/** Parameters that are options. */
const KNOWN = new Set(
  [
    'user password host port database options application_name fallback_application_name client_encoding',
    'statement_timeout lock_timeout idle_in_transaction_session_timeout query_timeout',
    'connectionTimeoutMillis connect_timeout keepAlive keepAliveInitialDelayMillis',
    'ssl sslmode sslrootcert sslcert sslkey sslnegotiation uselibpqcompat',
  ].flatMap((names) => names.split(' ')),
);

/** Parameters that are known elsewhere, and so may be named without showing a piece of a password. */
const KNOWN_ELSEWHERE = new Set(
  [
    'channel_binding sslpassword sslcrl target_session_attrs replication service',
    'gssencmode require_auth load_balance_hosts passfile keepalives keepalives_idle binary pipeline max schema',
    'pgbouncer connection_limit pool_timeout socket_timeout sslaccept statement_cache_size',
  ].flatMap((names) => names.split(' ')),
);

/** Of `socket:`: what is read is under the names that all have. */
const SOCKETS = /^(db|encoding)$/;

/** Values of parameters that ask for what is done anyway. */
const HARMLESS = /** @type {Record<string, string>} */ ({
  channel_binding: 'prefer',
  gssencmode: 'disable',
  target_session_attrs: 'any',
});

const SSLMODES = ['disable', 'prefer', 'require', 'verify-ca', 'verify-full', 'no-verify'];

/**
 * @param {string} text a URL of any scheme, or `/folder` or `/folder database` for a Unix socket
 * @returns {Record<string, any>} without empty parts
 * @throws {TypeError} which shows nothing of the text
 */
function parseConnectionString(text) {
  const isSocket = /^socket:/i.test(text);
  const parts = Object.entries(parsed(text)).filter(([name, value]) => {
    const isRead = isSocket && SOCKETS.test(name);
    return !isRead && value !== '' && value !== null && value !== undefined;
  });
  for (const [name, value] of parts) check(name, value);
  const { ssl, sslmode, sslnegotiation, ...rest } = Object.fromEntries(parts);
  if (sslmode !== undefined && !SSLMODES.includes(sslmode)) {
    throw wrong(OPTION, `must have an sslmode of ${SSLMODES.join(', ')}`);
  }
  if (!['postgres', 'direct', undefined].includes(sslnegotiation)) {
    throw wrong(OPTION, 'must have an sslnegotiation of postgres or direct');
  }
  // `pg` takes the word "false" for true.
  const asked = ssl === 'false' ? false : ssl;
  if (sslnegotiation === 'direct' && !asked) {
    throw wrong(OPTION, 'asks for sslnegotiation=direct without TLS');
  }
  return { ...rest, ...(asked === undefined ? {} : { ssl: asked }), sslnegotiation };
}

/** @param {string} text @returns {Record<string, any>} */
function parsed(text) {
  if (!FORM.test(text)) {
    throw wrong(OPTION, 'must be a URL, postgres://user@host/database, or the folder of a socket');
  }
  try {
    return parse(text);
  } catch (error) {
    const { code, syscall, message } = /** @type {NodeJS.ErrnoException} */ (error);
    if (syscall)
      throw wrong(OPTION, `names a certificate or key file that cannot be read (${code})`);
    if (error instanceof URIError) {
      throw wrong(OPTION, 'has percent escapes that are not UTF-8');
    }
    if (code === 'ERR_INVALID_URL') throw wrong(OPTION, 'is not a valid URL');
    throw wrong(OPTION, `cannot be obeyed: ${message}`);
  }
}

/** @param {string} name @param {unknown} value */
function check(name, value) {
  if (KNOWN.has(name) || HARMLESS[name] === value) return;
  throw wrong(
    OPTION,
    KNOWN_ELSEWHERE.has(name)
      ? `has the parameter ${name}, which ${LATER}`
      : `has an unknown parameter; known are ${[...KNOWN].join(', ')}`,
  );
}

module.exports = { parseConnectionString };
