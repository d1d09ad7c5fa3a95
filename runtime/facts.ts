/**
 * The one snapshot that a decision is made from. Everything a plugin can read is read here, before it runs, so that
 * the decision is a function of the record.
 */
import type { Facts, OperationName, Thread } from '../host-api/contract.ts';
import { parseCpuList } from '../host-api/cpu-list.ts';
import { addressedThreads } from '../host-api/effect.ts';
import { DeputyError } from '../host-api/errors.ts';
import type { CgroupFs } from '../host-api/kernel/cgroup-fs.ts';
import { isGone } from '../host-api/kernel/errno.ts';
import { readMemlock } from '../host-api/kernel/prlimit.ts';
import { readCgroup, readStat, readStatus } from '../host-api/kernel/proc.ts';
import { readAffinity, readScheduling } from '../host-api/kernel/sched.ts';
import type { Peer } from './peer.ts';
import type { ResolvedTarget } from './resolve-target.ts';
import type { Scope } from './scope.ts';

/** More threads than a VM with a thousand vCPUs has; each costs five reads and a line in the audit. */
const MAX_THREADS = 4096;

/** Throws a DeputyError. `set-memlock` is about the process alone: its threads are not read, and are an empty list. */
export function takeFacts(
  peer: Peer,
  scope: Scope,
  target: ResolvedTarget,
  operation: OperationName,
  held: Facts['ledger'],
  cgroupFs: CgroupFs | undefined,
): Facts {
  const { pid } = target.process;
  const status = readStatus(pid);
  const stat = readStat(pid);
  const cgroup = readCgroup(pid);
  if (status === undefined || stat === undefined || cgroup === undefined) throw exited(pid);
  return {
    subject: { uid: peer.uid, gid: peer.gid, scope: scope.path, scopeName: scope.name, labels: scope.labels },
    target: {
      uid: status.uids[1],
      gid: status.gids[1],
      isSubject: target.isPeer,
      memlock: memlockOf(target),
      cgroup,
      memoryLimit: cgroupFs && nearestMemoryMax(cgroupFs, cgroup),
      cpus: effectiveCpus(cgroupFs, cgroup, pid),
      wholeProcess: target.addressed.tag === 'all',
      threads: operation === 'set-memlock' ? [] : threadsOf(target),
      commUntrusted: stat.commUntrusted,
    },
    ledger: held,
  };
}

function memlockOf(target: ResolvedTarget): Facts['target']['memlock'] {
  try {
    return readMemlock(target.process);
  } catch (error) {
    if (isGone(error)) throw exited(target.process.pid);
    throw error;
  }
}

function threadsOf(target: ResolvedTarget): Thread[] {
  const { pid } = target.process;
  const living = addressedThreads(target, { tag: 'addressed' });
  if (living.length > MAX_THREADS) {
    throw new DeputyError(
      'InvalidRequest',
      `pid ${pid} has ${living.length} threads, more than ${MAX_THREADS}`,
      {
        requested: living.length,
        allowed: MAX_THREADS,
      },
    );
  }
  return living.flatMap(({ tid }) => {
    try {
      const { policy, priority, nice } = readScheduling(tid);
      const stat = readStat(tid, pid);
      const cgroup = readCgroup(tid, pid);
      if (stat === undefined || cgroup === undefined) return [];
      return {
        tid,
        commUntrusted: stat.commUntrusted,
        policy,
        priority,
        nice,
        affinity: readAffinity(tid),
        cgroup,
      };
    } catch (error) {
      if (isGone(error)) return [];
      throw error;
    }
  });
}

/** In bytes: memory.max of the cgroup or the nearest ancestor that sets one (cgroup-v2.rst, "Memory"). */
export function nearestMemoryMax(fs: CgroupFs, cgroup: string): bigint | undefined {
  for (let path = cgroup; path !== ''; path = path.slice(0, path.lastIndexOf('/'))) {
    const text = fs.readIfPresent(path, 'memory.max');
    if (text !== undefined && text !== 'max') return BigInt(text);
  }
  return undefined;
}

/** cpuset.cpus.effective of the nearest cgroup that has the controller; without one, the process's affinity. */
function effectiveCpus(fs: CgroupFs | undefined, cgroup: string, pid: number): number[] {
  for (let path = cgroup; fs !== undefined && path !== ''; path = path.slice(0, path.lastIndexOf('/'))) {
    const text = fs.readIfPresent(path, 'cpuset.cpus.effective');
    if (text !== undefined) return parseCpuList(text);
  }
  try {
    return readAffinity(pid);
  } catch (error) {
    if (isGone(error)) throw exited(pid);
    throw error;
  }
}

function exited(pid: number): DeputyError {
  return new DeputyError('NoSuchTarget', `pid ${pid} has exited`, { pid });
}
