/** pidfd_open(2): a file descriptor that means one process for as long as it is open, whatever becomes of its pid. */
import { closeSync, fstatSync, statfsSync } from 'node:fs';
import { bind, check, SYSCALL_NUMBERS } from './libc.ts';

const syscallOpen = bind('syscall', 'long', ['long', 'int', 'uint']);
const poll = bind('poll', 'int', ['void *', 'ulong', 'int']);

/** The descriptor is close-on-exec. Throws a KernelError: ESRCH where there is no such process. */
export function openPidfd(pid: number): number {
  return check('pidfd_open', `pid ${pid}`, () => syscallOpen(SYSCALL_NUMBERS.pidfd_open, pid, 0));
}

export function closePidfd(pidfd: number): void {
  closeSync(pidfd);
}

const POLLIN = 1;
const pollBuffer = Buffer.alloc(8);

/** Whether the process has not exited yet. A pidfd polls readable from the exit on, zombies included. */
export function isAlive(pidfd: number): boolean {
  pollBuffer.writeInt32LE(pidfd, 0);
  pollBuffer.writeInt16LE(POLLIN, 4);
  pollBuffer.writeInt16LE(0, 6);
  return check('poll', `pidfd ${pidfd}`, () => poll(pollBuffer, 1, 0)) === 0;
}

/** linux/magic.h */
const PIDFS_MAGIC = 0x5049_4446;

/**
 * The inode of a pidfd names its process for as long as the machine runs (pidfdfs, Linux 6.9 on). Undefined where
 * pidfds are anonymous inodes, which all share one number.
 */
export function pidfdId(pidfd: number): bigint | undefined {
  if (statfsSync(`/proc/self/fd/${pidfd}`).type !== PIDFS_MAGIC) return undefined;
  return fstatSync(pidfd, { bigint: true }).ino;
}
