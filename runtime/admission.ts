/** How many connections and requests one uid may have, so that it can't crowd out the others. */
import { DeputyError } from '../host-api/errors.ts';
import type { DeputyToml } from './config/deputy-toml.ts';

type Limits = Pick<DeputyToml['limits'], 'connections' | 'connections_per_uid' | 'requests_per_second'>;

interface Usage {
  connections: number;
  /** Token bucket: requests that may be made at once, refilled at the rate. */
  tokens: number;
  filledMs: number;
}

export class Admission {
  readonly #limits: Limits;
  readonly #uids = new Map<number, Usage>();
  #connections = 0;

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  /** Counts a connection. Throws Busy where there are too many; then it is not counted. */
  enter(uid: number): void {
    const { connections, connections_per_uid } = this.#limits;
    const usage = this.#usage(uid);
    if (this.#connections >= connections) throw busy('connections', connections);
    if (usage.connections >= connections_per_uid)
      throw busy(`connections of uid ${uid}`, connections_per_uid);
    usage.connections++;
    this.#connections++;
  }

  leave(uid: number): void {
    const usage = this.#usage(uid);
    usage.connections--;
    this.#connections--;
    // A full bucket remembers nothing: what is left of a uid that has gone is its debt, for a second.
    if (usage.connections === 0 && this.#refill(usage) >= this.#limits.requests_per_second)
      this.#uids.delete(uid);
  }

  /** Counts a request. Throws Busy where the uid is over its rate. */
  request(uid: number): void {
    const usage = this.#usage(uid);
    if (this.#refill(usage) < 1)
      throw busy(`requests per second of uid ${uid}`, this.#limits.requests_per_second);
    usage.tokens--;
  }

  get connections(): number {
    return this.#connections;
  }

  #usage(uid: number): Usage {
    let usage = this.#uids.get(uid);
    if (usage === undefined) {
      usage = { connections: 0, tokens: this.#limits.requests_per_second, filledMs: performance.now() };
      this.#uids.set(uid, usage);
    }
    return usage;
  }

  #refill(usage: Usage): number {
    const nowMs = performance.now();
    const rate = this.#limits.requests_per_second;
    usage.tokens = Math.min(rate, usage.tokens + ((nowMs - usage.filledMs) / 1000) * rate);
    usage.filledMs = nowMs;
    return usage.tokens;
  }
}

function busy(what: string, allowed: number): DeputyError {
  return new DeputyError('Busy', `too many ${what}: ${allowed} are allowed; try again later`, { allowed });
}
