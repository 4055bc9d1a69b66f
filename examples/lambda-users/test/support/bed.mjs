// What the tests run on: a private PostgreSQL, a local Secrets Manager, and the service as a process of its own.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import path from 'node:path';
import { after, before } from 'node:test';
import {
  CreateSecretCommand,
  PutSecretValueCommand,
  SecretsManagerClient,
} from '@aws-sdk/client-secrets-manager';
import { freePort, startSecretsManager } from './moto.mjs';

const ROOT = path.join(import.meta.dirname, '../../../..');
const EXAMPLE = path.join(import.meta.dirname, '../..');
const require = createRequire(import.meta.url);
const { startServer } = require(path.join(ROOT, 'test/support/server.js'));
export const { startProxy } = require(path.join(ROOT, 'test/support/proxy.js'));
export const { waitFor } = require(path.join(ROOT, 'test/support/wait.js'));

export const PASSWORD = 'first-canary-password';
export const COORD_SECRET = 'canary coordination secret';
export const SECRET_ID = 'YourSecretName';

/** Everything that any process of a test has printed. */
let printed = '';

/** Call it once, at the top of a test file. */
export function testBed() {
  const bed = {
    pg: undefined,
    secrets: undefined,
    manager: undefined,
    /** Credentials as they are stored. */
    credentials: undefined,
    printed: () => printed,

    async createSecret(name, SecretString, more = {}) {
      const command = new CreateSecretCommand({ Name: name, SecretString, ...more });
      await bed.manager.send(command);
      return name;
    },
    async putSecret(value, SecretId = SECRET_ID) {
      const SecretString = JSON.stringify(value);
      await bed.manager.send(new PutSecretValueCommand({ SecretId, SecretString }));
    },
    environment: (more) => ({
      PATH: process.env.PATH,
      AWS_ENDPOINT_URL_SECRETS_MANAGER: bed.secrets.url,
      AWS_REGION: 'us-east-1',
      AWS_ACCESS_KEY_ID: 'testing',
      AWS_SECRET_ACCESS_KEY: 'testing',
      DB_SECRET_ID: SECRET_ID,
      COORD_SECRET,
      ...more,
    }),
    service: (t, env = {}, args = []) => startService(t, bed.environment(env), args),
    /** Pids of the service's backends. */
    async backends() {
      const rows = await bed.pg.sql(`select pid from pg_stat_activity where usename = 'app'`);
      return rows.map(({ pid }) => pid);
    },
    /** Ends the service's connections, as a reaper does. */
    async terminateAll() {
      await bed.pg.sql(
        `select pg_terminate_backend(pid) from pg_stat_activity where usename = 'app'`,
      );
      await bed.gone();
    },
    gone: () =>
      waitFor(async () => (await bed.backends()).length === 0, { what: 'the end of all backends' }),
  };

  before(async () => {
    [bed.pg, bed.secrets] = await Promise.all([
      startServer({
        conf: { log_statement: 'all', log_line_prefix: '%u|' },
        hba: ['host all app all scram-sha-256'],
      }),
      startSecretsManager(),
    ]);
    await bed.pg.sql(`create role app login password '${PASSWORD}'`);
    await bed.pg.sql('create database app owner app');
    const { host, port } = bed.pg;
    bed.credentials = { host, port, user: 'app', password: PASSWORD, database: 'app', ssl: false };
    bed.manager = new SecretsManagerClient({
      endpoint: bed.secrets.url,
      region: 'us-east-1',
      credentials: { accessKeyId: 'testing', secretAccessKey: 'testing' },
    });
    await bed.createSecret(SECRET_ID, JSON.stringify(bed.credentials));
  });
  after(async () => {
    bed.manager.destroy();
    await bed.secrets.stop();
    await bed.pg.stop();
  });
  return bed;
}

/** Starts `npm start`'s program on a free port and waits until it listens. */
async function startService(t, environment, args) {
  const port = await freePort();
  const child = spawn(process.execPath, ['dist/server.js', ...args], {
    cwd: EXAMPLE,
    env: { ...environment, PORT: String(port) },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      output += text;
      printed += text;
    });
  }
  const exited = once(child, 'exit');
  t.after(async () => {
    child.kill('SIGKILL');
    await exited;
  });
  await waitFor(() => output.includes('listening on') || child.exitCode !== null, {
    what: 'the start of the service',
  });
  if (child.exitCode !== null) throw new Error(`the service did not start:\n${output}`);
  const url = `http://localhost:${port}`;
  const call = async (target, options) => {
    const response = await fetch(url + target, options);
    const text = await response.text();
    printed += text;
    const json = text === '' ? undefined : JSON.parse(text);
    return { status: response.status, headers: response.headers, json };
  };
  return {
    url,
    child,
    output: () => output,
    call,
    get: (target) => call(target),
    post: (body, target = '/users') =>
      call(target, {
        method: 'POST',
        body: typeof body === 'string' ? body : JSON.stringify(body),
      }),
    /** Sends a signal and resolves to what the process ended with, and after how long. */
    async stop(signal = 'SIGTERM') {
      const asked = performance.now();
      child.kill(signal);
      const [code, by] = await exited;
      return { code, by, ms: performance.now() - asked };
    },
  };
}
