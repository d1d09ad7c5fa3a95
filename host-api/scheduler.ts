/**
 * Policy, priority, nice and affinity of threads (sched(7)). Whatever raises a thread also sets RESET_ON_FORK, so that
 * the grant ends with the thread and is not handed on to its children, as rtkit does.
 */
import type { Change, ChangeOf, SchedulingState } from './change.ts';
import { isRealtime, type Scheduling, type ThreadSelection } from './contract.ts';
import { formatCpuList } from './cpu-list.ts';
import {
  type AddressedThread,
  addressedThreads,
  isFixed,
  lookAtThreads,
  type PassResult,
  type Recorder,
  sweep,
  vanishedThreads,
} from './effect.ts';
import { isGone, KernelError } from './kernel/errno.ts';
import { readAffinity, readScheduling, writeAffinity, writeScheduling } from './kernel/sched.ts';
import type { Target } from './target.ts';

export interface SchedulerEffect {
  readonly threads: ThreadSelection;
  readonly change: Scheduling;
}

const EINVAL = 22;
const EAGAIN = 11;

/** What the effect would change in the threads that live now; nothing is touched. */
export function planScheduler(target: Target, effect: SchedulerEffect): Change[] {
  return addressedThreads(target, effect.threads).flatMap((thread) => plan(target, effect, thread));
}

/** Throws a KernelError; what was changed until then was told to `recorder`. */
export function applyScheduler(target: Target, effect: SchedulerEffect, recorder: Recorder): void {
  const fixed = isFixed(target, effect.threads);
  const living = addressedThreads(target, effect.threads);
  const vanished = new Set(vanishedThreads(target, effect.threads, living));
  const handled = new Set<string>();
  for (const thread of living) {
    handled.add(nameOf(thread));
    if (!applyToThread(target, effect, thread, recorder) && fixed) vanished.add(thread.tid);
  }
  for (const tid of vanished) recorder.vanished(tid);
  if (fixed) return;
  sweep(target.process.pid, () => {
    const { threads, gone } = lookAtThreads(target, effect.threads);
    let result: PassResult = gone ? 'unsure' : 'at-rest';
    for (const thread of threads) {
      if (handled.has(nameOf(thread))) continue;
      handled.add(nameOf(thread));
      const changes = plan(target, effect, thread);
      // A child that inherited what it should have needs nothing, and doesn't keep the sweep going.
      if (changes.length > 0 && changes.every(isDone)) continue;
      if (applyToThread(target, effect, thread, recorder)) result = 'changed';
      else if (result === 'at-rest') result = 'unsure';
    }
    return result;
  });
}

function nameOf({ tid, startTimeTicks }: AddressedThread): string {
  return `${tid} ${startTimeTicks}`;
}

function isDone(change: ChangeOf<'scheduler'> | ChangeOf<'affinity'>): boolean {
  return change.tag === 'affinity'
    ? sameAffinity(change.before, change.after)
    : sameScheduling(change.before, change.after);
}

/** False where the thread has ended. */
function applyToThread(
  target: Target,
  effect: SchedulerEffect,
  thread: AddressedThread,
  recorder: Recorder,
): boolean {
  try {
    const changes = plan(target, effect, thread);
    if (changes.length === 0) return false;
    recorder.intend(changes);
    for (const change of changes) {
      if (change.tag === 'affinity') setAffinity(change.tid, change.after);
      else setScheduling(change.tid, change.after);
      recorder.done(change);
    }
    return true;
  } catch (error) {
    if (!isGone(error)) throw error;
    return false;
  }
}

/** Empty where the thread has ended. */
function plan(
  target: Target,
  { change }: SchedulerEffect,
  thread: AddressedThread,
): (ChangeOf<'scheduler'> | ChangeOf<'affinity'>)[] {
  const subject = { pid: target.process.pid, tid: thread.tid, startTimeTicks: thread.startTimeTicks };
  try {
    const before = readScheduling(thread.tid);
    const affinity = change.affinity === undefined ? undefined : readAffinity(thread.tid);
    return [
      ...(change.affinity !== undefined && affinity !== undefined
        ? [{ tag: 'affinity', ...subject, before: affinity, after: change.affinity } as const]
        : []),
      ...(change.policy !== undefined || change.nice !== undefined
        ? [{ tag: 'scheduler', ...subject, before, after: merge(thread.tid, before, change) } as const]
        : []),
    ];
  } catch (error) {
    if (isGone(error)) return [];
    throw error;
  }
}

function merge(tid: number, before: SchedulingState, change: Scheduling): SchedulingState {
  const policy = change.policy ?? before.policy;
  const realtime = isRealtime(policy);
  if (change.nice !== undefined && realtime) {
    throw new KernelError(
      'sched_setattr',
      EINVAL,
      `thread ${tid}: nice ${change.nice} has no meaning under ${policy}`,
    );
  }
  return {
    policy,
    priority: realtime ? (change.priority ?? before.priority) : 0,
    // The kernel tells 0 of a realtime thread, and keeps what it had for the time when it is none any more.
    nice: realtime ? 0 : (change.nice ?? before.nice),
    resetOnFork: true,
  };
}

/** Sets policy, priority and nice where they differ, and reads them again. What doesn't read back is put back. */
export function setScheduling(tid: number, wanted: SchedulingState): void {
  const before = readScheduling(tid);
  if (sameScheduling(before, wanted)) return;
  writeScheduling(tid, wanted);
  const now = readScheduling(tid);
  if (sameScheduling(now, wanted)) return;
  writeScheduling(tid, before);
  throw new KernelError(
    'sched_setattr',
    EAGAIN,
    `thread ${tid}, which reads back ${describeScheduling(now)} instead of ${describeScheduling(wanted)}`,
  );
}

/** Sets the affinity where it differs, and reads it again. All of the CPUs must be in the thread's cpuset. */
export function setAffinity(tid: number, wanted: readonly number[]): void {
  const before = readAffinity(tid);
  if (sameAffinity(before, wanted)) return;
  try {
    writeAffinity(tid, wanted);
  } catch (error) {
    if (!(error instanceof KernelError) || error.errno !== EINVAL) throw error;
    throw new KernelError(
      'sched_setaffinity',
      EINVAL,
      `${asked(tid, wanted)}: none of them is in its cpuset`,
    );
  }
  const now = readAffinity(tid);
  // The kernel silently leaves out CPUs that the cpuset doesn't have: asked and got would differ.
  if (!sameAffinity(now, wanted)) {
    writeAffinity(tid, before);
    throw new KernelError(
      'sched_setaffinity',
      EINVAL,
      `${asked(tid, wanted)}: its cpuset leaves only ${formatCpuList(now)}`,
    );
  }
}

function asked(tid: number, cpus: readonly number[]): string {
  return `thread ${tid} to CPUs ${formatCpuList(cpus)}`;
}

export function sameScheduling(a: SchedulingState, b: SchedulingState): boolean {
  return (
    a.policy === b.policy && a.priority === b.priority && a.nice === b.nice && a.resetOnFork === b.resetOnFork
  );
}

export function sameAffinity(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((cpu, index) => cpu === b[index]);
}

/** "fifo 10", "other nice -5" */
export function describeScheduling(state: SchedulingState): string {
  const realtime = isRealtime(state.policy);
  return `${state.policy} ${realtime ? state.priority : `nice ${state.nice}`}`;
}
