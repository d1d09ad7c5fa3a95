import { constants } from 'node:os';

/** Second names of a number; the code compares with the first (errno(3)). */
const ALIASES: ReadonlySet<string> = new Set(['EWOULDBLOCK', 'ENOTSUP', 'EDEADLOCK']);

const NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(constants.errno)
    .filter(([name]) => !ALIASES.has(name))
    .map(([name, value]) => [value, name]),
);

/** What the common ones mean in the calls that deputy makes; more precise words are the effects' to find. */
const WORDS: Readonly<Record<string, string>> = {
  EPERM: 'operation not permitted',
  EACCES: 'permission denied',
  ESRCH: 'no such process or thread',
  EINVAL: 'invalid value',
  ENOENT: 'no such file',
  EBUSY: 'busy',
  EAGAIN: 'try again',
  ENOSPC: 'no space, or no CPUs or memory nodes in the cpuset',
  EOPNOTSUPP: 'not supported here',
  ENODEV: 'the cgroup is gone',
  ENOSYS: 'the kernel has no such system call',
  ELOOP: 'a symbolic link in the path',
  EXDEV: 'the path leaves its root',
};

/** A system call that failed, its errno translated once and here. */
export class KernelError extends Error {
  override readonly name = 'KernelError';
  readonly call: string;
  readonly errno: number;
  /** "ESRCH" */
  readonly code: string;
  readonly subject: string;

  constructor(call: string, errno: number, subject: string) {
    const code = NAMES.get(errno) ?? `errno ${errno}`;
    super(`${call} of ${subject}: ${WORDS[code] ?? 'failed'} (${code})`);
    this.call = call;
    this.errno = errno;
    this.code = code;
    this.subject = subject;
  }
}

/** Whether the error says that the process or thread is gone. */
export function isGone(error: unknown): boolean {
  return error instanceof KernelError && error.code === 'ESRCH';
}
