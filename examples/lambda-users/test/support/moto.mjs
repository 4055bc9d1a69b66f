// A local Secrets Manager (moto, from PyPI) behind a relay that counts the fetches.

import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import { createRequire } from 'node:module';
import net from 'node:net';
import path from 'node:path';
import { promisify } from 'node:util';

const ROOT = path.join(import.meta.dirname, '../../../..');
const require = createRequire(import.meta.url);
const { retried } = require(path.join(ROOT, 'test/support/retried.js'));
const { waitFor } = require(path.join(ROOT, 'test/support/wait.js'));
const FOLDER = path.join(ROOT, '.cache/moto');
const VERSION = '5.2.5';

const exec = promisify(execFile);

/** Installs moto on first use: a minute or two, which no test's time has room for on a slow machine (install.mjs). */
export async function program() {
  const installed = path.join(FOLDER, 'bin/moto_server');
  const stamp = path.join(FOLDER, `installed-${VERSION}`);
  if (fs.existsSync(stamp)) return installed;
  await exec('python3', ['-m', 'venv', '--clear', FOLDER]);
  const packages = ['install', '-q', `moto[server,secretsmanager]==${VERSION}`];
  const what = `moto ${VERSION} into ${path.relative(ROOT, FOLDER)}`;
  await retried(what, () => exec(path.join(FOLDER, 'bin/pip'), packages));
  fs.writeFileSync(stamp, '');
  return installed;
}

export async function freePort() {
  const probe = net.createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address();
  probe.close();
  await once(probe, 'close');
  return port;
}

/** @returns {Promise<{ url: string, fetches: () => number, fail: (isFailing: boolean) => void, stop: () => Promise<void> }>} */
export async function startSecretsManager() {
  const command = await program();
  const port = await freePort();
  const child = spawn(command, ['-H', '127.0.0.1', '-p', String(port)], { stdio: 'ignore' });
  // However the tests end: it would stay for good.
  process.once('exit', () => child.kill());
  const up = `http://127.0.0.1:${port}`;
  await waitFor(async () => (await fetch(`${up}/moto-api/`)).ok, {
    what: 'the start of moto',
    timeoutMs: 60_000,
    intervalMs: 50,
  });

  let fetches = 0;
  let isFailing = false;
  const relay = http.createServer((request, response) => {
    if (request.headers['x-amz-target'] === 'secretsmanager.GetSecretValue') fetches += 1;
    if (isFailing) {
      response.writeHead(400, { 'content-type': 'application/x-amz-json-1.1' });
      response.end('{"__type":"InternalServiceError"}');
      return;
    }
    const { method, headers, url } = request;
    const forwarded = http.request(`${up}${url}`, { method, headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    forwarded.on('error', () => response.destroy());
    request.pipe(forwarded);
  });
  await once(relay.listen(0, '127.0.0.1'), 'listening');

  return {
    url: `http://127.0.0.1:${relay.address().port}`,
    fetches: () => fetches,
    fail: (wanted) => {
      isFailing = wanted;
    },
    async stop() {
      relay.closeAllConnections();
      relay.close();
      const ended = once(child, 'exit');
      child.kill();
      await ended;
    },
  };
}
