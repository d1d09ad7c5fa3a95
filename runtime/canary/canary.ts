/** The daemon's side: what the watchdog is to know, and what is refused after it had to act. */
import { Worker } from 'node:worker_threads';
import type { Logger } from 'pino';
import { type Change, type ChangeOf, keyOf } from '../../host-api/change.ts';
import { type Effect, isRealtime, makesRealtime } from '../../host-api/contract.ts';
import { DeputyError } from '../../host-api/errors.ts';
import { closeEvent, createEvent, signalEvent } from '../../host-api/kernel/event.ts';
import { MAX_ROWS, type Row, Shared } from './shared.ts';
import type { WorkerData, WorkerMessage } from './worker.ts';

export interface CanaryOptions {
  readonly starvedMs: number;
  readonly refuseMs: number;
}

/** A grant was taken back because it starved the machine. */
export type Starved = Extract<WorkerMessage, { tag: 'starved' }>;

/** Told of realtime grants before they are made, asked whether there may be more. */
export interface RealtimeGuard {
  /**
   * Asked before the effects, and again after them: they may be what starved the machine. Throws QuotaExceeded, or
   * NotSupported where nobody would watch.
   */
  check(effects: readonly Effect[]): void;
  /** Must be called before any of the changes is made: a thread may starve the daemon the moment it is realtime. */
  expect(changes: readonly Change[]): void;
  /** What is granted, as the ledger has it. */
  granted(changes: readonly Change[]): void;
}

/** For daemons that grant nothing realtime, or whose operator wants no canary. */
export const UNGUARDED: RealtimeGuard = { check: () => {}, expect: () => {}, granted: () => {} };

/** Where there should be a canary and can be none: nothing realtime is granted. */
export function refusingGuard(reason: string): RealtimeGuard {
  return {
    ...UNGUARDED,
    check(effects) {
      if (effects.some(makesRealtime))
        throw unwatched(`there is no watchdog over realtime threads (${reason})`);
    },
  };
}

export class Canary implements RealtimeGuard {
  readonly #shared: Shared;
  readonly #stop = createEvent();
  readonly #workers: Worker[] = [];
  readonly #options: CanaryOptions;
  #rows: ReadonlyMap<string, Row> = new Map();
  #refuseUntilMs = Number.NEGATIVE_INFINITY;
  #demotions = 0;
  #dead: string | undefined;
  #stopping = false;

  private constructor(options: CanaryOptions, shared: Shared) {
    this.#options = options;
    this.#shared = shared;
  }

  /** Throws where the threads can't be started or made realtime; without them nothing realtime should be granted. */
  static async start(
    options: CanaryOptions,
    logger: Logger,
    onStarved: (starved: Starved) => void,
    shared = new Shared(),
  ): Promise<Canary> {
    const canary = new Canary(options, shared);
    try {
      // The watchdog first: a canary without one warns nobody.
      await canary.#spawn('watchdog', logger, onStarved);
      await canary.#spawn('canary', logger, onStarved);
      return canary;
    } catch (error) {
      await canary.stop();
      throw error;
    }
  }

  check(effects: readonly Effect[]): void {
    if (!effects.some(makesRealtime)) return;
    if (this.#dead !== undefined) {
      throw unwatched(`the watchdog over realtime threads has died (${this.#dead})`);
    }
    this.#noticeDemotions();
    const retryAfterMs = Math.ceil(this.#refuseUntilMs - performance.now());
    if (retryAfterMs > 0) {
      throw new DeputyError(
        'QuotaExceeded',
        `realtime threads have starved this machine and were demoted; realtime is refused for ${retryAfterMs} ms`,
        { quota: 'starvation', retryAfterMs },
      );
    }
  }

  expect(changes: readonly Change[]): void {
    const entering = changes.filter(entersRealtime);
    // All but few requests: they pay for no copy of the table.
    if (entering.every((change) => this.#rows.has(keyOf(change)))) return;
    const rows = new Map(this.#rows);
    for (const change of entering) add(rows, change);
    if (rows.size > MAX_ROWS) {
      throw new DeputyError(
        'QuotaExceeded',
        `${rows.size} realtime threads on this host, of which ${MAX_ROWS} can be watched; nothing was changed`,
        { quota: 'watched_threads', requested: rows.size, allowed: MAX_ROWS },
      );
    }
    this.#publish(rows);
  }

  granted(changes: readonly Change[]): void {
    const rows = new Map<string, Row>();
    for (const change of changes.filter(entersRealtime)) {
      // More than that were granted by a daemon without a canary: nothing is added to what can't be watched.
      if (rows.size < MAX_ROWS) add(rows, change);
    }
    this.#publish(rows);
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    signalEvent(this.#stop);
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
    closeEvent(this.#stop);
  }

  /** By the count in shared memory: a request that waited while the machine starved is handled before any message is. */
  #noticeDemotions(): void {
    const { demotions } = this.#shared;
    if (demotions === this.#demotions) return;
    this.#demotions = demotions;
    this.#refuseUntilMs = performance.now() + this.#options.refuseMs;
  }

  #publish(rows: ReadonlyMap<string, Row>): void {
    this.#rows = rows;
    this.#shared.publish([...rows.values()]);
  }

  #spawn(role: WorkerData['role'], logger: Logger, onStarved: (starved: Starved) => void): Promise<void> {
    const { buffer } = this.#shared;
    const data: WorkerData = { role, buffer, stop: this.#stop, starvedMs: this.#options.starvedMs };
    const extension = import.meta.filename.endsWith('.ts') ? 'ts' : 'js';
    const worker = new Worker(new URL(`worker.${extension}`, import.meta.url), {
      name: role,
      workerData: data,
      resourceLimits: { maxOldGenerationSizeMb: 32, maxYoungGenerationSizeMb: 4 },
    });
    this.#workers.push(worker);
    let ready = false;
    return new Promise((resolve, reject) => {
      worker.on('message', (message: WorkerMessage) => {
        if (message.tag === 'ready') {
          ready = true;
          worker.unref();
          return resolve();
        }
        this.#noticeDemotions();
        onStarved(message);
      });
      const died = (reason: string): void => {
        if (this.#stopping) return;
        this.#dead ??= reason;
        reject(new Error(reason));
        if (ready)
          logger.error({ role, reason }, 'a thread of the canary has died: realtime is refused from now on');
      };
      worker.on('error', (error) => died(error instanceof Error ? error.message : String(error)));
      worker.on('exit', (code) => died(`exit ${code}`));
    });
  }
}

export function entersRealtime(change: Change): change is ChangeOf<'scheduler'> {
  return change.tag === 'scheduler' && isRealtime(change.after.policy);
}

/** Of several grants to a thread the first counts: what it was before any of them. */
function add(rows: Map<string, Row>, change: ChangeOf<'scheduler'>): void {
  const key = keyOf(change);
  if (!rows.has(key)) rows.set(key, change);
}

/** Trying again does not help: it is for the operator to mend. */
function unwatched(message: string): DeputyError {
  return new DeputyError('NotSupported', message);
}
