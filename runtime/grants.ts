/** What is granted at the moment, over the ledger: holdings, release, leases, drain, and the recovery at start. */

import type { Change } from '../host-api/change.ts';
import type { Facts } from '../host-api/contract.ts';
import type { EffectContext } from '../host-api/effect.ts';
import { DeputyError } from '../host-api/errors.ts';
import { isAlive, type Reverted, revertBorn, revertChange, threadGroupOf } from '../host-api/revert.ts';
import type { Target } from '../host-api/target.ts';
import { entersRealtime, type RealtimeGuard, type Starved, UNGUARDED } from './canary/canary.ts';
import type { Journal } from './commit.ts';
import { holdingsOf, type Layer } from './ledger/layers.ts';
import type { Ledger, Owner } from './ledger/ledger.ts';

export interface Restored {
  readonly restored: number;
  readonly gone: number;
  readonly changedByAnother: number;
  /** Could not be restored and stay held. */
  readonly failed: readonly { readonly change: Change; readonly message: string }[];
}

export class Grants {
  readonly #ledger: Ledger;
  readonly #context: EffectContext;
  readonly #guard: RealtimeGuard;
  #draining = false;

  constructor(ledger: Ledger, context: EffectContext, guard: RealtimeGuard = UNGUARDED) {
    this.#ledger = ledger;
    this.#context = context;
    this.#guard = guard;
  }

  /**
   * After a start: what an earlier daemon was in the middle of is taken back, and so are the leases, whose connections
   * ended with it. What it had granted for good stays granted.
   */
  recover(): Restored {
    const total = tally();
    for (const { id, changes } of this.#ledger.unfinished()) {
      const left: Change[] = [];
      for (const change of [...changes].reverse()) {
        if (count(total, change, revertChange(change, this.#context)) === 'failed') left.push(change);
      }
      this.#ledger.undone(id, left);
      this.#takeBackBorn(changes, total);
    }
    const recovered = this.#takeBack((layer) => layer.lease !== undefined, total);
    // What stays granted is to be watched, be there nothing to take back.
    this.#tellGuard(undefined);
    return recovered;
  }

  /** Throws Draining. */
  assertOpen(): void {
    if (this.#draining)
      throw new DeputyError('Draining', 'the daemon is being drained and grants nothing new');
  }

  journal(owner: Owner): Journal {
    const ledger = this.#ledger;
    return {
      intent: (changes) => {
        this.#guard.expect(changes);
        return unavailableOn(() => ledger.intent(owner, changes));
      },
      extend: (id, changes) => {
        this.#guard.expect(changes);
        unavailableOn(() => ledger.extend(id, changes));
      },
      committed: (id, changes) => {
        ledger.committed(id, changes);
        this.#tellGuard(changes);
      },
      undone: (id, left) => {
        ledger.undone(id, left);
        this.#tellGuard(undefined);
      },
    };
  }

  /** What the scope holds besides the target: a request about it replaces what it holds itself. */
  heldBy(scope: string, target: Target): Facts['ledger'] {
    const layers = this.#ledger.layers((layer) => layer.scope === scope && isAlive(layer.change));
    return holdingsOf(layers.filter(({ change }) => !isAbout(change, target)));
  }

  /** All that the scope was granted for the target, its threads included. */
  release(scope: string, target: Target): Restored {
    const { pid } = target.process;
    return this.#takeBack(
      (layer) => layer.scope === scope && layer.change.pid === pid && isAbout(layer.change, target),
    );
  }

  /** A connection has ended. */
  endLease(connection: number): Restored {
    return this.#takeBack((layer) => layer.lease === connection);
  }

  /** Takes everything back, and grants nothing from now on. */
  drain(): Restored {
    this.#draining = true;
    return this.#takeBack(() => true);
  }

  /** Forgets what was granted to processes and threads that have ended. Returns how many. */
  collect(): number {
    const dead = this.#ledger.layers(({ change }) => !isAlive(change));
    for (const layer of dead) this.#ledger.remove(layer);
    this.#tellGuard(dead.map(({ change }) => change));
    return dead.length;
  }

  layers(): Layer[] {
    return this.#ledger.layers();
  }

  get draining(): boolean {
    return this.#draining;
  }

  close(): void {
    this.#ledger.close();
  }

  /** The watchdog has demoted these: the ledger follows, and what it could not do is tried once more. */
  starved({ threads }: Starved): Restored {
    const demoted = new Set(
      threads
        .filter(({ outcome }) => outcome === 'demoted' || outcome === 'failed')
        .map(({ tid, startTimeTicks }) => `${tid} ${startTimeTicks}`),
    );
    return this.#takeBack(
      ({ change }) => entersRealtime(change) && demoted.has(`${change.tid} ${change.startTimeTicks}`),
    );
  }

  /** `changes`: what has come or gone; undefined where that is not known. */
  #tellGuard(changes: readonly Change[] | undefined): void {
    if (changes?.some((change) => change.tag === 'scheduler') === false) return;
    this.#guard.granted(this.#ledger.layers().map(({ change }) => change));
  }

  /** Latest first, so that what lies on top is taken off first. */
  #takeBack(filter: (layer: Layer) => boolean, total = tally()): Restored {
    const layers = this.#ledger.layers(filter).reverse();
    const reverted: Change[] = [];
    for (const layer of layers) {
      const change = this.#ledger.toRevert(layer);
      const outcome =
        change === undefined ? 'restored' : count(total, change, revertChange(change, this.#context));
      // What can't be restored stays held: forgetting it would be losing it.
      if (outcome !== 'failed') this.#ledger.remove(layer);
      if (change !== undefined) reverted.push(change);
    }
    this.#takeBackBorn(reverted, total);
    this.#tellGuard(layers.map(({ change }) => change));
    return total;
  }

  /** Threads born in a group that nobody of their process is held in any more. */
  #takeBackBorn(reverted: readonly Change[], total: Tally): void {
    if (!reverted.some(threadGroupOf)) return;
    const held = new Set(this.#ledger.layers().map(({ change }) => threadGroupOf(change)));
    const free = reverted.filter((change) => !held.has(threadGroupOf(change)));
    total.failed.push(...revertBorn(free, this.#context));
  }
}

interface Tally {
  restored: number;
  gone: number;
  changedByAnother: number;
  failed: { change: Change; message: string }[];
}

function tally(): Tally {
  return { restored: 0, gone: 0, changedByAnother: 0, failed: [] };
}

function count(total: Tally, change: Change, outcome: Reverted): Reverted['tag'] {
  if (outcome.tag === 'failed') total.failed.push({ change, message: outcome.message });
  else if (outcome.tag === 'changed-by-another') total.changedByAnother++;
  else total[outcome.tag]++;
  return outcome.tag;
}

function isAbout(change: Change, { process, addressed }: Target): boolean {
  if (change.pid !== process.pid) return false;
  const tid = change.tag === 'memlock' ? undefined : change.tid;
  if (tid === undefined) return change.startTimeTicks === process.startTimeTicks;
  switch (addressed.tag) {
    case 'all':
      return true;
    case 'only':
      return addressed.tids.includes(tid);
    case 'except':
      return !addressed.tids.includes(tid);
  }
}

function unavailableOn<T>(run: () => T): T {
  try {
    return run();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new DeputyError(
      'LedgerUnavailable',
      `the ledger can't be written (${reason}); nothing was changed`,
    );
  }
}
