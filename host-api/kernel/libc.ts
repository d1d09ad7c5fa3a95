/** The C library, loaded once. Only files of this folder import it; structures cross as raw buffers. */
import koffi from 'koffi';
import { KernelError } from './errno.ts';

const libc = koffi.load('libc.so.6');

/**
 * `void *` takes a Buffer or null, `str` a text, `const char **` texts that end with null, 64-bit integers a bigint.
 */
type Argument = number | bigint | Uint8Array | string | null | readonly (string | null)[];
export type CFunction = (...args: Argument[]) => number | bigint;

/** Binds a function of glibc, or `syscall(2)` with the parameters of one call. The result is C's, unchecked. */
export function bind(name: string, result: string, parameters: string[]): CFunction {
  return libc.func(name, result, parameters);
}

/** Numbers that differ by architecture (syscalls(2), asm/unistd.h). Those from 424 on are the same on all. */
export const SYSCALL_NUMBERS = (() => {
  const shared = { pidfd_send_signal: 424, pidfd_open: 434, openat2: 437 };
  switch (process.arch) {
    case 'x64':
      return { ...shared, sched_setattr: 314, sched_getattr: 315 };
    case 'arm64':
      return { ...shared, sched_setattr: 274, sched_getattr: 275 };
    default:
      throw new Error(`deputy knows no system call numbers for ${process.arch}; it runs on x64 and arm64`);
  }
})();

/**
 * Calls until it isn't interrupted, and turns -1 into a KernelError. `subject` says what the call was about
 * ("pid 412"); it must not be built from text that a client controls without quoting.
 */
export function check(call: string, subject: string, run: () => number | bigint): number {
  for (;;) {
    const result = Number(run());
    if (result !== -1) return result;
    const errno = koffi.errno();
    if (errno === EINTR) continue;
    throw new KernelError(call, errno, subject);
  }
}

const EINTR = 4;
