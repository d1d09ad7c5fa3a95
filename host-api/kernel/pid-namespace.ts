/**
 * Whether two processes are in one pid namespace (pid_namespaces(7)), by what /proc shows to a daemon without
 * CAP_SYS_PTRACE. The plain way, comparing the inodes of /proc/PID/ns/pid, needs that capability for processes of
 * other users (PTRACE_MODE_READ_FSCREDS, ptrace(2)), and with it a daemon could take over any process of the host. It
 * is only asked where descent leaves the question open.
 *
 * Descent: namespaces are counted from ours, which is level 0; NSpid in /proc/PID/status has one id a level. A process
 * is born into the namespace of its parent, or deeper (clone(2), unshare(2), setns(2)), so parent and child share their
 * namespaces down to the parent's level. Walking up from a process while the parent reaches down to a level ends at a
 * process that shares the namespace of that level with it. An orphan is adopted in the namespace of its dead parent.
 * - Two walks that end at the same process: the same namespace.
 * - Two that end at two different namespaces' first processes (id 1 of that level): different namespaces.
 * - One that ends at a process put into the namespace from outside (nsenter(1), `kubectl exec`): not known.
 */
import { closeSync, fstatSync, openSync } from 'node:fs';
import { KernelError } from './errno.ts';
import { bind, check } from './libc.ts';
import { readStat, readStatus } from './proc.ts';

export type SameNamespace = 'same' | 'different' | 'unknown';

/** Whether `b` has the same pid namespace at that level as `a`. Both must reach down to it. */
export function comparePidNamespaces(a: number, b: number, level: number): SameNamespace {
  if (a === b || level === 0) return 'same';
  const [top, other] = [topOf(a, level), topOf(b, level)];
  if (top !== undefined && other !== undefined) {
    if (top.pid === other.pid && top.startTimeTicks === other.startTimeTicks) return 'same';
    if (top.isFirst && other.isFirst) return 'different';
  }
  return compareInodes(a, b, level);
}

interface Top {
  readonly pid: number;
  readonly startTimeTicks: bigint;
  /** Whether it is the namespace's first process: its init. */
  readonly isFirst: boolean;
}

/** A client can make a longer chain of living parents, and then only hides itself. */
const MAX_GENERATIONS = 64;

/** The uppermost ancestor, or the process itself, that is in its namespace of that level. Undefined: gone meanwhile. */
function topOf(pid: number, level: number): Top | undefined {
  const walked: { pid: number; parentPid: number; isFirst: boolean }[] = [];
  for (let next = pid; walked.length <= MAX_GENERATIONS; ) {
    const status = readStatus(next);
    if (status === undefined) return undefined;
    const { namespacePids, parentPid } = status;
    if (namespacePids.length <= level) break;
    const isFirst = namespacePids.length === level + 1 && namespacePids[level] === 1;
    walked.push({ pid: next, parentPid, isFirst });
    if (isFirst) break;
    next = parentPid;
  }
  const top = walked.at(-1);
  if (top === undefined || walked.length > MAX_GENERATIONS) return undefined;
  const startTimeTicks = readStat(top.pid)?.startTimeTicks;
  // Somebody may have died on the way and the pid been given to a stranger. A process only changes its parent when
  // that dies, and never gets one with the same pid again; so a parent that is the same after was so all the while.
  const stable = walked.every((step) => readStat(step.pid)?.parentPid === step.parentPid);
  return stable && startTimeTicks !== undefined ? { ...top, startTimeTicks } : undefined;
}

function compareInodes(a: number, b: number, level: number): SameNamespace {
  const [one, other] = [namespaceInode(a, level), namespaceInode(b, level)];
  if (one === undefined || other === undefined) return 'unknown';
  return one === other ? 'same' : 'different';
}

const ioctl = bind('ioctl', 'int', ['int', 'ulong']);

/** linux/nsfs.h: _IO(0xb7, 0x2) */
const NS_GET_PARENT = 0xb702;

/** Of the namespace of that level. Undefined: gone, or not permitted. */
function namespaceInode(pid: number, level: number): bigint | undefined {
  const depth = readStatus(pid)?.namespacePids.length;
  if (depth === undefined || depth <= level) return undefined;
  let fd: number;
  try {
    fd = openSync(`/proc/${pid}/ns/pid`, 'r');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ESRCH' || code === 'EACCES' || code === 'EPERM') return undefined;
    throw error;
  }
  try {
    for (let at = depth - 1; at > level; at--) {
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
