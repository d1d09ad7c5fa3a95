/** Scheduling and affinity of single threads: sched_setattr(2), sched_setaffinity(2). Both take a thread id. */
import type { SchedulingState } from '../change.ts';
import { isRealtime, type SchedulingPolicy } from '../contract.ts';
import { MAX_CPUS } from '../cpu-list.ts';
import { bind, check, SYSCALL_NUMBERS } from './libc.ts';

const sched_getattr = bind('syscall', 'long', ['long', 'int', 'void *', 'uint', 'uint']);
const sched_setattr = bind('syscall', 'long', ['long', 'int', 'void *', 'uint']);
const sched_getaffinity = bind('sched_getaffinity', 'int', ['int', 'ulong', 'void *']);
const sched_setaffinity = bind('sched_setaffinity', 'int', ['int', 'ulong', 'void *']);

/** linux/sched.h */
const POLICY_NUMBERS: Readonly<Record<SchedulingPolicy, number>> = {
  other: 0,
  fifo: 1,
  rr: 2,
  batch: 3,
  idle: 5,
  deadline: 6,
  ext: 7,
};
const POLICIES = new Map(
  Object.entries(POLICY_NUMBERS).map(([name, number]) => [number, name as SchedulingPolicy]),
);

const SCHED_FLAG_RESET_ON_FORK = 1n;

/** struct sched_attr, first version (linux/sched/types.h): size, policy, flags, nice, priority, three u64 of deadline. */
const ATTR_BYTES = 48;
const attr = Buffer.alloc(ATTR_BYTES);
const mask = Buffer.alloc(MAX_CPUS / 8);

/** Throws a KernelError: ESRCH where the thread is gone. */
export function readScheduling(tid: number): SchedulingState {
  const subject = `thread ${tid}`;
  attr.fill(0);
  check('sched_getattr', subject, () =>
    sched_getattr(SYSCALL_NUMBERS.sched_getattr, tid, attr, ATTR_BYTES, 0),
  );
  const policy = POLICIES.get(attr.readUInt32LE(4));
  if (policy === undefined)
    throw new Error(`${subject} has the unknown scheduling policy ${attr.readUInt32LE(4)}`);
  return {
    policy,
    nice: attr.readInt32LE(16),
    priority: attr.readUInt32LE(20),
    resetOnFork: (attr.readBigUInt64LE(8) & SCHED_FLAG_RESET_ON_FORK) !== 0n,
  };
}

/**
 * Sets policy, priority, nice and RESET_ON_FORK. The nice value of a realtime thread is kept by the
 * kernel only for fair policies: for fifo and rr it must be 0 to pass unchanged.
 */
export function writeScheduling(tid: number, state: SchedulingState): void {
  const realtime = isRealtime(state.policy);
  attr.fill(0);
  attr.writeUInt32LE(ATTR_BYTES, 0);
  attr.writeUInt32LE(POLICY_NUMBERS[state.policy], 4);
  attr.writeBigUInt64LE(state.resetOnFork ? SCHED_FLAG_RESET_ON_FORK : 0n, 8);
  attr.writeInt32LE(realtime ? 0 : state.nice, 16);
  attr.writeUInt32LE(realtime ? state.priority : 0, 20);
  check('sched_setattr', `thread ${tid}`, () => sched_setattr(SYSCALL_NUMBERS.sched_setattr, tid, attr, 0));
}

/** CPU numbers, ascending. */
export function readAffinity(tid: number): number[] {
  const bytes = check('sched_getaffinity', `thread ${tid}`, () => sched_getaffinity(tid, mask.length, mask));
  // glibc's wrapper answers 0 and clears the rest of the mask.
  const length = bytes === 0 ? mask.length : bytes;
  const cpus: number[] = [];
  for (let byte = 0; byte < length; byte++) {
    const bits = mask[byte] ?? 0;
    for (let bit = 0; bits >> bit !== 0; bit++) if ((bits >> bit) & 1) cpus.push(byte * 8 + bit);
  }
  return cpus;
}

/** EINVAL where none of the CPUs is in the thread's cpuset (sched_setaffinity(2)). */
export function writeAffinity(tid: number, cpus: readonly number[]): void {
  mask.fill(0);
  for (const cpu of cpus) mask[cpu >> 3] = (mask[cpu >> 3] ?? 0) | (1 << (cpu & 7));
  check('sched_setaffinity', `thread ${tid}`, () => sched_setaffinity(tid, mask.length, mask));
}
