/**
 * Ceilings of a scope over all plugins, as rtkit has them for users: how often, and how much at once. In the config,
 * and enforced whatever the plugins say: a policy that allows everything still can't fill a host with realtime threads.
 */
import { type Effect, type Facts, makesRealtime } from '../host-api/contract.ts';
import { DeputyError } from '../host-api/errors.ts';
import { readRttimeUs } from '../host-api/kernel/prlimit.ts';
import { formatBytes } from '../host-api/limit.ts';
import type { Process } from '../host-api/target.ts';
import type { DeputyToml } from './config/deputy-toml.ts';
import { limitBytes } from './ledger/layers.ts';

export type QuotaLimits = DeputyToml['quota'];

/** Scopes remembered at once. More than live on a host; the oldest window is forgotten first. */
const MAX_SCOPES = 16_384;

interface Window {
  readonly startMs: number;
  actions: number;
}

export class Quota {
  readonly #limits: QuotaLimits;
  readonly #windows = new Map<string, Window>();

  constructor(limits: QuotaLimits) {
    this.#limits = limits;
  }

  /** Counts one granted action of the scope. `nowMs` is monotonic. Throws QuotaExceeded where the interval is full. */
  take(scope: string, nowMs: number): void {
    const { actions, interval_ms } = this.#limits;
    let window = this.#windows.get(scope);
    if (window === undefined || nowMs - window.startMs >= interval_ms) {
      window = { startMs: nowMs, actions: 0 };
      // Insertion order is age: deleting first moves the scope to the end.
      this.#windows.delete(scope);
      this.#windows.set(scope, window);
      if (this.#windows.size > MAX_SCOPES) this.#windows.delete(this.#windows.keys().next().value ?? scope);
    }
    if (window.actions >= actions) {
      const retryAfterMs = Math.ceil(window.startMs + interval_ms - nowMs);
      throw new DeputyError(
        'QuotaExceeded',
        `scope ${scope} has had ${window.actions} grants in ${interval_ms} ms, the quota is ${actions}; try again in ${retryAfterMs} ms`,
        { quota: 'actions', requested: window.actions + 1, allowed: actions, retryAfterMs },
      );
    }
    window.actions++;
  }

  /** Throws QuotaExceeded where the effects would take the scope over what it may hold at once. */
  checkHoldings(effects: readonly Effect[], facts: Facts): void {
    const { scope } = facts.subject;
    const { memlock_bytes, realtime_threads } = this.#limits;
    for (const effect of effects) {
      if (effect.tag === 'set-memlock') {
        const requested = facts.ledger.memlockBytes + limitBytes(effect.hard);
        if (requested > memlock_bytes) {
          throw new DeputyError(
            'QuotaExceeded',
            `memlock ${effect.hard.tag === 'unlimited' ? 'unlimited' : formatBytes(effect.hard.val)} takes scope ${scope}, which holds ${formatBytes(facts.ledger.memlockBytes)}, over its quota of ${formatBytes(memlock_bytes)}`,
            { quota: 'memlock_bytes', requested, allowed: memlock_bytes },
          );
        }
      }
    }
    const realtime = new Set<number>();
    for (const effect of effects) {
      if (effect.tag !== 'set-scheduler' || !makesRealtime(effect)) continue;
      const tids =
        effect.threads.tag === 'only' ? effect.threads.val : facts.target.threads.map(({ tid }) => tid);
      for (const tid of tids) realtime.add(tid);
    }
    const requested = facts.ledger.realtimeThreads + realtime.size;
    if (realtime.size > 0 && requested > realtime_threads) {
      throw new DeputyError(
        'QuotaExceeded',
        `${realtime.size} more realtime threads take scope ${scope}, which holds ${facts.ledger.realtimeThreads}, over its quota of ${realtime_threads}`,
        { quota: 'realtime_threads', requested, allowed: realtime_threads },
      );
    }
  }

  /**
   * rtkit's demand: a process whose threads become realtime must have an RLIMIT_RTTIME, so that the kernel ends one
   * that runs without ever sleeping. The hard limit counts, since the process may raise the soft one up to it.
   * Throws QuotaExceeded, or a KernelError where the process is gone.
   */
  checkRttime(effects: readonly Effect[], process: Process): void {
    const { max_rttime_us: allowed } = this.#limits;
    if (allowed === undefined || !effects.some(makesRealtime)) return;
    const rttimeUs = readRttimeUs(process);
    if (rttimeUs !== undefined && rttimeUs <= BigInt(allowed)) return;
    throw new DeputyError(
      'QuotaExceeded',
      `the hard RLIMIT_RTTIME of pid ${process.pid} is ${rttimeUs === undefined ? 'unlimited' : `${rttimeUs} µs`}, and realtime is for processes of at most ${allowed} µs: set it with setrlimit(2) first`,
      { quota: 'max_rttime_us', requested: rttimeUs, allowed },
    );
  }
}
