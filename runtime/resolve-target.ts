/**
 * From what a client names to a process that deputy may touch: translated from the client's pid namespace, proven to
 * lie in its scope, held by a pidfd.
 *
 * A pid outside the scope and a pid that does not exist get the same answer, TargetNotInScope: a client must not learn
 * which pids the rest of the host uses. `comm` is never looked at.
 */
import { DeputyError } from '../host-api/errors.ts';
import type { CgroupFs } from '../host-api/kernel/cgroup-fs.ts';
import { KernelError } from '../host-api/kernel/errno.ts';
import { readPidNamespace } from '../host-api/kernel/pid-namespace.ts';
import { closePidfd, isAlive, openPidfd, pidfdId } from '../host-api/kernel/pidfd.ts';
import {
  isKernelThread,
  isZombie,
  listThreads,
  readCgroup,
  readStat,
  readStatus,
} from '../host-api/kernel/proc.ts';
import type { AddressedThreads, Process, Target } from '../host-api/target.ts';
import type { Peer } from './peer.ts';
import { isWithin, type Scope } from './scope.ts';

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
}

/** Processes of one scope that are looked through for a pid of another namespace. */
const MAX_SCOPE_PROCESSES = 65_536;
const MAX_SCOPE_CGROUPS = 4096;

/** The caller closes the target with `closeTarget`. Throws a DeputyError. */
export function resolveTarget(
  peer: Peer,
  scope: Scope,
  requested: RequestedTarget,
  cgroupFs: CgroupFs | undefined,
): ResolvedTarget {
  const pid = requested.pid === undefined ? peer.process.pid : hostPid(peer, scope, requested.pid, cgroupFs);
  if (pid === undefined) throw notInScope(requested.pid ?? 0, scope);
  const named = requested.pid ?? pid;
  const process = openProcess(pid, named, scope);
  try {
    checkProcess(process, named, scope);
    checkClaims(process, named, requested);
    const { threads, vanished } = hostThreads(peer, process, requested.threads);
    return { process, addressed: threads, scopePath: scope.path, isPeer: pid === peer.process.pid, vanished };
  } catch (error) {
    closePidfd(process.pidfd);
    throw error;
  }
}

export function closeTarget(target: Target): void {
  closePidfd(target.process.pidfd);
}

/** Once more, right before something is changed: whether it still lives and has not left the scope. */
export function recheckTarget(target: Target, scope: Scope): void {
  checkProcess(target.process, target.process.pid, scope);
}

function openProcess(pid: number, named: number, scope: Scope): Process {
  try {
    const pidfd = openPidfd(pid);
    // Read after the pidfd holds the process: a start time read before could be that of a predecessor.
    const stat = readStat(pid);
    if (stat !== undefined && isAlive(pidfd)) return { pid, startTimeTicks: stat.startTimeTicks, pidfd };
    closePidfd(pidfd);
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    // EINVAL: the id of a thread that leads no process. It names no process, in scope or not.
  }
  throw notInScope(named, scope);
}

function checkProcess(process: Process, named: number, scope: Scope): void {
  const { pid, pidfd, startTimeTicks } = process;
  const cgroup = readCgroup(pid);
  const stat = readStat(pid);
  const alive = isAlive(pidfd);
  if (cgroup === undefined || stat === undefined || !isWithin(cgroup, scope.path))
    throw notInScope(named, scope);
  if (isKernelThread(stat)) {
    throw new DeputyError('TargetNotAllowed', `pid ${named} is a kernel thread`, { pid: named });
  }
  if (!alive || isZombie(stat) || stat.startTimeTicks !== startTimeTicks) {
    throw new DeputyError('NoSuchTarget', `pid ${named} has exited`, { pid: named });
  }
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
      {
        pid: named,
      },
    );
  }
  if (id !== claimedId) {
    throw new DeputyError('NoSuchTarget', `the pidfd of pid ${named} has id ${id}, not ${claimedId}`, {
      pid: named,
    });
  }
}

/** Undefined where no process in scope has this pid in the client's namespace. */
function hostPid(peer: Peer, scope: Scope, pid: number, cgroupFs: CgroupFs | undefined): number | undefined {
  const namespace = readPidNamespace(peer.process.pid);
  if (namespace === undefined) throw new DeputyError('PeerGone', 'the process that connected has exited');
  if (namespace === readPidNamespace('self')) return pid;
  const level = (readStatus(peer.process.pid)?.namespacePids.length ?? 0) - 1;
  const matches = scopeProcesses(scope, cgroupFs).filter(
    (candidate) => seenFrom(candidate, namespace, level) === pid,
  );
  if (matches.length > 1) {
    throw new DeputyError(
      'TargetAmbiguous',
      `pid ${pid} means ${matches.length} processes of scope ${scope.path}`,
      {
        pid,
      },
    );
  }
  return matches[0];
}

/**
 * The pid that a process has in the namespace at that level, or undefined where it isn't in it. NSpid lists the pids
 * from our namespace inwards; that the list is long enough doesn't prove that it is *this* namespace, since two pods
 * have the same depth. So the namespaces themselves are compared, going outwards from the candidate's own.
 */
function seenFrom(candidate: number, namespace: bigint, level: number): number | undefined {
  const pids = readStatus(candidate)?.namespacePids;
  if (pids === undefined || pids.length <= level) return undefined;
  return readPidNamespace(candidate, pids.length - 1 - level) === namespace ? pids[level] : undefined;
}

/** Host pids of all processes in the scope's cgroup and those below it. */
function scopeProcesses(scope: Scope, cgroupFs: CgroupFs | undefined): number[] {
  if (cgroupFs === undefined) {
    throw new DeputyError('NotSupported', 'a pid of another pid namespace needs cgroup v2 to be found');
  }
  const pids = new Set<number>();
  const pending = [scope.path];
  for (let n = 0; pending.length > 0; n++) {
    const cgroup = pending.pop() ?? '';
    if (n >= MAX_SCOPE_CGROUPS || pids.size > MAX_SCOPE_PROCESSES) {
      throw new DeputyError(
        'NotSupported',
        `scope ${scope.path} has too many processes or cgroups to look through`,
      );
    }
    try {
      for (const line of cgroupFs.read(cgroup, 'cgroup.procs').split('\n')) {
        // 0 stands for a process of a namespace we don't see.
        if (line !== '' && line !== '0') pids.add(Number(line));
      }
    } catch (error) {
      // EOPNOTSUPP: a threaded cgroup, whose processes its domain has listed. ENOENT, ENODEV: removed meanwhile.
      if (!(error instanceof KernelError && ['EOPNOTSUPP', 'ENOENT', 'ENODEV'].includes(error.code)))
        throw error;
    }
    try {
      for (const child of cgroupFs.children(cgroup)) pending.push(`${cgroup}/${child}`);
    } catch (error) {
      if (!(error instanceof KernelError && ['ENOENT', 'ENODEV'].includes(error.code))) throw error;
    }
  }
  return [...pids];
}

/** Proves every thread to be one of the process, in the host's numbers. Only those that have ended may be missing. */
function hostThreads(
  peer: Peer,
  process: Process,
  requested: AddressedThreads,
): { threads: AddressedThreads; vanished: number[] } {
  if (requested.tag === 'all') return { threads: requested, vanished: [] };
  const byName = threadNumbers(peer, process);
  const vanished = requested.tids.filter((tid) => !byName.has(tid));
  const tids = requested.tids.flatMap((tid) => byName.get(tid) ?? []);
  // For "all but these" too: an exception that names nobody would silently widen what is changed.
  if (tids.length === 0) {
    throw new DeputyError(
      'NoSuchTarget',
      `none of the threads ${requested.tids.join(', ')} is a thread of the target`,
      {
        threads: requested.tids,
      },
    );
  }
  return { threads: { tag: requested.tag, tids }, vanished };
}

/** Living threads of the process: the client's number → ours. */
function threadNumbers(peer: Peer, process: Process): Map<number, number> {
  const tids = listThreads(process.pid);
  if (readPidNamespace(peer.process.pid) === readPidNamespace('self'))
    return new Map(tids.map((tid) => [tid, tid]));
  const level = (readStatus(peer.process.pid)?.namespacePids.length ?? 0) - 1;
  const numbers = new Map<number, number>();
  for (const tid of tids) {
    // All threads of a process are in one pid namespace, and that it is below the peer's was proven with the process.
    const seen = readStatus(tid, process.pid)?.namespacePids[level];
    if (seen !== undefined) numbers.set(seen, tid);
  }
  return numbers;
}

function notInScope(pid: number, scope: Scope): DeputyError {
  return new DeputyError('TargetNotInScope', `pid ${pid} is no process of scope ${scope.path}`, { pid });
}
