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

/** More passes than any thread pool needs to come to rest; a fork bomb never does. */
const MAX_SWEEPS = 64;

export interface AddressedThread {
  readonly tid: number;
  readonly startTimeTicks: bigint;
}

/** The threads an effect is for, as of now. Those that have ended since are left out. */
export function addressedThreads(target: Target, selection: ThreadSelection): AddressedThread[] {
  const { pid } = target.process;
  const threads: AddressedThread[] = [];
  for (const tid of listThreads(pid)) {
    if (!isAddressed(target, selection, tid)) continue;
    const stat = readStat(tid, pid);
    if (stat !== undefined) threads.push({ tid, startTimeTicks: stat.startTimeTicks });
  }
  return threads;
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

function isAddressed({ addressed }: Target, selection: ThreadSelection, tid: number): boolean {
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

/**
 * Runs `pass` until one finds nothing to do, so that threads born while others were handled are handled too. `pass`
 * returns how many threads it changed. Throws where the threads never come to rest.
 */
export function sweep(target: Target, pass: () => number): void {
  for (let n = 0; n < MAX_SWEEPS; n++) if (pass() === 0) return;
  throw new KernelError(
    'sweep',
    EAGAIN,
    `the threads of pid ${target.process.pid}, born faster than handled`,
  );
}

const EAGAIN = 11;
