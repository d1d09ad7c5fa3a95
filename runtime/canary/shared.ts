/**
 * What the daemon, the canary and the watchdog share. In memory, not by messages: a starved daemon sends none, and the
 * watchdog must know what was granted up to the moment it starves.
 */
import type { SchedulingState } from '../../host-api/change.ts';
import type { SchedulingPolicy } from '../../host-api/contract.ts';

/** sched(7): the highest there is. Nothing that is granted may come up to it: of two equals neither interrupts the other. */
export const WATCHDOG_PRIORITY = 99;

/** More realtime threads than any host runs; a grant beyond is refused, since it could not be taken back. */
export const MAX_ROWS = 16_384;

/** A thread with a realtime grant, and what it was before. */
export interface Row {
  readonly pid: number;
  readonly tid: number;
  readonly startTimeTicks: bigint;
  readonly before: SchedulingState;
}

const FAIR: readonly SchedulingPolicy[] = ['other', 'batch', 'idle'];
const FIELDS = 5;
/** tid of the canary, active table, how often there was a demotion, rows of both tables */
const HEADER = { canaryTid: 0, active: 1, demotions: 2, rows: 3, length: 5 } as const;

export class Shared {
  readonly buffer: SharedArrayBuffer;
  readonly #header: Int32Array;
  readonly #fields: readonly Int32Array[];
  readonly #starts: readonly BigInt64Array[];

  constructor(buffer = new SharedArrayBuffer(layout().bytes)) {
    const { fields, starts } = layout();
    this.buffer = buffer;
    this.#header = new Int32Array(buffer, 0, HEADER.length);
    this.#fields = fields.map((at) => new Int32Array(buffer, at, MAX_ROWS * FIELDS));
    this.#starts = starts.map((at) => new BigInt64Array(buffer, at, MAX_ROWS));
  }

  /** 0 until there is one. */
  get canaryTid(): number {
    return Atomics.load(this.#header, HEADER.canaryTid);
  }

  set canaryTid(tid: number) {
    Atomics.store(this.#header, HEADER.canaryTid, tid);
  }

  /** The watchdog is about to demote. */
  announceDemotion(): void {
    Atomics.add(this.#header, HEADER.demotions, 1);
  }

  get demotions(): number {
    return Atomics.load(this.#header, HEADER.demotions);
  }

  /**
   * Replaces the table: the new one is written beside the old and then made the active one, so that a daemon that
   * starves in the middle of it leaves the old one whole.
   */
  publish(rows: readonly Row[]): void {
    if (rows.length > MAX_ROWS) throw new RangeError(`${rows.length} rows, at most ${MAX_ROWS}`);
    const table = 1 - Atomics.load(this.#header, HEADER.active);
    const fields = this.#fields[table] as Int32Array;
    const starts = this.#starts[table] as BigInt64Array;
    rows.forEach(({ pid, tid, startTimeTicks, before }, index) => {
      // What was realtime before deputy came is nothing to go back to when realtime starves the machine.
      const fair = FAIR.includes(before.policy);
      fields.set(
        [
          pid,
          tid,
          fair ? FAIR.indexOf(before.policy) : 0,
          fair ? before.nice : 0,
          before.resetOnFork || !fair ? 1 : 0,
        ],
        index * FIELDS,
      );
      starts[index] = startTimeTicks;
    });
    Atomics.store(this.#header, HEADER.rows + table, rows.length);
    Atomics.store(this.#header, HEADER.active, table);
  }

  /** A row may be torn where the daemon publishes at the same time: its start time tells. */
  rows(): Row[] {
    const table = Atomics.load(this.#header, HEADER.active);
    const fields = this.#fields[table] as Int32Array;
    const starts = this.#starts[table] as BigInt64Array;
    return Array.from({ length: Atomics.load(this.#header, HEADER.rows + table) }, (_, index) => {
      const at = index * FIELDS;
      return {
        pid: fields[at] ?? 0,
        tid: fields[at + 1] ?? 0,
        startTimeTicks: starts[index] ?? 0n,
        before: {
          policy: FAIR[fields[at + 2] ?? 0] ?? 'other',
          priority: 0,
          nice: fields[at + 3] ?? 0,
          resetOnFork: fields[at + 4] === 1,
        },
      };
    });
  }
}

function layout(): { fields: number[]; starts: number[]; bytes: number } {
  const header = HEADER.length * 4 + 4;
  const fieldBytes = MAX_ROWS * FIELDS * 4;
  const starts = header + 2 * fieldBytes;
  return {
    fields: [header, header + fieldBytes],
    starts: [starts, starts + MAX_ROWS * 8],
    bytes: starts + 2 * MAX_ROWS * 8,
  };
}
