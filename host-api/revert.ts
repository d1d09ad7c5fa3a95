/**
 * Takes one change back, whenever: right after it, on `Release`, or after a restart of the daemon. Only where the
 * process is still the same, and the value still what deputy set: what somebody has changed since is theirs.
 */
import { moveBorn, moveProcess, moveThread } from './cgroup.ts';
import type { Change, ChangeOf } from './change.ts';
import type { EffectContext } from './effect.ts';
import { isGone } from './kernel/errno.ts';
import { closePidfd, openPidfd } from './kernel/pidfd.ts';
import { readMemlock } from './kernel/prlimit.ts';
import { readCgroup, readStat } from './kernel/proc.ts';
import { readAffinity, readScheduling } from './kernel/sched.ts';
import { sameMemlock, setMemlock } from './memlock.ts';
import { sameAffinity, sameScheduling, setAffinity, setScheduling } from './scheduler.ts';
import type { Process } from './target.ts';

export type Reverted =
  /** It is as it was before, now or already. */
  | { readonly tag: 'restored' }
  /** The process or thread has ended: there is nothing to restore. */
  | { readonly tag: 'gone' }
  /** It is neither what deputy set nor what it found; it stays. */
  | { readonly tag: 'changed-by-another' }
  | { readonly tag: 'failed'; readonly message: string };

export function revertChange(change: Change, context: EffectContext): Reverted {
  try {
    return revert(change, context);
  } catch (error) {
    if (isGone(error)) return { tag: 'gone' };
    return { tag: 'failed', message: error instanceof Error ? error.message : String(error) };
  }
}

/**
 * To be called with changes that have been reverted: takes those threads out of a group too that were born in it, by
 * threads that had been moved there. Returns what failed, with one of the changes to stand for the group.
 */
export function revertBorn(
  changes: readonly Change[],
  { cgroupFs }: EffectContext,
): { change: Change; message: string }[] {
  const groups = new Map<string, ChangeOf<'cgroup'>[]>();
  for (const change of changes) {
    const key = threadGroupOf(change);
    if (change.tag !== 'cgroup' || key === undefined) continue;
    groups.set(key, [...(groups.get(key) ?? []), change]);
  }
  const failed: { change: Change; message: string }[] = [];
  for (const moved of groups.values()) {
    const [first] = moved;
    // Where one was in the group before, its children are there by right. Where none lives, the pid may be another's.
    if (first === undefined || cgroupFs === undefined) continue;
    if (moved.some(({ before, after }) => before === after) || !moved.some(isAlive)) continue;
    try {
      moveBorn(cgroupFs, first.pid, first.after, first.before);
    } catch (error) {
      if (isGone(error)) continue;
      const message = error instanceof Error ? error.message : String(error);
      failed.push({ change: first, message: `threads born in ${first.after} stay there: ${message}` });
    }
  }
  return failed;
}

/** Names process and group of a thread that was moved; undefined for other changes. */
export function threadGroupOf(change: Change): string | undefined {
  return change.tag === 'cgroup' && change.tid !== undefined ? `${change.pid} ${change.after}` : undefined;
}

/** Whether the process or thread is still the one that was changed: its pid or tid may mean another by now. */
export function isAlive(change: Change): boolean {
  const tid = change.tag === 'memlock' ? undefined : change.tid;
  const stat = tid === undefined ? readStat(change.pid) : readStat(tid, change.pid);
  return stat?.startTimeTicks === change.startTimeTicks;
}

function revert(change: Change, context: EffectContext): Reverted {
  if (!isAlive(change)) return { tag: 'gone' };
  switch (change.tag) {
    case 'memlock':
      return withProcess(change, (process) => {
        const now = readMemlock(process);
        if (sameMemlock(now, change.before)) return { tag: 'restored' };
        if (!sameMemlock(now, change.after)) return { tag: 'changed-by-another' };
        setMemlock(process, change.before);
        return { tag: 'restored' };
      });
    case 'scheduler': {
      const now = readScheduling(change.tid);
      if (sameScheduling(now, change.before)) return { tag: 'restored' };
      if (!sameScheduling(now, change.after)) return { tag: 'changed-by-another' };
      setScheduling(change.tid, change.before);
      return { tag: 'restored' };
    }
    case 'affinity': {
      const now = readAffinity(change.tid);
      if (sameAffinity(now, change.before)) return { tag: 'restored' };
      if (!sameAffinity(now, change.after)) return { tag: 'changed-by-another' };
      setAffinity(change.tid, change.before);
      return { tag: 'restored' };
    }
    case 'cgroup': {
      const thread = change.tid;
      const now = thread === undefined ? readCgroup(change.pid) : readCgroup(thread, change.pid);
      if (now === undefined) return { tag: 'gone' };
      if (now === change.before) return { tag: 'restored' };
      if (now !== change.after) return { tag: 'changed-by-another' };
      const fs = context.cgroupFs;
      if (fs === undefined) return { tag: 'failed', message: 'the host has no cgroup v2 any more' };
      if (thread === undefined) moveProcess(fs, change.pid, change.before);
      else moveThread(fs, change.pid, thread, change.before);
      return { tag: 'restored' };
    }
  }
}

function withProcess(change: Change, run: (process: Process) => Reverted): Reverted {
  const pidfd = openPidfd(change.pid);
  try {
    // Opened after the start time was read: read it again, now that the pid can't change its meaning.
    if (readStat(change.pid)?.startTimeTicks !== change.startTimeTicks) return { tag: 'gone' };
    return run({ pid: change.pid, startTimeTicks: change.startTimeTicks, pidfd });
  } finally {
    closePidfd(pidfd);
  }
}
