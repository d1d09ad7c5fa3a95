/**
 * Two threads beside the daemon's own (rtkit has the same two). The canary is a normal thread that counts whenever it
 * gets a CPU; the watchdog is a realtime thread above every grant, that takes realtime from all whom deputy gave it
 * when the canary falls silent. A thread of its own for each: a daemon that waits for its disk is not starving.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { writeScheduling } from '../../host-api/kernel/sched.ts';
import { type Demoted, demote } from './demote.ts';
import { type Row, Shared } from './shared.ts';
import { Starvation } from './starvation.ts';

export interface WorkerData {
  readonly role: 'canary' | 'watchdog';
  readonly buffer: SharedArrayBuffer;
  readonly starvedMs: number;
}

export type WorkerMessage =
  | { readonly tag: 'ready' }
  | {
      readonly tag: 'starved';
      readonly silentMs: number;
      readonly threads: readonly (Row & { readonly outcome: Demoted })[];
    };

/** sched(7): nothing that is granted can be above it. */
const PRIORITY = 99;
/** sched_setattr(2): the calling thread. */
const SELF = 0;
const TICKS_PER_LIMIT = 5;

const { role, buffer, starvedMs } = workerData as WorkerData;
const shared = new Shared(buffer);
const periodMs = starvedMs / TICKS_PER_LIMIT;
const tell = (message: WorkerMessage): void => parentPort?.postMessage(message);

if (role === 'canary') {
  tell({ tag: 'ready' });
  do shared.beat();
  while (shared.sleep(periodMs / 2));
} else {
  writeScheduling(SELF, { policy: 'fifo', priority: PRIORITY, nice: 0, resetOnFork: true });
  tell({ tag: 'ready' });
  const starvation = new Starvation(starvedMs, periodMs);
  while (shared.sleep(periodMs)) {
    if (!starvation.observe(shared.tick, performance.now())) continue;
    const threads = shared.rows().map((row) => ({ ...row, outcome: demote(row) }));
    // Nothing of ours left to take: somebody else starves the machine, and saying so each second would not help.
    if (threads.some(({ outcome }) => outcome === 'demoted' || outcome === 'failed')) {
      tell({ tag: 'starved', silentMs: Math.round(starvation.silentMs), threads });
    }
  }
}
