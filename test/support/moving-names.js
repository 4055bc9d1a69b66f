// Names that move: a child process in which `moves.test` leads to the addresses in a file, one a line, and `hangs.test` is looked up for ever.
'use strict';

const { execFileSync, spawn } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

/** In front of the C library's own: names that are not these are its affair. */
const SHIM = `
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
  int (*own)(const char *, const char *, const struct addrinfo *, struct addrinfo **) = dlsym(RTLD_NEXT, "getaddrinfo");
  char address[64] = "";
  struct addrinfo **end = found;
  if (node && strcmp(node, "hangs.test") == 0) sleep(600);
  if (!node || strcmp(node, "moves.test") != 0) return own(node, service, hints, found);
  FILE *file = fopen(getenv("MOVES_TO"), "r");
  if (!file) return EAI_NONAME;
  *found = NULL;
  while (fgets(address, sizeof address, file)) {
    address[strcspn(address, "\\n")] = 0;
    if (own(address, service, hints, end) != 0) continue;
    while (*end) end = &(*end)->ai_next;
  }
  fclose(file);
  return *found ? 0 : EAI_NONAME;
}
`;

/**
 * Runs a script in a process with such names.
 * @param {import('node:test').TestContext} t ends it
 * @param {string} script CommonJS @param {string} address that \`moves.test\` leads to at first; several are lines
 */
function withMovingName(t, script, address) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pg-berth-names-'));
  const [source, library, file] = ['shim.c', 'shim.so', 'address'].map((name) =>
    path.join(folder, name),
  );
  fs.writeFileSync(/** @type {string} */ (source), SHIM);
  execFileSync('cc', ['-shared', '-fPIC', '-o', library, source, '-ldl'].map(String));
  const move = (/** @type {string} */ to) => fs.writeFileSync(String(file), to);
  move(address);
  const env = { ...process.env, LD_PRELOAD: library, MOVES_TO: file };
  const child = spawn(process.execPath, ['-e', script], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let told = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    told += text;
  });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  t.after(async () => {
    child.kill('SIGKILL');
    await ended;
    fs.rmSync(folder, { recursive: true });
  });
  return {
    move,
    told: () => told.split('\n').filter(Boolean),
    isOver: () => child.exitCode !== null,
  };
}

module.exports = { withMovingName };
