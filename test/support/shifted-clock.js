// A wrong clock for a whole process, the engine's threads included: a library that is loaded in front of the system's.
'use strict';

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const SOURCE = `
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static long shift(void) { const char *s = getenv("SHIFT_S"); return s ? atol(s) : 0; }
int clock_gettime(clockid_t clock, struct timespec *t) {
  int failed = syscall(SYS_clock_gettime, clock, t);
  if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) t->tv_sec += shift();
  return failed;
}
int gettimeofday(struct timeval *tv, void *zone) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  tv->tv_sec = t.tv_sec;
  tv->tv_usec = t.tv_nsec / 1000;
  return 0;
}
time_t time(time_t *at) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  if (at) *at = t.tv_sec;
  return t.tv_sec;
}
`;

/**
 * The environment of a process whose clock is so far ahead; skips the test where none can be made.
 * @param {import('node:test').TestContext} t @param {number} seconds
 * @returns {Record<string, string> | undefined}
 */
function shiftedClock(t, seconds) {
  if (process.platform !== 'linux') {
    t.skip('needs LD_PRELOAD');
    return undefined;
  }
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pg-berth-clock-'));
  t.after(() => fs.rmSync(folder, { recursive: true, force: true }));
  const library = path.join(folder, 'clock.so');
  try {
    const options = /** @type {const} */ ({ input: SOURCE, stdio: ['pipe', 'ignore', 'pipe'] });
    execFileSync('cc', ['-shared', '-fPIC', '-o', library, '-xc', '-'], options);
  } catch (error) {
    if (/** @type {any} */ (error).code !== 'ENOENT') throw error;
    t.skip('needs a C compiler');
    return undefined;
  }
  return { LD_PRELOAD: library, SHIFT_S: String(seconds) };
}

module.exports = { shiftedClock };
