/** What the kernel knows of the process at the other end of a unix socket (unix(7), socket(7)). */
import { KernelError } from './errno.ts';
import { bind, check } from './libc.ts';

const getsockopt = bind('getsockopt', 'int', ['int', 'int', 'int', 'void *', 'void *']);

/** asm-generic/socket.h */
const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
const SO_PEERPIDFD = 77;

export interface PeerCredentials {
  /** 0 where the process is in no pid namespace that the daemon sees. */
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

const value = Buffer.alloc(12);
const length = Buffer.alloc(4);

/** The credentials at the time of connect(2). Whoever holds the socket now may be another. */
export function readPeerCredentials(socketFd: number): PeerCredentials {
  length.writeInt32LE(12, 0);
  check('getsockopt SO_PEERCRED', `socket ${socketFd}`, () =>
    getsockopt(socketFd, SOL_SOCKET, SO_PEERCRED, value, length),
  );
  return { pid: value.readInt32LE(0), uid: value.readUInt32LE(4), gid: value.readUInt32LE(8) };
}

/**
 * A pidfd of the very process that connected, taken by the kernel at that time: no pid in between that could mean
 * another. Undefined before Linux 6.5. Throws a KernelError: ESRCH or, on
 * older kernels, EINVAL where the process has been reaped; since 6.16 it gives a pidfd even then.
 */
export function openPeerPidfd(socketFd: number): number | undefined {
  length.writeInt32LE(4, 0);
  try {
    check('getsockopt SO_PEERPIDFD', `socket ${socketFd}`, () =>
      getsockopt(socketFd, SOL_SOCKET, SO_PEERPIDFD, value, length),
    );
  } catch (error) {
    if (error instanceof KernelError && error.code === 'ENOPROTOOPT') return undefined;
    throw error;
  }
  return value.readInt32LE(0);
}
