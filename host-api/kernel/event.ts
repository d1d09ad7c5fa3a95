/**
 * eventfd(2) and poll(2): a wait that ends early when another thread says so, in one system call. `Atomics.wait` would
 * do the same through a lock of V8's that all waiting threads share: a realtime thread could be kept waiting by a normal
 * one that lost its CPU while it held the lock.
 */
import { closeSync } from 'node:fs';
import { bind, check } from './libc.ts';

const eventfd = bind('eventfd', 'int', ['uint', 'int']);
const write = bind('write', 'long', ['int', 'void *', 'ulong']);
const poll = bind('poll', 'int', ['void *', 'ulong', 'int']);

/** sys/eventfd.h, poll.h */
const EFD_CLOEXEC = 0o2000000;
const EFD_NONBLOCK = 0o4000;
const POLLIN = 1;
/** struct pollfd: int fd, short events, short revents */
const POLLFD_BYTES = 8;

/** A descriptor that is not signalled yet. Throws a KernelError. */
export function createEvent(): number {
  return check('eventfd', 'an event', () => eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
}

/** Ends all waits, those to come too. */
export function signalEvent(fd: number): void {
  const one = Buffer.alloc(8);
  one.writeBigUInt64LE(1n);
  check('write', 'an event', () => write(fd, one, one.length));
}

/** Blocks the calling thread. True once it is signalled, false after `ms`. */
export function waitForEvent(fd: number, ms: number): boolean {
  const pollfd = Buffer.alloc(POLLFD_BYTES);
  pollfd.writeInt32LE(fd, 0);
  pollfd.writeInt16LE(POLLIN, 4);
  return check('poll', 'an event', () => poll(pollfd, 1, Math.ceil(ms))) > 0;
}

export function closeEvent(fd: number): void {
  closeSync(fd);
}
