/** flock(2): held by the open file, and let go by the kernel however the process ends. */
import { openSync } from 'node:fs';
import { KernelError } from './errno.ts';
import { bind, check } from './libc.ts';

const flock = bind('flock', 'int', ['int', 'int']);
const LOCK_EX_NB = 2 | 4;

/** Whether the lock was had. It is kept until the process ends. */
export function lockFile(path: string): boolean {
  const fd = openSync(path, 'w', 0o600);
  try {
    check('flock', path, () => flock(fd, LOCK_EX_NB));
    return true;
  } catch (error) {
    if (error instanceof KernelError && error.code === 'EAGAIN') return false;
    throw error;
  }
}
