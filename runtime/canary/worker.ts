/**
 * Two threads beside the daemon's own (rtkit has the same two). The canary is a normal thread that wakes up now and
 * then; the watchdog is a realtime thread above every grant, that sees by the kernel's own count how long the canary
 * waits for a CPU, and takes realtime from those whom deputy gave it when that is most of the time. A thread of its own
 * for each: a daemon that waits for its disk is not starving.
 */
import { parentPort, workerData } from 'node:worker_threads';
import type { SchedulingState } from '../../host-api/change.ts';
import { waitForEvent } from '../../host-api/kernel/event.ts';
import { readOwnThreadId, readStat, readWaitedNs } from '../../host-api/kernel/proc.ts';
import { readAffinity, writeScheduling } from '../../host-api/kernel/sched.ts';
import { type Demoted, demote, suspicion } from './demote.ts';
import { type Row, Shared, WATCHDOG_PRIORITY } from './shared.ts';
import { Starvation, WaitClock } from './starvation.ts';

export interface WorkerData {
  readonly role: 'canary' | 'watchdog';
  readonly buffer: SharedArrayBuffer;
  /** Signalled when both are to end (`host-api/kernel/event.ts`). */
  readonly stop: number;
  readonly starvedMs: number;
}

export type WorkerMessage =
  | { readonly tag: 'ready' }
  | {
      readonly tag: 'starved';
      /** For how long a normal thread had waited for a CPU, and within how long. */
      readonly waitedMs: number;
      readonly withinMs: number;
      readonly threads: readonly (Row & { readonly outcome: Demoted })[];
    };

/** sched_setattr(2): the calling thread. */
const SELF = 0;
/** Of a limit, in which the watchdog looks and the canary wakes up once each. */
const PERIODS = 10;
/** Whatever the service manager gave the daemon: a canary of high priority would see no starvation, of low much. */
const NORMAL: SchedulingState = { policy: 'other', priority: 0, nice: 0, resetOnFork: true };
/** Later than a busy host wakes a thread, or than a CPUQuota= of the daemon's own lets it wait (systemd: 100 ms). */
const LATE_MS = 200;
/** Once it was late it hardly sleeps: only a thread that wants a CPU can tell whether there is one. */
const ALERT_SLEEP_MS = 10;

const { role, buffer, stop, starvedMs } = workerData as WorkerData;
const shared = new Shared(buffer);
const periodMs = starvedMs / PERIODS;
const tell = (message: WorkerMessage): void => parentPort?.postMessage(message);

if (role === 'canary') sing();
else watch();

function sing(): void {
  writeScheduling(SELF, NORMAL);
  const tid = readOwnThreadId();
  if (readWaitedNs(tid, process.pid) === undefined) {
    throw new Error('the kernel does not count how long threads wait: /proc/PID/schedstat is missing');
  }
  shared.canaryTid = tid;
  tell({ tag: 'ready' });
  let alertUntilMs = 0;
  let sleepMs = 0;
  let sleptAtMs = performance.now();
  while (!waitForEvent(stop, sleepMs)) {
    const nowMs = performance.now();
    if (nowMs - sleptAtMs >= sleepMs + LATE_MS) alertUntilMs = nowMs + starvedMs / 2;
    sleepMs = nowMs < alertUntilMs ? ALERT_SLEEP_MS : periodMs;
    sleptAtMs = nowMs;
  }
}

function watch(): void {
  writeScheduling(SELF, { policy: 'fifo', priority: WATCHDOG_PRIORITY, nice: 0, resetOnFork: true });
  tell({ tag: 'ready' });
  const starvation = new Starvation(starvedMs, periodMs);
  const clock = new WaitClock();
  let acted = false;
  while (!waitForEvent(stop, periodMs)) {
    const nowMs = performance.now();
    const tid = shared.canaryTid;
    const waitedNs = readWaitedNs(tid, process.pid);
    // It has not started yet, or has died, which the daemon sees.
    if (waitedNs === undefined) continue;
    const queued = readStat(tid, process.pid)?.state === 'R';
    const starved = starvation.observe(clock.read(waitedNs, queued, nowMs), nowMs);
    if (!starved) {
      acted = false;
      continue;
    }
    const cpus = readAffinity(tid);
    const suspects = shared
      .rows()
      .map((row) => ({ row, suspicion: suspicion(row, cpus) }))
      .filter(({ suspicion }) => suspicion !== 'none');
    // Nothing of ours left to take: somebody else starves the machine, and saying so each second would not help.
    if (suspects.length === 0) continue;
    // What starves others runs now, or is about to. Where that was not all of it, the rest goes a period later.
    const runnable = suspects.filter(({ suspicion }) => suspicion === 'runnable');
    const chosen = acted || runnable.length === 0 ? suspects : runnable;
    acted = true;
    // Said before anything is demoted: from the first on the daemon may run again, and is to grant nothing more.
    shared.announceDemotion();
    const threads = chosen.map(({ row }) => ({ ...row, outcome: demote(row) }));
    const { waitedMs, lastedMs } = starvation.episode;
    tell({ tag: 'starved', waitedMs: Math.round(waitedMs), withinMs: Math.round(lastedMs), threads });
  }
}
