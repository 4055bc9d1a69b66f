// Fifth part of the demo: the users service of examples/lambda-users, from its first request to its orderly end.
'use strict';

const assert = require('node:assert');
const { randomBytes, randomUUID } = require('node:crypto');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const http = require('node:http');
const net = require('node:net');
const path = require('node:path');
const screen = require('./screen.js');

const EXAMPLE = path.join(__dirname, '../lambda-users');
/** A lease of the service, in pg_stat_activity. */
const SESSIONS = `from pg_stat_activity
  where datname = current_database() and left(application_name, 15) = 's=lambda-users;'`;

/** Answers as Secrets Manager does, for one secret. */
async function startSecretsManager(secret) {
  let asked = 0;
  const server = http.createServer((request, response) => {
    asked++;
    request.resume();
    const answer = {
      ARN: 'arn:aws:secretsmanager:us-east-1:000000000000:secret:demo',
      Name: 'demo',
      VersionId: randomUUID(),
      SecretString: JSON.stringify(secret),
      VersionStages: ['AWSCURRENT'],
    };
    response.writeHead(200, { 'Content-Type': 'application/x-amz-json-1.1' });
    response.end(JSON.stringify(answer));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return { server, port: server.address().port, asked: () => asked };
}

async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/** What the secret says of the demo's own server. @param {string} url */
function secretOf(url) {
  const { hostname, port, username, password, pathname, searchParams } = new URL(url);
  return {
    host: hostname || '127.0.0.1',
    port: Number(port || 5432),
    user: decodeURIComponent(username),
    password: decodeURIComponent(password),
    database: decodeURIComponent(pathname.slice(1)),
    ssl: /^(require|verify)/.test(searchParams.get('sslmode') ?? ''),
  };
}

/** Starts the service and waits until it listens. @param {NodeJS.ProcessEnv} env */
async function startService(env) {
  const child = spawn(process.execPath, ['dist/server.js', '--init'], {
    cwd: EXAMPLE,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exited = once(child, 'exit');
  let output = '';
  const listening = new Promise((resolve) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        output += text;
        if (output.includes('listening on')) resolve(true);
      });
    }
  });
  const isUp = await Promise.race([listening, exited.then(() => false)]);
  assert.ok(isUp, `the service did not start:\n${output}`);
  return { child, exited };
}

/** Asks, checks the status, and gives a line of the table. */
async function ask(base, method, target, expected, body) {
  const response = await fetch(base + target, {
    method,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  assert.strictEqual(response.status, expected, text);
  const colour = expected < 400 ? 'green' : 'yellow';
  const short = text.length > 56 ? `${text.slice(0, 55)}…` : text;
  const shown = target.length > 20 ? `${target.slice(0, 19)}…` : target;
  return {
    json: JSON.parse(text),
    line: [`${method} ${shown}`, screen.paint(colour, response.status), short],
  };
}

/** @param {{ url: string, schema: string, pool: import('../../types/pool.js').Pool }} demo */
async function showUsers({ url, schema, pool }) {
  if (!fs.existsSync(path.join(EXAMPLE, 'dist/server.js'))) {
    screen.note(
      'Left out: examples/lambda-users is not installed here (npm ci, npm run build there).',
    );
    return;
  }
  const secrets = await startSecretsManager(secretOf(url));
  const port = await freePort();
  const { child, exited } = await startService({
    PORT: String(port),
    // Everything the demo makes is in its own schema.
    PGOPTIONS: `-c search_path=${schema}`,
    AWS_ENDPOINT_URL_SECRETS_MANAGER: `http://127.0.0.1:${secrets.port}`,
    AWS_REGION: 'us-east-1',
    AWS_ACCESS_KEY_ID: 'demo',
    AWS_SECRET_ACCESS_KEY: 'demo',
    DB_SECRET_ID: 'demo',
    AWS_LAMBDA_FUNCTION_NAME: 'lambda-users',
    DB_SSL_NO_VERIFY: '1',
    COORD_SECRET: randomBytes(24).toString('base64url'),
  });
  try {
    screen.code(`node dist/server.js --init   listening on http://localhost:${port}`);
    const base = `http://127.0.0.1:${port}`;
    const john = { name: 'John Doe', email: 'john@example.com' };
    const made = await ask(base, 'POST', '/users', 201, john);
    const id = made.json.user.id;
    const answers = [
      made,
      await ask(base, 'POST', '/users', 409, john),
      await ask(base, 'POST', '/users', 400, { name: 'J', email: 'nobody' }),
      await ask(base, 'GET', `/users/${id}`, 200),
      await ask(base, 'GET', `/users/${randomUUID()}`, 404),
    ];
    const ended = await pool.query(`select pg_terminate_backend(pid) ${SESSIONS}`);
    assert.strictEqual(ended.length, 1, 'one connection, with a lease');
    answers.push(await ask(base, 'GET', '/users', 200));
    screen.table(
      ['request', 'status', 'answer'],
      answers.map(({ line }) => line),
    );
    screen.note(
      'Before the last one its connection was ended on the server: the request did not notice.',
    );
    assert.strictEqual(secrets.asked(), 1);
  } finally {
    const started = performance.now();
    child.kill('SIGTERM');
    const [code] = await exited;
    secrets.server.closeAllConnections();
    secrets.server.close();
    if (process.platform !== 'win32') assert.strictEqual(code, 0);
    const ms = Math.round(performance.now() - started);
    screen.note(`SIGTERM: ended with code ${code} after ${ms} ms. The secret was fetched once.`);
  }
}

module.exports = { showUsers };
