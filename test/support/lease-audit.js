// Whom reapers ended, as the server itself tells it: its log with the settings below, read afterwards.
'use strict';

/** Settings of the server whose log is read. */
const AUDITED = { log_line_prefix: '%m|%p|%a|' };

const LINE =
  /^(\S+) (\S+) UTC\|(\d+)\|(s=[^|]*);e=(\d+);g=[^|]*\|FATAL: {2}terminating connection due to administrator command$/;

/**
 * @param {string} log
 * @returns {{ pid: number, lease: string, at: number, expiry: number }[]} in milliseconds since 1970, by the server's clock
 */
function endedLeases(log) {
  return log.split('\n').flatMap((line) => {
    const [, day, time, pid, lease, expiry] = LINE.exec(line) ?? [];
    if (lease === undefined) return [];
    const at = Date.parse(`${day}T${time}Z`);
    return [{ pid: Number(pid), lease, at, expiry: Number(expiry) }];
  });
}

module.exports = { AUDITED, endedLeases };
