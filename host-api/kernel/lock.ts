/** flock(2): held by the open file, and let go by the kernel however the process ends. */
import { closeSync, openSync } from 'node:fs';
import { KernelError } from './errno.ts';
import { bind, check } from './libc.ts';

const flock = bind('flock', 'int', ['int', 'int']);
const LOCK_EX_NB = 2 | 4;

export interface FileLock {
  release(): void;
}

/** Undefined where another has the lock. It is kept until it is released or the process ends. */
export function lockFile(path: string): FileLock | undefined {
  const fd = openSync(path, 'w', 0o600);
  try {
    check('flock', path, () => flock(fd, LOCK_EX_NB));
    return { release: () => closeSync(fd) };
  } catch (error) {
    closeSync(fd);
    if (error instanceof KernelError && error.code === 'EAGAIN') return undefined;
    throw error;
  }
}
