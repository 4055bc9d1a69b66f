// What a run costs its process: CPU of all threads, CPU of the JS thread, memory, event-loop delay.
'use strict';

const fs = require('node:fs');

/** The main thread's id is the pid; field 1 is its time on a CPU in ns (kernel: sched-stats). */
const SCHEDSTAT = `/proc/self/task/${process.pid}/schedstat`;

/** CPU time of the JS thread in us, or NaN where neither Node nor the kernel tells. */
function threadCpuUs() {
  if (typeof process.threadCpuUsage === 'function') {
    const { user, system } = process.threadCpuUsage();
    return user + system;
  }
  try {
    return Number(fs.readFileSync(SCHEDSTAT, 'latin1').split(' ', 1)[0]) / 1_000;
  } catch {
    return Number.NaN;
  }
}

function processCpuUs() {
  const { user, system } = process.cpuUsage();
  return user + system;
}

/**
 * Peak resident memory in MiB. VmHWM and not getrusage: the latter's peak survives exec, so it may
 * be the one of the parent (kernel: exec_mmap).
 */
function peakRssMb() {
  try {
    const status = fs.readFileSync('/proc/self/status', 'latin1');
    return Number(/VmHWM:\s+(\d+) kB/.exec(status)[1]) / 1_024;
  } catch {
    return process.resourceUsage().maxRSS / 1_024;
  }
}

function startMeter() {
  const wall = performance.now();
  const cpu = processCpuUs();
  const thread = threadCpuUs();
  return () => ({
    ms: performance.now() - wall,
    cpuUs: processCpuUs() - cpu,
    jsUs: threadCpuUs() - thread,
    peakRssMb: peakRssMb(),
  });
}

/**
 * Watches how late a timer of 1 ms fires. Own code instead of monitorEventLoopDelay, because the
 * answer must also count a timer that never fired, and must be the same under Bun.
 *
 * @returns {() => number} stops, and gives the worst delay in ms
 */
function watchLoop() {
  let worst = 0;
  let due = performance.now() + 1;
  let timer = setTimeout(tick, 1);
  function note() {
    const now = performance.now();
    worst = Math.max(worst, now - due);
    due = now + 1;
  }
  function tick() {
    note();
    timer = setTimeout(tick, 1);
  }
  return () => {
    note();
    clearTimeout(timer);
    return worst;
  };
}

module.exports = { startMeter, watchLoop };
