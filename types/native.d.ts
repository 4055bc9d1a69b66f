// The exports of the engine's binary (internal; checked against the built file by scripts/check-api.js).

/** Makes the calling thread an environment. `onWake` runs whenever answers have arrived; `lends`: sockets may be lent to its event loop. Returns the command words by number − 1. */
export function setup(onWake: () => void, lends: boolean): string[];
/** Starts the requests in the first `length` bytes of the outbox; `alone` when nothing but the one in there is awaited. */
export function submit(outbox: Uint8Array, length: number, alone: boolean): void;
/** Takes answers: bytes written, plus 2³² when more are waiting. */
export function drain(inbox: Uint8Array): number;
/** Takes the next body that did not fit the inbox. */
export function spilled(buffer: Uint8Array): void;
/** Lets it go; of a JSON text, what is left when its strings are cut. */
export function spilled(buffer: undefined, isText: boolean): string;
/** Blocks the thread until answers have arrived; false when the time ran out. */
export function park(ms: number): boolean;
/** Looks for answers without letting the core sleep; false when the time ran out. */
export function look(us: number): boolean;
/** Keeps the event loop alive, or lets it end. */
export function hold(hold: boolean): void;
/** Numbers a statement text. */
export function statement(text: string): number;
/** May something of the statement last in its session? */
export function leavesResidue(text: string): boolean;
/** JSON of types/rows.d.ts `Shape`. */
export function shape(number: number): string;
/** Number of a type profile; `custom` (read from text) and `raw` (from binary) hold u32 OIDs, little-endian. */
export function profile(preset: 'pg' | 'lossless', custom: Buffer, raw: Buffer): number;
/** Asked for a password, or about a certificate; the answer comes by `passwordAnswer`. `question` is JSON; must not throw. */
export type Ask = (number: number, question: string) => void;
/** JSON options and environment in, JSON `{handle, warnings, about}` out; `about`: database, user, hosts. */
export function poolOpen(options: string, environment: string, ask?: Ask): string;
/** Another handle of a pool, for this environment; the pool goes on without it. */
export function poolJoin(slot: number, generation: number): number;
/** JSON counts, or null for a stale handle. */
export function poolStatus(slot: number, generation: number, withNodes?: true): string | null;
/** JSON of everything counted (native/src/addon/figures.rs), or null for a stale handle. */
export function poolFigures(slot: number, generation: number): string | null;
/** Has attempts to connect, failovers and commits that were looked into of the pool sent here. */
export function poolHear(slot: number, generation: number): void;
/** A statement for the pool is about to come: if it has no connection, and none on its way, one is opened. */
export function poolExpect(slot: number, generation: number): void;
/** What became of a transaction: `trace` is JSON of `CommitTrace`; JSON `{fate, status}`. */
export function resolveCommit(
  slot: number,
  generation: number,
  trace: string,
  patienceMs: number,
): Promise<string>;
/** JSON of native/src/addon/health.rs: one probe of the server. */
export function poolProbe(slot: number, generation: number, patienceMs: number): Promise<string>;
/** Number of a monitor that probes until it is stopped; events of the pool say when it has a report. */
export function poolMonitor(
  slot: number,
  generation: number,
  intervalMs: number,
  patienceMs: number,
): number;
/** Number of the probe under way, or of one that begins at once; null if there will be none. */
export function poolProbeNow(slot: number, generation: number, monitor: number): number | null;
/** Stops it; number of the probe whose report is still to come, else null. */
export function poolUnmonitor(slot: number, generation: number, monitor: number): number | null;
/** JSON `{report, number, isRegular, skipped}`: the newest report that was not taken yet; else null. */
export function poolProbed(slot: number, generation: number, monitor: number): string | null;
/** Handle of a session that takes its connection with its first request. */
export function sessionOpen(slot: number, generation: number): number;
/** Number of its connection, unlike that of any other; null while it has none. */
export function sessionConnection(slot: number, generation: number): number | null;
/** Gives the connection back once all is answered, or the place in the queue; after `waitedMs` only the latter, false: it has none. */
export function sessionLeave(slot: number, generation: number, waitedMs: number | null): boolean;
/** Has events of the session's connection sent here; to be called before its first request. */
export function sessionHear(slot: number, generation: number): void;
/** JSON `{handle, pid, host, encrypted, parameters, warnings, about}`; `about`: database and user. */
export function clientOpen(options: string, environment: string, ask?: Ask): Promise<string>;
/** The same, with the thread blocked for at most `patienceMs`; without a password function, which would need the thread. */
export function clientOpenSync(options: string, environment: string, patienceMs: number): string;
/** Answers a question: the password (for a certificate any text), or why there is none. */
export function passwordAnswer(
  number: number,
  answer: string | undefined,
  problem: string,
  isCertificate: boolean,
): void;
/** Transaction status with the last answer, also of a lost connection; null for a stale handle. */
export function clientStatus(slot: number, generation: number): 'I' | 'T' | 'E' | null;
/** May statements have left something in the session since this was asked last? Only where `resetQuery` is set. */
export function clientResidue(slot: number, generation: number): boolean;
/** Gives a request up; false when it is not known. */
export function cancel(slot: number, generation: number, request: number): boolean;
/** Ends a pool or client in bounded time. JSON `{drained, rejected, cancelled, open, figures}` of a pool: requests in flight, callers turned away, transactions and streams that stood open, everything counted. */
export function end(slot: number, generation: number, patienceMs: number): Promise<string>;
/** Lets an object go without waiting. */
export function release(slot: number, generation: number): void;
/** Eight random characters. */
export function leaseInstance(): string;
/** The `application_name` of a lease. */
export function leaseSign(
  service: string,
  instance: string,
  secret: string,
  expiryMs: number,
): string;
/** JSON `{svc, inst, exp, isExpired}`, or null when it is no lease of this secret. */
export function leaseVerify(name: string, secret: string, nowMs: number): string | null;
/** JSON `{service, instance, weak}`: what leases of a service carry. */
export function leaseToken(service: string, instance: string, secret: string): string;
