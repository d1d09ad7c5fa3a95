/** pid namespaces of processes (pid_namespaces(7)), told apart by the inodes of their files in /proc. */
import { closeSync, fstatSync, openSync } from 'node:fs';
import { KernelError } from './errno.ts';
import { bind, check } from './libc.ts';

const ioctl = bind('ioctl', 'int', ['int', 'ulong']);

/** linux/nsfs.h: _IO(0xb7, 0x2) */
const NS_GET_PARENT = 0xb702;

/**
 * The pid namespace of a process, or the one `up` levels out of it. Inode numbers name a namespace while it exists.
 * Undefined where the process is gone, or the namespace lies outside our own (ioctl_ns(2)).
 */
export function readPidNamespace(pid: number | 'self', up = 0): bigint | undefined {
  let fd: number;
  try {
    fd = openSync(`/proc/${pid}/ns/pid`, 'r');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ESRCH') return undefined;
    throw error;
  }
  try {
    for (let level = 0; level < up; level++) {
      const parent = check('ioctl NS_GET_PARENT', `pid namespace of ${pid}`, () => ioctl(fd, NS_GET_PARENT));
      closeSync(fd);
      fd = parent;
    }
    return fstatSync(fd, { bigint: true }).ino;
  } catch (error) {
    if (error instanceof KernelError && error.code === 'EPERM') return undefined;
    throw error;
  } finally {
    closeSync(fd);
  }
}
