/**
 * Moving a process, or single threads of it, into a named group below its scope (cgroup-v2.rst).
 *
 * A whole process moves in one write to cgroup.procs, its unborn threads included. Threads move one by one, within
 * the threaded domain of their process, and are swept until none is left: a thread born meanwhile by one that has not
 * moved yet is moved by the next pass.
 */

import { groupPath, prepareGroup } from './cgroup-group.ts';
import type { Change, ChangeOf } from './change.ts';
import type { ThreadSelection } from './contract.ts';
import {
  type AddressedThread,
  addressedThreads,
  type CgroupGroup,
  type EffectContext,
  isFixed,
  type PassResult,
  type Recorder,
  sweep,
  vanishedThreads,
} from './effect.ts';
import type { CgroupFs } from './kernel/cgroup-fs.ts';
import { isGone, KernelError } from './kernel/errno.ts';
import { listThreads, readCgroup } from './kernel/proc.ts';
import { Strays } from './strays.ts';
import type { Target } from './target.ts';

export interface CgroupEffect {
  readonly group: string;
  readonly threads: ThreadSelection;
}

const ESRCH = 3;
const EAGAIN = 11;
const ENOENT = 2;

/** A birth takes microseconds; ten milliseconds on a host that is busy are enough, and bound what a request takes. */
const MOVE_ATTEMPTS = 10;
const PAUSE = new Int32Array(new SharedArrayBuffer(4));

/** What the effect would change; nothing is touched, the group is not made. */
export function planCgroup(target: Target, effect: CgroupEffect, context: EffectContext): Change[] {
  const { group } = resolve(effect, context);
  const path = groupPath(target.scopePath, group);
  if (isWholeProcess(target, effect)) return planProcess(target, path);
  return addressedThreads(target, effect.threads).flatMap((thread) => planThread(target, thread, path) ?? []);
}

/** Throws a KernelError or GroupError; what was moved until then was told to `recorder`. */
export function applyCgroup(
  target: Target,
  effect: CgroupEffect,
  context: EffectContext,
  recorder: Recorder,
): void {
  const { fs, group } = resolve(effect, context);
  const path = prepareGroup(fs, target.scopePath, group);
  if (isWholeProcess(target, effect)) moveWholeProcess(fs, target, path, recorder);
  else moveThreads(fs, target, effect, path, recorder);
}

function resolve(effect: CgroupEffect, context: EffectContext): { fs: CgroupFs; group: CgroupGroup } {
  const group = context.groups.get(effect.group);
  if (group === undefined)
    throw new KernelError('open', ENOENT, `cgroup group ${JSON.stringify(effect.group)}`);
  if (context.cgroupFs === undefined) throw new KernelError('open', ENOENT, 'cgroup v2: the host has none');
  return { fs: context.cgroupFs, group };
}

function isWholeProcess(target: Target, effect: CgroupEffect): boolean {
  return target.addressed.tag === 'all' && effect.threads.tag === 'addressed';
}

/** One change for the process where its threads share a cgroup, else one for each thread, so that each finds back. */
function planProcess(target: Target, path: string): Change[] {
  const { pid, startTimeTicks } = target.process;
  const changes = addressedThreads(target, { tag: 'addressed' }).flatMap(
    (thread) => planThread(target, thread, path) ?? [],
  );
  const [first] = changes;
  if (first === undefined) throw new KernelError('move', ESRCH, `pid ${pid}`);
  if (changes.some(({ before }) => before !== first.before)) return changes;
  return [{ tag: 'cgroup', pid, tid: undefined, startTimeTicks, before: first.before, after: path }];
}

function planThread(target: Target, thread: AddressedThread, path: string): ChangeOf<'cgroup'> | undefined {
  const { pid } = target.process;
  const before = readCgroup(thread.tid, pid);
  if (before === undefined) return undefined;
  return { tag: 'cgroup', pid, tid: thread.tid, startTimeTicks: thread.startTimeTicks, before, after: path };
}

function moveWholeProcess(fs: CgroupFs, target: Target, path: string, recorder: Recorder): void {
  const { pid } = target.process;
  const changes = planProcess(target, path);
  recorder.intend(changes);
  moveProcess(fs, pid, path);
  for (const change of changes) recorder.done(change);
}

function moveThreads(
  fs: CgroupFs,
  target: Target,
  effect: CgroupEffect,
  path: string,
  recorder: Recorder,
): void {
  const fixed = isFixed(target, effect.threads);
  const origin = fixed ? undefined : sharedOrigin(target);
  const living = addressedThreads(target, effect.threads);
  const vanished = new Set(vanishedThreads(target, effect.threads, living));
  for (const thread of living) {
    if (!moveOne(fs, target, thread, path, recorder) && fixed) vanished.add(thread.tid);
  }
  for (const tid of vanished) recorder.vanished(tid);
  if (fixed) return;
  const strays = new Strays(fs, target, effect.threads, path);
  try {
    sweep(target.process.pid, () => {
      const { threads, result } = strays.find();
      for (const thread of threads) moveOne(fs, target, thread, path, recorder);
      return result;
    });
  } catch (error) {
    // Threads that were born in the group are on nobody's list to be undone. One write takes all back, unborn ones too.
    if (origin !== undefined) moveProcess(fs, target.process.pid, origin);
    throw error;
  }
}

/**
 * Moves what is left of a process in the threaded `group` to `origin`: threads that were born there, whose parents were
 * moved there and have been moved back. They are on nobody's list. Throws a KernelError.
 */
export function moveBorn(fs: CgroupFs, pid: number, group: string, origin: string): void {
  try {
    sweep(pid, () => {
      let result: PassResult = 'at-rest';
      for (const tid of listThreads(pid)) {
        const cgroup = readCgroup(tid, pid);
        if (cgroup === group) {
          moveIfAlive(fs, pid, tid, origin);
          result = 'changed';
        } else if (cgroup === undefined && result === 'at-rest') result = 'unsure';
      }
      return result;
    });
  } catch (error) {
    // Threads that outrun this, and no thread elsewhere: one write takes all.
    const elsewhere = listThreads(pid).some(
      (tid) => ![group, origin, undefined].includes(readCgroup(tid, pid)),
    );
    if (elsewhere) throw error;
    moveProcess(fs, pid, origin);
  }
}

function moveIfAlive(fs: CgroupFs, pid: number, tid: number, path: string): boolean {
  try {
    moveThread(fs, pid, tid, path);
    return true;
  } catch (error) {
    if (isGone(error)) return false;
    throw error;
  }
}

/** The cgroup that all threads of the process lie in; undefined where they lie in several. */
function sharedOrigin({ process: { pid } }: Target): string | undefined {
  const cgroup = readCgroup(pid);
  return cgroup !== undefined && sharesCgroup(pid, cgroup) ? cgroup : undefined;
}

/** False where the thread has ended. */
function moveOne(
  fs: CgroupFs,
  target: Target,
  thread: AddressedThread,
  path: string,
  recorder: Recorder,
): boolean {
  const change = planThread(target, thread, path);
  if (change === undefined) return false;
  recorder.intend([change]);
  if (!moveIfAlive(fs, target.process.pid, thread.tid, path)) return false;
  recorder.done(change);
  return true;
}

/** Moves all threads of a process at once, and reads it again. */
export function moveProcess(fs: CgroupFs, pid: number, path: string): void {
  if (readCgroup(pid) !== path || !sharesCgroup(pid, path))
    explain(path, () => fs.write(path, 'cgroup.procs', `${pid}`));
  confirm(readCgroup(pid), `pid ${pid}`, path);
}

function sharesCgroup(pid: number, path: string): boolean {
  const target: Target = {
    process: { pid, startTimeTicks: 0n, pidfd: -1 },
    addressed: { tag: 'all' },
    scopePath: path,
  };
  return addressedThreads(target, { tag: 'addressed' }).every(({ tid }) => readCgroup(tid, pid) === path);
}

/**
 * Moves one thread within its threaded domain, and reads it again. A thread that is being born has a tid before it is
 * on its cgroup's list: the kernel takes the write and moves nothing (cgroup_migrate_add_task), so it is written again.
 */
export function moveThread(fs: CgroupFs, pid: number, tid: number, path: string): void {
  for (let attempt = 1; readCgroup(tid, pid) !== path; attempt++) {
    explain(path, () => fs.write(path, 'cgroup.threads', `${tid}`));
    const now = readCgroup(tid, pid);
    if (now === path) return;
    if (now === undefined || attempt === MOVE_ATTEMPTS) return confirm(now, `thread ${tid}`, path);
    Atomics.wait(PAUSE, 0, 0, 1);
  }
}

function confirm(now: string | undefined, subject: string, path: string): void {
  if (now === path) return;
  if (now === undefined) throw new KernelError('move', ESRCH, subject);
  throw new KernelError(
    'move',
    EAGAIN,
    `${subject} to ${path}, which lies in ${now}, moved by another at the same time`,
  );
}

/** What the kernel means by its errno when a process or thread is written to a cgroup. */
const REASONS: Readonly<Record<string, string>> = {
  EBUSY:
    'the cgroup hands controllers to its children and so takes no processes itself ("no internal processes")',
  EOPNOTSUPP:
    'the thread and the cgroup are not in one threaded domain: the group must be threaded, and lie below the cgroup of the process',
  ENOSPC: 'its cpuset has no CPUs or no memory nodes',
  EACCES: 'the daemon may not write to it',
  ENODEV: 'the cgroup was removed',
  EINVAL: 'a realtime thread in a cgroup without realtime budget, or a kernel thread',
};

function explain(_path: string, write: () => void): void {
  try {
    write();
  } catch (error) {
    const reason = error instanceof KernelError ? REASONS[error.code] : undefined;
    if (!(error instanceof KernelError) || reason === undefined) throw error;
    throw new KernelError(error.call, error.errno, `${error.subject}: ${reason}`);
  }
}
