import { type Change, keyOf } from '../../host-api/change.ts';
import { isRealtime, type Limit, type Memlock } from '../../host-api/contract.ts';

/** One grant over one field of one process or thread. */
export interface Layer {
  readonly id: number;
  readonly scope: string;
  /** The connection whose end takes the grant back; absent for one that lasts until `Release` or the process's end. */
  readonly lease: number | undefined;
  readonly change: Change;
}

/**
 * What is granted, as a stack for each field. Taking back the top restores what it found; taking back one below
 * changes nothing in the kernel, and the layer above inherits what was found first. So two clients that were granted
 * the same field don't pull it from under each other, in whatever order they leave.
 */
export class Layers {
  readonly #stacks = new Map<string, Layer[]>();

  push(layer: Layer): void {
    const key = keyOf(layer.change);
    const stack = this.#stacks.get(key) ?? [];
    const top = stack.at(-1);
    if (top !== undefined && top.lease === layer.lease && top.scope === layer.scope) {
      stack[stack.length - 1] = { ...top, change: between(top.change, layer.change) };
    } else {
      stack.push(layer);
    }
    this.#stacks.set(key, stack);
  }

  /** The change to revert in the kernel before the layer is taken away: none where another lies above it. */
  toRevert(layer: Layer): Change | undefined {
    const top = this.#stacks.get(keyOf(layer.change))?.at(-1);
    return top?.id === layer.id ? top.change : undefined;
  }

  /** Takes a layer away; one above it inherits what was found first. */
  remove(layer: Layer): void {
    const key = keyOf(layer.change);
    const stack = this.#stacks.get(key) ?? [];
    const index = stack.findIndex(({ id }) => id === layer.id);
    const [found] = index === -1 ? [] : stack.splice(index, 1);
    if (found === undefined) return;
    if (stack.length === 0) this.#stacks.delete(key);
    const above = stack[index];
    if (above !== undefined) stack[index] = { ...above, change: between(found.change, above.change) };
  }

  /** In the order of granting. */
  all(): Layer[] {
    return [...this.#stacks.values()].flat().sort((a, b) => a.id - b.id);
  }

  get size(): number {
    return this.#stacks.size;
  }
}

/** From where the first began to where the second ended. Both are over the same field. */
function between(first: Change, second: Change): Change {
  return { ...second, before: first.before } as Change;
}

/** What a scope holds, of the fields given. Unlimited counts as more than any quota. */
export function holdingsOf(layers: readonly Layer[]): { memlockBytes: bigint; realtimeThreads: number } {
  const memlock = new Map<string, bigint>();
  const realtime = new Map<string, boolean>();
  for (const { change } of layers) {
    if (change.tag === 'memlock') memlock.set(keyOf(change), bytesOf(change.after));
    if (change.tag === 'scheduler') {
      realtime.set(keyOf(change), isRealtime(change.after.policy));
    }
  }
  let memlockBytes = 0n;
  for (const bytes of memlock.values()) memlockBytes += bytes;
  return {
    memlockBytes: memlockBytes > UNLIMITED_BYTES ? UNLIMITED_BYTES : memlockBytes,
    realtimeThreads: [...realtime.values()].filter(Boolean).length,
  };
}

export const UNLIMITED_BYTES = 2n ** 63n - 1n;

function bytesOf({ hard }: Memlock): bigint {
  return limitBytes(hard);
}

export function limitBytes(limit: Limit): bigint {
  return limit.tag === 'unlimited' ? UNLIMITED_BYTES : limit.val;
}
