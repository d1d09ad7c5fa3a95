/**
 * Whether normal threads starve: pure, so that it can be tested without starving anything. What counts is the share of
 * time that the canary waits for a CPU, and not that it gets none at all: kernels keep a few milliseconds of each second
 * for normal threads (`sched_rt_runtime_us`, since 6.12 the fair server), and a host that has no more is no host.
 */

/** A moment with a CPU undoes two of waiting: what waits for two thirds of its time or less does not starve. */
const RECOVERY = 2;

export class Starvation {
  readonly #starvedMs: number;
  readonly #periodMs: number;
  #lastMs: number | undefined;
  #lastTotalMs = 0;
  #pressureMs = 0;
  #episode = { waitedMs: 0, lastedMs: 0 };

  /** `periodMs`: how often `observe` is called. */
  constructor(starvedMs: number, periodMs: number) {
    this.#starvedMs = starvedMs;
    this.#periodMs = periodMs;
  }

  /** `totalMs`: how long the canary has waited in all; `nowMs`: monotonic. */
  observe(totalMs: number, nowMs: number): boolean {
    // Only as far as the observer itself was seen awake: a machine that was suspended, or a virtual one that was
    // paused, starves nobody.
    const awakeMs = Math.min(nowMs - (this.#lastMs ?? nowMs), 2 * this.#periodMs);
    const waited = Math.max(0, Math.min(totalMs - this.#lastTotalMs, 2 * this.#periodMs));
    this.#lastTotalMs = totalMs;
    if (this.#lastMs !== undefined) {
      // Where a wait of before is counted now, it is more than the time since: that takes back what was undone too much.
      const pressure = this.#pressureMs + waited - RECOVERY * (awakeMs - waited);
      this.#pressureMs = Math.max(0, Math.min(pressure, this.#starvedMs));
      const { waitedMs, lastedMs } = this.#episode;
      this.#episode =
        this.#pressureMs === 0
          ? { waitedMs: 0, lastedMs: 0 }
          : { waitedMs: waitedMs + waited, lastedMs: lastedMs + awakeMs };
    }
    this.#lastMs = nowMs;
    // The share alone can be reached early, by a wait that was counted late.
    return this.#pressureMs >= this.#starvedMs && this.#episode.waitedMs >= this.#starvedMs;
  }

  /** Since there was any pressure: how long the canary waited, and how long that took. */
  get episode(): { readonly waitedMs: number; readonly lastedMs: number } {
    return this.#episode;
  }
}

/** How long a thread has waited for a CPU in all, the wait included that still goes on. */
export class WaitClock {
  #countedNs = -1n;
  #pendingMs = 0;
  #queuedAtMs: number | undefined;

  /**
   * `waitedNs`: what the kernel has counted, which it does at the end of a wait; `queued`: whether the thread is
   * runnable (state R) right now. A thread that is blocked by a page fault waits for a disk, not for a CPU.
   */
  read(waitedNs: bigint, queued: boolean, nowMs: number): number {
    if (waitedNs !== this.#countedNs || !queued) {
      this.#countedNs = waitedNs;
      this.#pendingMs = 0;
      this.#queuedAtMs = queued ? nowMs : undefined;
    } else {
      // The same wait as last time, as far as is known: it had begun by then.
      this.#queuedAtMs ??= nowMs;
      this.#pendingMs = nowMs - this.#queuedAtMs;
    }
    return Number(waitedNs / 1_000_000n) + this.#pendingMs;
  }
}
