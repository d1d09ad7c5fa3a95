/**
 * From the pid that a client names to the process, held by a pidfd. The pid is one of the client's own pid namespace;
 * in two pods the same number names two processes, and in one pod too where its containers have namespaces of their
 * own. So a candidate must have that number at the client's level (NSpid) *and* share the client's namespace there.
 */
import { DeputyError } from '../host-api/errors.ts';
import type { CgroupFs } from '../host-api/kernel/cgroup-fs.ts';
import { KernelError } from '../host-api/kernel/errno.ts';
import { comparePidNamespaces } from '../host-api/kernel/pid-namespace.ts';
import { closePidfd, isAlive, openPidfd, pidfdId } from '../host-api/kernel/pidfd.ts';
import { readStat, readStatus } from '../host-api/kernel/proc.ts';
import type { Process } from '../host-api/target.ts';
import type { Peer } from './peer.ts';
import type { Scope } from './scope.ts';
import { listScopeProcesses } from './scope-processes.ts';

/** Opens a pidfd, the caller's to close. Undefined where no process has this pid: an id of a mere thread is none. */
export function holdProcess(pid: number): Process | undefined {
  let pidfd: number;
  try {
    pidfd = openPidfd(pid);
  } catch (error) {
    // ESRCH: nobody. EINVAL, on newer kernels ENOENT: a thread that leads no process.
    if (error instanceof KernelError && ['ESRCH', 'EINVAL', 'ENOENT'].includes(error.code)) return undefined;
    throw error;
  }
  // Read after the pidfd holds the process: a start time read before could be that of a predecessor.
  const startTimeTicks = readStat(pid)?.startTimeTicks;
  if (startTimeTicks !== undefined && isAlive(pidfd)) return { pid, startTimeTicks, pidfd };
  closePidfd(pidfd);
  return undefined;
}

/** Opens another pidfd of the peer, the caller's to close. Throws PeerGone. */
export function holdPeer(peer: Peer): Process {
  const process = holdProcess(peer.process.pid);
  // The peer alive after means that its pid was its own all the while.
  if (process !== undefined && isAlive(peer.process.pidfd)) return process;
  if (process !== undefined) closePidfd(process.pidfd);
  throw gone(peer);
}

/**
 * The process that `pid` means to the peer. Only processes of the scope are looked at unless the peer shares the
 * daemon's namespace; that the one found lies in scope is still to be proven. Undefined where there is none. A pidfd's
 * id from the client settles which of several is meant. Throws TargetAmbiguous, NotSupported, PeerGone.
 */
export function findProcess(
  peer: Peer,
  scope: Scope,
  pid: number,
  claimedPidfdId: bigint | undefined,
  cgroupFs: CgroupFs | undefined,
): Process | undefined {
  if (peer.namespaceLevel === 0) return holdProcess(pid);
  if (pid === peer.ownPid) return holdPeer(peer);
  const known = recall(peer, pid);
  if (known !== undefined) return known;
  const undecided: Process[] = [];
  try {
    for (const candidate of listScopeProcesses(scope.path, cgroupFs)) {
      if (pidAt(candidate, peer.namespaceLevel) !== pid) continue;
      const process = holdProcess(candidate);
      if (process === undefined) continue;
      const answer = isMeant(peer, process, pid, claimedPidfdId);
      if (answer === 'same') {
        remember(peer, pid, process);
        return process;
      }
      if (answer === 'unknown') undecided.push(process);
      else closePidfd(process.pidfd);
    }
    if (undecided.length === 0) return undefined;
    throw new DeputyError(
      'TargetAmbiguous',
      `pid ${pid} may mean ${undecided.length} process(es) of scope ${scope.path} whose pid namespace can't be told apart from the caller's, since one of them was put into it from outside: send pidfdId (Linux 6.9)`,
      { pid },
    );
  } finally {
    for (const { pidfd } of undecided) closePidfd(pidfd);
  }
}

/** Undefined where it does not reach down to that level, has ended, or makes its status unreadable: no candidate. */
function pidAt(hostPid: number, level: number): number | undefined {
  try {
    return readStatus(hostPid)?.namespacePids[level];
  } catch (error) {
    if (error instanceof DeputyError) return undefined;
    throw error;
  }
}

function isMeant(
  peer: Peer,
  process: Process,
  pid: number,
  claimedPidfdId: bigint | undefined,
): ReturnType<typeof comparePidNamespaces> {
  // Once more, now that the pidfd holds it; and alive after that, so that all was read of this process.
  const isNamed = pidAt(process.pid, peer.namespaceLevel) === pid;
  const answer =
    claimedPidfdId !== undefined && pidfdId(process.pidfd) === claimedPidfdId
      ? 'same'
      : comparePidNamespaces(peer.process.pid, process.pid, peer.namespaceLevel);
  if (!isAlive(peer.process.pidfd)) {
    closePidfd(process.pidfd);
    throw gone(peer);
  }
  return isNamed && isAlive(process.pidfd) ? answer : 'different';
}

/**
 * What each peer's pids were found to mean. A VM's threads are placed one by one, each request naming the same
 * process; while that lives, its pid in the namespace can't mean another.
 */
const found = new WeakMap<Peer, Map<number, Omit<Process, 'pidfd'>>>();
const MAX_REMEMBERED = 16;

function remember(peer: Peer, pid: number, { pid: hostPid, startTimeTicks }: Process): void {
  const pids = found.get(peer) ?? new Map();
  if (pids.size >= MAX_REMEMBERED) pids.clear();
  found.set(peer, pids.set(pid, { pid: hostPid, startTimeTicks }));
}

function recall(peer: Peer, pid: number): Process | undefined {
  const known = found.get(peer)?.get(pid);
  const process = known && holdProcess(known.pid);
  if (process === undefined || process.startTimeTicks === known?.startTimeTicks) return process;
  closePidfd(process.pidfd);
  return undefined;
}

function gone(peer: Peer): DeputyError {
  return new DeputyError('PeerGone', `the process that connected, pid ${peer.ownPid}, has exited`);
}
