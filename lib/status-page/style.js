// How the status page looks, by day and by night.
'use strict';

const STYLE = `
:root {
  --back: #f6f7f9; --card: #fff; --text: #1b2330; --dim: #687385; --line: #dfe3e9;
  --active: #2563eb; --idle: #93b4f5; --connecting: #f0b429; --waiting: #d9480f;
  --p50: #0f9d76; --p95: #7c4ddb; --p99: #c2255c; --rate: #2563eb; --error: #d92d20;
  --healthy: #12855f; --degraded: #b7791f; --unhealthy: #c92a2a; --starting: #687385;
}
@media (prefers-color-scheme: dark) {
  :root {
    --back: #10141b; --card: #181e28; --text: #e6eaf0; --dim: #94a0b3; --line: #2b3442;
    --active: #5b8dff; --idle: #2f4d8f; --connecting: #e0a93a; --waiting: #ff8a4c;
    --p50: #3ecf9f; --p95: #a78bfa; --p99: #f472a6; --rate: #5b8dff; --error: #ff6b61;
    --healthy: #2fa97f; --degraded: #d69e2e; --unhealthy: #f05252; --starting: #94a0b3;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 1.25rem; max-width: 80rem; background: var(--back); color: var(--text);
  font: 14px/1.45 system-ui, sans-serif;
}
header { display: flex; align-items: center; gap: .75rem; margin-bottom: 1rem; }
h1 { font-size: 1.25rem; margin: 0; }
h2 { font-size: 1rem; margin: 0; display: flex; align-items: center; gap: .6rem; }
h3 { font-size: .8rem; font-weight: 600; margin: 0 0 .3rem; color: var(--dim); }
.pill { border-radius: 1rem; padding: .05rem .6rem; color: #fff; background: var(--starting); font-size: .8rem; font-weight: 600; }
.pill.healthy, .pill.closed { background: var(--healthy); }
.pill.degraded, .pill.half-open { background: var(--degraded); }
.pill.unhealthy, .pill.open { background: var(--unhealthy); }
#stale { color: var(--unhealthy); font-weight: 600; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: 1rem; margin-bottom: 1rem; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(19rem, 1fr)); gap: 1rem 1.5rem; margin: .8rem 0; }
figure { margin: 0; min-width: 0; }
svg { display: block; width: 100%; height: 8rem; background: color-mix(in srgb, var(--back) 55%, transparent); border-radius: .3rem; }
.legend { display: flex; flex-wrap: wrap; gap: .1rem .9rem; font-size: .78rem; color: var(--dim); margin-top: .25rem; }
.legend b { color: var(--text); font-weight: 600; font-variant-numeric: tabular-nums; }
.legend i { display: inline-block; width: .7em; height: .7em; border-radius: .15em; margin-right: .35em; }
.strip { display: flex; gap: 1px; height: 1.1rem; border-radius: .3rem; overflow: hidden; background: var(--back); }
.strip span { flex: 1 1 0; min-width: 0; background: var(--starting); }
.strip .healthy { background: var(--healthy); }
.strip .degraded { background: var(--degraded); }
.strip .unhealthy { background: var(--unhealthy); }
.tables { display: grid; grid-template-columns: repeat(auto-fit, minmax(19rem, 1fr)); gap: 1rem 1.5rem; margin-top: .9rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: left; font-size: .75rem; font-weight: 600; color: var(--dim); }
th, td { padding: .2rem .6rem .2rem 0; border-bottom: 1px solid var(--line); }
td:has(svg) { width: 40%; }
td { overflow-wrap: anywhere; }
footer, noscript { color: var(--dim); font-size: .85rem; }
a { color: var(--active); }
.c-active { fill: var(--active); background: var(--active); }
.c-idle { fill: var(--idle); background: var(--idle); }
.c-connecting { fill: var(--connecting); background: var(--connecting); }
.c-waiting { stroke: var(--waiting); background: var(--waiting); }
.c-max { stroke: var(--dim); background: var(--dim); stroke-dasharray: 4 4; }
.c-p50 { stroke: var(--p50); background: var(--p50); }
.c-p95 { stroke: var(--p95); background: var(--p95); }
.c-p99 { stroke: var(--p99); background: var(--p99); }
.c-perSecond { stroke: var(--rate); background: var(--rate); }
.c-errorsPerSecond { stroke: var(--error); background: var(--error); }
.c-renewed { stroke: var(--p50); background: var(--p50); }
.c-failed { stroke: var(--error); background: var(--error); }
.c-killed { stroke: var(--p95); background: var(--p95); }
svg.lane { height: 1.1rem; min-width: 6rem; }
.s-primary { fill: var(--active); }
.s-standby, .s-closed { fill: var(--healthy); }
.s-fenced, .s-half-open { fill: var(--degraded); }
.s-unreachable, .s-open { fill: var(--unhealthy); }
.s-unknown { fill: var(--starting); }
path.line { fill: none; stroke-width: 1.5; vector-effect: non-scaling-stroke; stroke-linejoin: round; }
text { fill: var(--dim); font-size: 10px; }
`;

module.exports = { STYLE };
