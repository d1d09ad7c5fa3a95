/**
 * From what a client names to a process that deputy may touch: translated from the client's pid namespace, proven to
 * lie in its scope, held by a pidfd.
 *
 * A pid outside the scope and a pid that does not exist get the same answer, TargetNotInScope: a client must not learn
 * which pids the rest of the host uses. `comm` is never looked at. Whether the target's uid is the client's is a fact
 * for the policy, no condition here: in a pod with a user namespace the two differ by design.
 */
import { DeputyError } from '../host-api/errors.ts';
import type { CgroupFs } from '../host-api/kernel/cgroup-fs.ts';
import { closePidfd, isAlive, pidfdId } from '../host-api/kernel/pidfd.ts';
import { isKernelThread, isZombie, readCgroup, readStat, readStatus } from '../host-api/kernel/proc.ts';
import type { AddressedThreads, Process, Target } from '../host-api/target.ts';
import { findProcess, holdPeer } from './find-process.ts';
import { findThreads } from './find-threads.ts';
import type { Peer } from './peer.ts';
import { isNormal, isWithin, type Scope } from './scope.ts';

/** As the client sent it: every id in the client's own pid namespace. */
export interface RequestedTarget {
  /** Absent: the client itself. */
  readonly pid: number | undefined;
  readonly startTimeTicks: bigint | undefined;
  /** Inode of the client's pidfd of the target (pidfdfs). */
  readonly pidfdId: bigint | undefined;
  readonly threads: AddressedThreads;
}

export const WHOLE_CLIENT: RequestedTarget = {
  pid: undefined,
  startTimeTicks: undefined,
  pidfdId: undefined,
  threads: { tag: 'all' },
};

export interface ResolvedTarget extends Target {
  readonly isPeer: boolean;
  /** Of the threads asked for: those that had ended already. In the client's numbers. */
  readonly vanished: readonly number[];
  /** The process's pid in the client's numbers: the only one to be told to the client. */
  readonly named: number;
  /** The client's pid namespace, counted from the daemon's. */
  readonly namespaceLevel: number;
}

/** The caller closes the target with `closeTarget`. Throws a DeputyError. */
export function resolveTarget(
  peer: Peer,
  scope: Scope,
  requested: RequestedTarget,
  cgroupFs: CgroupFs | undefined,
): ResolvedTarget {
  const named = requested.pid ?? peer.ownPid;
  const process =
    requested.pid === undefined
      ? holdPeer(peer)
      : findProcess(peer, scope, requested.pid, requested.pidfdId, cgroupFs);
  if (process === undefined) throw notInScope(named, scope.path);
  try {
    checkProcess(process, named, scope.path);
    checkClaims(process, named, requested);
    const { namespaceLevel } = peer;
    const { addressed, vanished } = findThreads(process, named, requested.threads, namespaceLevel);
    const isPeer = process.pid === peer.process.pid && process.startTimeTicks === peer.process.startTimeTicks;
    return { process, addressed, scopePath: scope.path, isPeer, vanished, named, namespaceLevel };
  } catch (error) {
    closePidfd(process.pidfd);
    throw error;
  }
}

export function closeTarget(target: Target): void {
  closePidfd(target.process.pidfd);
}

/**
 * Once more, right before something is changed: whether it still lives and has not left the scope. Non-guarantee:
 * between this and the system call some microseconds pass, in which who may write to both cgroups can move it.
 */
export function recheckTarget(target: ResolvedTarget, scope: Pick<Scope, 'path'>): void {
  checkProcess(target.process, target.named, scope.path);
}

/** A thread or process id of the target as the client knows it; undefined once the thread has ended. */
export function numberForClient(target: ResolvedTarget, id: number): number | undefined {
  if (target.namespaceLevel === 0) return id;
  if (id === target.process.pid) return target.named;
  return readStatus(id, target.process.pid)?.namespacePids[target.namespaceLevel];
}

function checkProcess({ pid, pidfd, startTimeTicks }: Process, named: number, scopePath: string): void {
  const cgroup = readCgroup(pid);
  const stat = readStat(pid);
  // After the reads, which then were of this process.
  const alive = isAlive(pidfd);
  if (cgroup === undefined || stat === undefined || !isNormal(cgroup) || !isWithin(cgroup, scopePath)) {
    throw notInScope(named, scopePath);
  }
  const refused = (why: string): DeputyError =>
    new DeputyError('TargetNotAllowed', `pid ${named} ${why}`, { pid: named });
  if (isKernelThread(stat)) throw refused('is a kernel thread');
  if (pid === globalThis.process.pid) throw refused('is the daemon itself');
  if (!alive || stat.startTimeTicks !== startTimeTicks) {
    throw new DeputyError('NoSuchTarget', `pid ${named} has exited`, { pid: named });
  }
  if (isZombie(stat)) throw refused('lives on without its first thread, by which the kernel names it');
}

/** What the client says it means is compared with what is: a guard against its own stale pids, never an identity. */
function checkClaims(process: Process, named: number, requested: RequestedTarget): void {
  const { startTimeTicks, pidfdId: claimedId } = requested;
  if (startTimeTicks !== undefined && startTimeTicks !== process.startTimeTicks) {
    throw new DeputyError(
      'NoSuchTarget',
      `pid ${named} started at ${process.startTimeTicks} ticks, not at ${startTimeTicks}: it is another process by now`,
      { pid: named },
    );
  }
  if (claimedId === undefined) return;
  const id = pidfdId(process.pidfd);
  if (id === undefined) {
    throw new DeputyError(
      'NotSupported',
      "this kernel's pidfds have no ids (Linux 6.9): send startTimeTicks instead",
      { pid: named },
    );
  }
  if (id !== claimedId) {
    throw new DeputyError('NoSuchTarget', `the pidfd of pid ${named} has id ${id}, not ${claimedId}`, {
      pid: named,
    });
  }
}

function notInScope(pid: number, scopePath: string): DeputyError {
  return new DeputyError('TargetNotInScope', `pid ${pid} is no process of scope ${scopePath}`, { pid });
}
