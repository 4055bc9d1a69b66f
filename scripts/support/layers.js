// The layers of the two languages: which module may use which. Imports point down only.
'use strict';

/** Every module of the engine may use itself; `*` is everything. The longest name that fits a path counts. */
const RUST = {
  error: ['sqlstate'],
  sqlstate: [],
  field: [],
  json: [],
  metrics: [],
  config: ['error', 'field', 'sqlstate'],
  wire: ['error', 'field', 'sqlstate'],
  frame: ['error', 'field', 'json', 'sqlstate'],
  lease: ['config', 'error'], // of config only the type of a secret
  'lease/renew': ['lease', 'lease/turn', 'conn', 'config', 'metrics', 'error', 'field', 'sqlstate'],
  'lease/reaper': ['lease', 'conn', 'config', 'metrics', 'error', 'field', 'sqlstate'],
  'lease/turn': ['lease', 'lease/renew', 'lease/reaper', 'conn', 'config', 'metrics', 'error'],
  conn: ['wire', 'frame', 'config', 'lease', 'metrics', 'error', 'field', 'sqlstate'],
  pool: ['conn', 'wire', 'frame', 'config', 'metrics', 'error', 'field', 'sqlstate'],
  addon: '*',
  lib: '*',
};

/** Only these may name the binding. */
const KNOWS_NEON = ['addon', 'lib'];

const WORDS = [
  'abort-hearers',
  'any-signal',
  'lazy',
  'options',
  'option-rules',
  'lease-options',
  'login-options',
  'ssl-options',
  'errors',
  'error-classes',
  'identifiers',
  'stack-limit',
];
/** What asks the engine and reads its answers, from the lowest up. */
const ENGINE = [
  'native',
  'environment',
  'spin',
  'operations',
  'statements',
  'hearers',
  'unreadable-answer',
  'whole-limit',
  'mailbox',
  'rows',
  'handles',
  'decoders',
  'answer',
  'tracing',
  'request',
];
const BELOW = [...ENGINE, ...WORDS];
/** What the modules for any driver share; it loads no native code and no module of Node. */
const SHARED = ['hooks', 'lifecycle', 'sample-ring', 'infra-logger', 'infra-options', 'transient'];
const INFRA = [...WORDS, ...SHARED];

/** Modules of lib/: a file there, or a folder with everything in it. */
const JS = {
  'abort-hearers': [],
  'any-signal': ['abort-hearers'],
  lazy: [],
  identifiers: ['error-classes'],
  'stack-limit': [],
  'error-classes': [],
  errors: ['error-classes', 'stack-limit'],
  'option-rules': ['lazy', 'error-classes'],
  'login-options': ['option-rules'],
  'ssl-options': ['option-rules', 'error-classes'],
  'weak-secret': ['native'],
  'lease-options': ['option-rules', 'error-classes', 'weak-secret'],
  options: [
    'lazy',
    'lease-options',
    'option-rules',
    'login-options',
    'ssl-options',
    'query-hooks',
    'error-classes',
  ],
  native: ['errors', 'error-classes'],
  environment: ['native'],
  rows: ['lazy', 'errors', 'error-classes'],
  passwords: ['native'],
  handles: ['native', 'environment', 'passwords', 'errors', 'error-classes'],
  statements: ['lazy', 'native', 'operations', 'errors', 'error-classes'],
  spin: ['lazy', 'error-classes'],
  hearers: [],
  operations: [],
  'unreadable-answer': [],
  'whole-limit': [],
  mailbox: [
    'lazy',
    'native',
    'environment',
    'hearers',
    'operations',
    'spin',
    'statements',
    'unreadable-answer',
    'rows',
    'errors',
    'error-classes',
  ],
  'type-catalog': [],
  decoders: ['lazy', 'environment', 'native', 'rows', 'type-catalog'],
  answer: ['lazy', 'decoders', 'rows', 'error-classes'],
  'sql-blocks': [],
  'sql-effects': ['sql-blocks'],
  'sql-text': ['sql-blocks'],
  'query-hooks': ['lazy', 'hooks', 'option-rules', 'sql-comment'],
  'sql-comment': ['hooks'],
  tracing: ['lazy', 'mailbox', 'sql-text', 'errors', 'error-classes'],
  request: [
    'lazy',
    'abort-hearers',
    'tracing',
    'answer',
    'decoders',
    'mailbox',
    'rows',
    'statements',
    'whole-limit',
  ],
  // the cluster face
  queryable: [...BELOW, 'type-catalog', 'commit-markers'],
  'pool-stream': [...BELOW, 'queryable', 'stream'],
  'own-transactions': [...BELOW, 'queryable', 'transaction-limits'],
  stream: [...BELOW, 'own-transactions', 'queryable'],
  copy: BELOW,
  'batch-error': ['error-classes'],
  'transaction-ends': ['error-classes', 'sql-blocks'],
  batch: [
    ...BELOW,
    'batch-error',
    'own-transactions',
    'queryable',
    'sql-effects',
    'transaction-ends',
    'transaction-limits',
  ],
  'insert-many': [...BELOW, 'copy'],
  'catalog-query': [...BELOW, 'queryable'],
  'shared-pool': ['native', ...WORDS],
  blocking: [...BELOW, 'queryable'],
  insert: WORDS,
  'pool-news': ['errors'],
  'pool-events': [...BELOW, 'pool-news', 'pool-probes'],
  backoff: ['abort-hearers'],
  'commit-markers': [...BELOW, 'identifiers'],
  'log-positions': [...BELOW, 'abort-hearers', 'queryable', 'unanswered'],
  tries: [...WORDS, 'backoff', 'whole-limit'],
  single: [...BELOW, 'queryable', 'tries', 'log-positions', 'commit-markers'],
  'commit-resolver': BELOW,
  'leaked-transactions': [...BELOW, 'queryable'],
  'transaction-limits': [...BELOW, 'unanswered'],
  unanswered: ['error-classes'],
  transaction: [
    ...BELOW,
    'sql-effects',
    'transaction-ends',
    'unanswered',
    'transaction-limits',
    'leaked-transactions',
    'queryable',
    'stream',
    'copy',
  ],
  'transaction-attempts': [...BELOW, 'backoff', 'transaction', 'transaction-limits'],
  'listener-watch': ['native'],
  listener: [...BELOW, 'listener-watch', 'queryable'],
  histogram: [],
  'metrics-text': ['option-rules', 'error-classes'],
  'pool-figures': ['native', 'histogram'],
  'pool-probes': ['native', 'mailbox', 'errors'],
  'pool-parts': [
    ...BELOW,
    'catalog-query',
    'commit-markers',
    'log-positions',
    'pool-events',
    'pool-figures',
    'pool-probes',
    'queryable',
    'single',
    'type-catalog',
  ],
  pool: [
    ...BELOW,
    'batch',
    'blocking',
    'copy',
    'insert',
    'insert-many',
    'log-positions',
    'metrics-text',
    'pool-events',
    'pool-figures',
    'pool-parts',
    'pool-stream',
    'query-hooks',
    'queryable',
    'shared-pool',
    'stream',
    'transaction',
    'transaction-attempts',
    'tries',
  ],
  pg: [
    ...BELOW,
    'shutdown-patience',
    'query-hooks',
    'batch-error',
    'transaction-ends',
    'copy',
    'insert-many',
    'transaction',
    'listener',
    'pool',
  ],
  serverless: [
    ...BELOW,
    'sql-blocks',
    'sql-effects',
    'query-hooks',
    'weak-secret',
    'commit-resolver',
    'queryable',
    'stream',
    'transaction',
    'transaction-ends',
    'unanswered',
    'listener',
    'pool',
    'pg',
  ],
  // these take any pool-like object, so they serve `pg` and Kysely too
  hooks: [],
  transient: [],
  lifecycle: [],
  'sample-ring': [],
  'infra-logger': ['hooks'],
  'infra-options': ['option-rules', 'error-classes'],
  breaker: INFRA,
  retry: [...INFRA, 'abort-hearers'],
  resilience: [...INFRA, 'breaker', 'retry'],
  'health-check': INFRA,
  'health-monitor': [...INFRA, 'health-check'],
  metrics: INFRA,
  health: [...INFRA, 'health-check', 'health-monitor', 'metrics'],
  'pool-metrics': INFRA,
  'shutdown-signals': INFRA,
  'shutdown-patience': [],
  shutdown: [...INFRA, 'shutdown-patience', 'shutdown-signals'],
  debug: INFRA,
  'status-page': [...INFRA, 'health-check', 'health-monitor', 'pool-metrics'],
  'otel-metrics': ['hooks'],
  'package.json': [],
  opentelemetry: [...INFRA, 'otel-metrics', 'package.json', 'tracing'],
  kysely: [
    ...INFRA,
    ...BELOW,
    'sql-blocks',
    'sql-effects',
    'own-transactions',
    'queryable',
    'stream',
    'unanswered',
    'pool',
  ],
  cli: ['serverless', 'pool', 'package.json', ...INFRA],
  index: '*',
};

/**
 * The module that a path belongs to: `['lease', 'reaper']` is `lease/reaper` where that has rules of its own, else `lease`.
 * @param {Record<string, unknown>} table
 * @param {string[]} parts
 */
function moduleOf(table, parts) {
  const two = parts.slice(0, 2).join('/');
  return Object.hasOwn(table, two) ? two : (parts[0] ?? 'lib');
}

/**
 * Why `from` may not import `to`, or undefined when it may.
 * @param {Record<string, string[] | '*'>} table
 */
function complaint(table, from, to) {
  const allowed = table[from];
  if (allowed === undefined) return `${from} has no layer: add it to scripts/support/layers.js`;
  const root = to.split('/')[0];
  if (from === to || (root === from && !to.includes('/')) || allowed === '*') return undefined;
  if (table[to] === undefined) return `${to} has no layer: add it to scripts/support/layers.js`;
  if (allowed.includes(to)) return undefined;
  return `${from} must not use ${to}; it may use: ${allowed.join(', ') || 'nothing of ours'}`;
}

module.exports = { RUST, JS, KNOWS_NEON, moduleOf, complaint };
