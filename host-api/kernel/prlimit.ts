/** prlimit(2) on another process, guarded by its pidfd. */
import type { Limit, Memlock } from '../contract.ts';
import type { Process } from '../target.ts';
import { KernelError } from './errno.ts';
import { bind, check } from './libc.ts';
import { isAlive } from './pidfd.ts';

const prlimit64 = bind('prlimit64', 'int', ['int', 'int', 'void *', 'void *']);

/** asm-generic/resource.h */
const RLIMIT_MEMLOCK = 8;
const RLIMIT_RTTIME = 15;
const RLIM_INFINITY = 0xffff_ffff_ffff_ffffn;
const ESRCH = 3;

const newLimits = Buffer.alloc(16);
const oldLimits = Buffer.alloc(16);

/**
 * prlimit takes a pid, not a pidfd: the process could die, be reaped and its pid be given to another between a check
 * and the call. So the pidfd is asked before *and after*: alive after means that the pid meant this process all the
 * while. Dead after means that the call may have met a stranger, which needs the pid space to wrap around within
 * microseconds; it is reported as a death, and what the kernel did is not known (pidfd-based prlimit does not exist).
 */
function guarded(process: Process, set: Buffer | null): Buffer {
  const subject = `pid ${process.pid}`;
  if (!isAlive(process.pidfd)) throw new KernelError('prlimit', ESRCH, subject);
  check('prlimit', subject, () => prlimit64(process.pid, RLIMIT_MEMLOCK, set, oldLimits));
  if (!isAlive(process.pidfd)) throw new KernelError('prlimit', ESRCH, subject);
  return oldLimits;
}

function decode(buffer: Buffer, offset: number): Limit {
  const val = buffer.readBigUInt64LE(offset);
  return val === RLIM_INFINITY ? { tag: 'unlimited' } : { tag: 'bytes', val };
}

function encode(limit: Limit): bigint {
  return limit.tag === 'unlimited' ? RLIM_INFINITY : limit.val;
}

/** RLIMIT_MEMLOCK of a process, in bytes. Throws a KernelError: ESRCH where it is gone. */
export function readMemlock(process: Process): Memlock {
  const buffer = guarded(process, null);
  return { soft: decode(buffer, 0), hard: decode(buffer, 8) };
}

/**
 * Sets both limits of RLIMIT_MEMLOCK. Raising the hard limit needs CAP_SYS_RESOURCE in the initial user namespace;
 * another uid's process needs it in any case.
 */
export function writeMemlock(process: Process, memlock: Memlock): void {
  newLimits.writeBigUInt64LE(encode(memlock.soft), 0);
  newLimits.writeBigUInt64LE(encode(memlock.hard), 8);
  guarded(process, newLimits);
}

/**
 * The hard limit of RLIMIT_RTTIME, in microseconds: how long a realtime thread may run without sleeping before its
 * process is killed. Undefined is no limit. rtkit demands one of 200 ms before it grants.
 */
export function readRttimeUs(process: Process): bigint | undefined {
  const subject = `pid ${process.pid}`;
  if (!isAlive(process.pidfd)) throw new KernelError('prlimit', ESRCH, subject);
  check('prlimit', subject, () => prlimit64(process.pid, RLIMIT_RTTIME, null, oldLimits));
  const hard = oldLimits.readBigUInt64LE(8);
  return hard === RLIM_INFINITY ? undefined : hard;
}
