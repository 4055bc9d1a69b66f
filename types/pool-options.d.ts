// Options of createPool.

import type { Types } from './pool.js';
import type {
  LogEvent,
  PasswordFunction,
  PoolLease,
  QueryHooks,
  UpkeepOptions,
} from './pool-extras.js';
import type { SslOptions } from './ssl.js';

/**
 * Options of `createPool`. Times are whole milliseconds from 1, or from 0 where 0 is said to mean something, to
 * 2 147 483 647 (24.8 days); names have at most 255 bytes. Unknown names, wrong values and contradictions throw a `TypeError`
 * (`ERR_CONFIG`) that has the name as `option`; `undefined` counts as not given.
 */
export interface ClusterPoolOptions extends QueryHooks, UpkeepOptions {
  /** `postgres://…` or `key=value …`, in the words of libpq. Options beside it win. */
  connectionString?: string;
  /** One entry per node, at most 64: `'name'`, `'name:port'`, `'[v6]:port'` or the folder of a socket. Not beside `host`. */
  hosts?: readonly string[];
  /** Instead of `hosts`. Default: `PGHOST`, else `localhost`. */
  host?: string;
  /** For entries without their own: 1 to 65 535. Default: `PGPORT`, else 5432. */
  port?: number;
  /** Default: `PGUSER`, else the name of the system's user. */
  user?: string;
  /** Never appears in errors, logs or `inspect`. A function is asked for each connection whose server wants a password. */
  password?: string | PasswordFunction;
  /** Default: `PGDATABASE`, else the user's name. */
  database?: string;
  /**
   * Which nodes the pool uses; it follows them through failovers.
   *
   * - `'read-write'` (also `'rw'`, `'readwrite'`; the default): the primary that takes writes
   * - `'read-only'` (`'ro'`, `'readonly'`), `'standby'`: standbys
   * - `'prefer-standby'` (`'preferstandby'`): standbys, and the primary while there is none
   * - `'primary'`: the node out of recovery, even when it refuses writes
   * - `'any'`: whichever answers
   *
   * The default is weaker than `target_session_attrs` of the connection string.
   */
  mode?:
    | 'read-write'
    | 'readwrite'
    | 'rw'
    | 'read-only'
    | 'readonly'
    | 'ro'
    | 'prefer-standby'
    | 'preferstandby'
    | 'primary'
    | 'standby'
    | 'any';
  /** Which of several standbys gets a connection. Default for modes that read `'least-in-use'`, random where equal. */
  loadBalance?: 'random' | 'round-robin' | 'least-in-use';
  /** How long an attempt to connect is alone before the next node is tried beside it. Default 250; 0: all at once. */
  raceDelayMs?: number;
  /** Connections opened at the same time: 1 to 1000. Default 4. */
  maxConnecting?: number;
  /**
   * How it is noticed that a primary was demoted while its connections stayed open. `'auto'`: a bare Sync in front of a
   * read, in the same packet, or `SHOW transaction_read_only` there where the server does not report its role;
   * `'inband'`, `'query'`: always this or that; `'off'`: only what servers report by themselves. Default `'auto'`.
   */
  fenceCheck?: 'auto' | 'inband' | 'query' | 'off';
  /** A connection that was answered less than this long ago is not checked; 0: all are. Default 5, much less than a promotion takes. */
  validationIntervalMs?: number;
  /**
   * For modes that read from standbys, an error in others: one that replays further behind is not read from. Asked in the packet of a read, at most
   * ten times in that time. A standby that has replayed all it has received counts as not behind. Default: no limit.
   */
  maxLagMs?: number;
  /** May a fenced primary serve a `'read-only'` pool, as libpq allows? Default `'retry'`: no, its rows may be stale. */
  fencedReads?: 'retry' | 'allow';
  /** `application_name`, as `pg_stat_activity` shows it; the server cuts it at 63 bytes. Default: `PGAPPNAME`. */
  applicationName?: string;
  /** Start-up options, for example `-c search_path=app`. Must not set `default_transaction_read_only`. Default: `PGOPTIONS`. */
  options?: string;
  /** As in `pg`: true = a certificate that names the host and that Node's roots have signed. Not beside `sslmode` and its companions. */
  ssl?: boolean | SslOptions;
  /** As libpq: `'require'` encrypts, and checks who has signed only where there are roots. Default `'prefer'`. */
  sslmode?: 'disable' | 'allow' | 'prefer' | 'require' | 'verify-ca' | 'verify-full';
  /** `'direct'` starts with the TLS handshake, which saves a round trip: PostgreSQL 17 or newer, `sslmode` from `'require'`. Default `'postgres'`. */
  sslnegotiation?: 'postgres' | 'direct';
  /** Trusted roots: a path, PEM text, a Buffer, or `'system'` for those of the operating system. Default `~/.postgresql/root.crt` if it exists. */
  sslrootcert?: string | Uint8Array;
  /** Revocation lists. Default `~/.postgresql/root.crl` if it exists. */
  sslcrl?: string | Uint8Array;
  /** A folder of revocation lists. */
  sslcrldir?: string;
  /** Certificate to show. Default `~/.postgresql/postgresql.crt` if it exists. */
  sslcert?: string | Uint8Array;
  /** Its private key; a file must not be open to group or others. Default `~/.postgresql/postgresql.key`. */
  sslkey?: string | Uint8Array;
  /** Password of an encrypted `sslkey`. */
  sslpassword?: string;
  /** `'require'`: a server that does not ask for the certificate is left. Default `'allow'`. */
  sslcertmode?: 'disable' | 'allow' | 'require';
  /** Send the host's name in the handshake. Default true. */
  sslsni?: boolean;
  /** Default `'TLSv1.2'`. */
  ssl_min_protocol_version?: 'TLSv1.2' | 'TLSv1.3';
  /** Default `'TLSv1.3'`. */
  ssl_max_protocol_version?: 'TLSv1.2' | 'TLSv1.3';
  /** `'require'`: a login that is not bound to the TLS connection (SCRAM-SHA-256-PLUS) fails. Default `'prefer'`. */
  channelBinding?: 'disable' | 'prefer' | 'require';
  /** Methods the server may ask for, for example `'scram-sha-256'` or `'!password,!md5'`; `'none'` for no question. Default: all. */
  requireAuth?: string;
  /** Send a password in clear text without TLS when the server asks for it. Default false. */
  allowCleartext?: boolean;
  /** A server that asks for more SCRAM iterations is refused; from 1. Default 100 000. */
  scramMaxIterations?: number;
  /** Default `'3.0'`. Above `maxProtocolVersion`: an error. */
  minProtocolVersion?: '3.0' | '3.2';
  /** `'3.2'` (also `'latest'`) has longer cancel keys: PostgreSQL 18 or newer, older ones agree on 3.0. Default `minProtocolVersion`. */
  maxProtocolVersion?: '3.0' | '3.2' | 'latest';
  /** Password file. Default `~/.pgpass`; ignored with a warning if group or others can read it. */
  passfile?: string;
  /** Section of the service file, whose settings count behind those given here. Default `PGSERVICE`. */
  service?: string;
  /** Default `PGSERVICEFILE`, else `~/.pg_service.conf`, else that of the system. */
  servicefile?: string;
  /** Address to dial instead of looking `host` up; certificates are still compared with `host`. */
  hostaddr?: string;
  /** Most connections: 1 to 262 143. Default 10. */
  poolSize?: number;
  /** Connections kept open when idle: 0 to `poolSize`. Default 0. */
  minIdle?: number;
  /** Idle connections above `minIdle` are closed after this; 0 = never. Default 30 000. */
  idleTimeoutMs?: number;
  /** Connections are replaced after this, ±10 %; 0 = never. Default 1 800 000. */
  maxLifetimeMs?: number;
  /** Connections are replaced after so many uses, from 1. Default: no limit. */
  maxUses?: number;
  /**
   * Runs, with the simple protocol, between two users of a connection if the first one may have left something in its session:
   * settings, temporary tables, locks of the session, cursors `WITH HOLD`, `PREPARE`, `LISTEN`, or anything by a function that the
   * server does not come with. One statement, for example `'DISCARD ALL'`. Until it is answered nobody gets the connection; if
   * it fails, or is not answered within `acquireTimeoutMs`, the connection is closed and `retire` says why. What a trigger, a view
   * or an operator sets is not seen. Default: none.
   */
  resetQuery?: string;
  /**
   * Most time to get a usable connection: waiting, connecting and trying again together. Default 5000. A transaction that
   * waits begins behind the COMMIT of another one where that was quick before; if it is not answered in this time, the statement
   * behind it fails with `TimeoutError` of phase `'acquire'` and outcome `'failed'`, because it was sent, and is rolled back.
   */
  acquireTimeoutMs?: number;
  /** Most time of one attempt to connect: name, TCP, TLS and authentication together. Default 2000. */
  connectTimeoutMs?: number;
  /**
   * The server's own `statement_timeout`. Default: the server's. Behind a pooler that refuses it in the startup packet the pool
   * keeps the limit, as with `maxStatementMs`: a `SET` would stay with a connection that others use next.
   */
  statementTimeoutMs?: number;
  /** `timeoutMs` for every statement and COPY that has none, and 2 s more for COMMIT: a guard against a frozen server, as `aliveTimeoutMs`. Default: none. */
  maxStatementMs?: number;
  /**
   * A COMMIT whose answer is lost: `'xid'` asks the primary of then for the transaction (after a crash or a failover too); it
   * costs some 20 µs a statement and no round trip. `'marker'`: transactions that write, batches of all or nothing too, leave
   * a row in `commitMarkerTable` in the packet of their COMMIT, which decides on any topology, after any number of failovers; in
   * modes that may lead to a standby only those with `accessMode: 'read-write'`, others as `'xid'`. `'off'`: `OutcomeUnknownError` at once. Default `'xid'`.
   */
  commitResolution?: 'xid' | 'marker' | 'off';
  /** How long that is tried. Default 10 000. */
  resolveTimeoutMs?: number;
  /**
   * The same for statements that stand for themselves, see `SingleOptions`: `query`, `queryResult`, `insert`, `querySync`, and
   * each of an isolated batch; the last two leave no marker. Not for COPY and `insertMany`. Default false.
   */
  exactlyOnce?: boolean;
  /**
   * A server that owes an answer, has not sent a byte for half of this, and does not answer a new connection in the other half, is
   * given up with all its connections: it may be frozen. One that only takes its time is not. Default: none.
   */
  aliveTimeoutMs?: number;
  /**
   * TCP keep-alive: silence before the first probe and time between probes, each from 1000, and unanswered probes that end the
   * connection, 1 to 127. Defaults 5000, 1000, 3.
   */
  keepalive?: { idleMs?: number; intervalMs?: number; count?: number };
  /**
   * Sent data must be acknowledged within this; 0 = the system's default. Default 8000. Only Linux has such a limit: elsewhere
   * the system gives up in its own time, and `timeoutMs` or `aliveTimeoutMs` is what ends the wait before.
   */
  tcpUserTimeoutMs?: number;
  /**
   * Who reads answers. `'auto'`: the event loop, and while that is late the engine's thread; `'engine'`: always that, which
   * takes more work off the JS thread; `'loop'`: an error where none can be used. Default `PG_BERTH_DRIVER`, else `'auto'`.
   */
  driver?: 'auto' | 'loop' | 'engine';
  /** `'unnamed'` for poolers that lose prepared statements. Default `'named'`. */
  preparedStatements?: 'named' | 'unnamed';
  /** Prepared statements kept per connection: 0 to 65 536, 0 = none. Default 256. */
  statementCacheSize?: number;
  /**
   * When connections are lost, as many of their most used statements are prepared on those that replace them, before anybody
   * has them; 0 to 256, 0 = none. Default 8. The event `warm` tells of it.
   */
  warmStatements?: number;
  /** Default `'lossless'`. */
  types?: Types;
  /** Default `'object'`. */
  rowMode?: 'object' | 'array';
  /**
   * What a string is that is given for a parameter or column of the types `json` and `jsonb`. `'text'` (default): the text of
   * a document, sent as it is, so `'[1]'` is an array and `'abc'` is refused by the server. `'value'`: a value, so `'abc'` is
   * the string `"abc"`, in elements of `json[]` and `jsonb[]` too; dates, which JSON has as strings, are strings then, and arrays
   * given for `json` are JSON whatever `types` says. The server says which parameters these are, so a statement with strings that
   * a connection has not prepared yet takes a round trip more. A domain over one of the types has to be cast: `$1::jsonb`.
   */
  json?: 'text' | 'value';
  /**
   * What numbers of `json` and `jsonb` beyond ±(2⁵³ − 1) become, also inside arrays and composites. `'number'` (default): the
   * nearest double, as `JSON.parse` has it. `'bigint'`: a BigInt where they are integers, however they are written; those with
   * a fraction stay numbers, and so does what only `json` can hold, more than 131 072 digits or an exponent that gives Infinity.
   * `'string'`: their text as the server has it, with or without a fraction. Numbers that are not beyond are numbers always.
   * With `'bigint'` BigInts inside documents are sent as numbers under `types: 'pg'` too, where `pg` refuses them.
   * Parsers in `types` for these types come first.
   */
  jsonNumbers?: 'number' | 'bigint' | 'string';
  /**
   * A statement whose rows have more bytes is cancelled and rejects with a `ResultError`; a row that is not taken is not
   * kept in memory either. One that the server has finished before the cancel came is an `OutcomeUnknownError` with the
   * `ResultError` as `cause`. Of a stream each batch is counted for itself. From 1. Default: no limit.
   */
  maxResultBytes?: number;
  /**
   * Of whatever is run again: total tries from 1, and the delay between them from base to max, each from 0. `'half'` doubles it and takes between half
   * and all of that; `'decorrelated'` takes between the base and three times the delay before. Defaults 3, 50, 1000, `'half'`.
   */
  retry?: {
    maxAttempts?: number;
    baseDelayMs?: number;
    maxDelayMs?: number;
    jitter?: 'half' | 'decorrelated';
  };
  /**
   * Signs every connection with a lease in its `application_name`, renews it while the process runs, and ends
   * connections of the same service whose lease has expired, as `ServerlessClient` does.
   */
  lease?: PoolLease;
  /** Called after each try of a statement. What it throws is swallowed. */
  logger?: (event: LogEvent) => void;
}
