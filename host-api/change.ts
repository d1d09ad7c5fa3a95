import type { Memlock, SchedulingPolicy } from './contract.ts';

/** What sched_setattr(2) sets of a thread, and so has to be able to restore. */
export interface SchedulingState {
  readonly policy: SchedulingPolicy;
  readonly priority: number;
  readonly nice: number;
  readonly resetOnFork: boolean;
}

/**
 * What an effect did to one process or thread: the reply, the ledger and the audit all carry it, and undo needs no
 * more than this. Plain data. `startTimeTicks` is the process's, or the thread's where there is a `tid`.
 */
export type Change =
  | {
      readonly tag: 'memlock';
      readonly pid: number;
      readonly startTimeTicks: bigint;
      readonly before: Memlock;
      readonly after: Memlock;
    }
  | {
      readonly tag: 'cgroup';
      readonly pid: number;
      /** Absent where the whole process was moved. */
      readonly tid: number | undefined;
      readonly startTimeTicks: bigint;
      /** cgroup paths relative to the cgroup v2 mount. */
      readonly before: string;
      readonly after: string;
    }
  | {
      readonly tag: 'scheduler';
      readonly pid: number;
      readonly tid: number;
      readonly startTimeTicks: bigint;
      readonly before: SchedulingState;
      readonly after: SchedulingState;
    }
  | {
      readonly tag: 'affinity';
      readonly pid: number;
      readonly tid: number;
      readonly startTimeTicks: bigint;
      /** CPU numbers, ascending. */
      readonly before: readonly number[];
      readonly after: readonly number[];
    };

export type ChangeOf<Tag extends Change['tag']> = Extract<Change, { tag: Tag }>;

/** The field that a change sets: two changes with one key can't both stand. */
export function keyOf(change: Change): string {
  const tid = change.tag === 'memlock' ? '' : (change.tid ?? '');
  return `${change.tag} ${change.pid} ${tid} ${change.startTimeTicks}`;
}
