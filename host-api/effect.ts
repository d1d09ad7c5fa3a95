/** What the effects share: how one is planned, applied and reported. */
import type { Change } from './change.ts';
import type { ThreadSelection } from './contract.ts';
import type { CgroupFs } from './kernel/cgroup-fs.ts';
import { KernelError } from './kernel/errno.ts';
import { listThreads, readStat } from './kernel/proc.ts';
import type { Target } from './target.ts';

/** A cgroup that requests name by its name in deputy.toml. */
export interface CgroupGroup {
  readonly name: string;
  /** Below the scope's cgroup: "housekeeping" or "deputy/housekeeping". */
  readonly path: string;
  readonly cpus: readonly number[] | undefined;
  readonly mems: readonly number[] | undefined;
  /** Takes single threads; the scope becomes a threaded domain (cgroup-v2.rst, "Threads"). */
  readonly threaded: boolean;
  /** Whether deputy makes it where it is absent. */
  readonly create: boolean;
}

export interface EffectContext {
  /** Undefined where the host has no cgroup v2. */
  readonly cgroupFs: CgroupFs | undefined;
  readonly groups: ReadonlyMap<string, CgroupGroup>;
}

/**
 * Told of each change, twice: `intend` before it is made (and it must be on disk when that returns), `done` after the
 * kernel confirmed it.
 */
export interface Recorder {
  intend(changes: readonly Change[]): void;
  done(change: Change): void;
  /** A thread that was addressed and has ended: reported, not fatal. */
  vanished(tid: number): void;
}

export interface AddressedThread {
  readonly tid: number;
  readonly startTimeTicks: bigint;
}

/** The threads an effect is for, as of now. Those that have ended since are left out. */
export function addressedThreads(target: Target, selection: ThreadSelection): AddressedThread[] {
  return lookAtThreads(target, selection).threads;
}

/** `gone`: a thread ended between being listed and being looked at. */
export function lookAtThreads(
  target: Target,
  selection: ThreadSelection,
): { threads: AddressedThread[]; gone: boolean } {
  const { pid } = target.process;
  const threads: AddressedThread[] = [];
  let gone = false;
  for (const tid of listThreads(pid)) {
    if (!isAddressed(target, selection, tid)) continue;
    const stat = readStat(tid, pid);
    if (stat === undefined) gone = true;
    else threads.push({ tid, startTimeTicks: stat.startTimeTicks });
  }
  return { threads, gone };
}

/** Those of a fixed set that no longer live. */
export function vanishedThreads(
  target: Target,
  selection: ThreadSelection,
  living: readonly AddressedThread[],
): number[] {
  const fixed =
    selection.tag === 'only' ? selection.val : target.addressed.tag === 'only' ? target.addressed.tids : [];
  return fixed.filter((tid) => !living.some((thread) => thread.tid === tid));
}

/** Whether the effect is for the thread `tid` of the target's process. */
export function isAddressed({ addressed }: Target, selection: ThreadSelection, tid: number): boolean {
  if (selection.tag === 'only') return selection.val.includes(tid);
  switch (addressed.tag) {
    case 'all':
      return true;
    case 'only':
      return addressed.tids.includes(tid);
    case 'except':
      return !addressed.tids.includes(tid);
  }
}

/** Whether the threads are named one by one: then none that is born later is meant, and there is nothing to sweep. */
export function isFixed(target: Target, selection: ThreadSelection): boolean {
  return selection.tag === 'only' || target.addressed.tag === 'only';
}

/**
 * What a pass over the threads met: one that had to be changed (`changed`); none, but one that ended before it could
 * be looked at, and may have left a child (`unsure`); or neither (`at-rest`).
 */
export type PassResult = 'changed' | 'unsure' | 'at-rest';

/** More passes than any thread pool needs to come to rest, on a machine that is busy too; a fork bomb never does. */
const MAX_PASSES = 256;
/**
 * A process whose threads live for less than a pass takes is never seen at rest, and threads of others that come and go
 * in the same cgroup can't be told from its own once they have ended. So often in a row is enough: threads that start
 * each other are seen alive in one pass of a few, on a machine that is busy too.
 */
const ENOUGH_UNSURE = 24;

/**
 * Runs `pass` until the threads are at rest, so that those born while others were handled are handled too. One empty
 * list of threads is no proof: a thread may be listed, start another and end before it is looked at. Throws where
 * the threads never come to rest.
 */
export function sweep(pid: number, pass: () => PassResult): void {
  let unsure = 0;
  for (let n = 0; n < MAX_PASSES; n++) {
    const result = pass();
    if (result === 'at-rest') return;
    unsure = result === 'unsure' ? unsure + 1 : 0;
    if (unsure === ENOUGH_UNSURE) return;
  }
  throw new KernelError('sweep', EAGAIN, `the threads of pid ${pid}, born faster than handled`);
}

const EAGAIN = 11;
