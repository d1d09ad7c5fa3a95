/**
 * Whether a normal thread starves: pure, so that it can be tested without starving anything. Time counts only as far as
 * the observer itself was seen awake: a machine that was suspended, or a virtual one that was paused, starves nobody.
 */
export class Starvation {
  readonly #starvedMs: number;
  readonly #periodMs: number;
  #tick: number | undefined;
  #lastMs = 0;
  #silentMs = 0;

  /** `periodMs`: how often `observe` is called. */
  constructor(starvedMs: number, periodMs: number) {
    this.#starvedMs = starvedMs;
    this.#periodMs = periodMs;
  }

  /** `tick`: what the canary counts up; `nowMs`: monotonic. */
  observe(tick: number, nowMs: number): boolean {
    const slept = Math.min(nowMs - this.#lastMs, 2 * this.#periodMs);
    this.#lastMs = nowMs;
    if (tick !== this.#tick) {
      this.#tick = tick;
      this.#silentMs = 0;
      return false;
    }
    this.#silentMs += slept;
    return this.#silentMs >= this.#starvedMs;
  }

  get silentMs(): number {
    return this.#silentMs;
  }
}
