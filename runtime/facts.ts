/**
 * The one snapshot that a decision is made from. Everything a plugin can read is read here, before it runs, so that
 * the decision is a function of the record. What is read depends on the operation alone, never on what a plugin asks:
 * `set-memlock` is about the process, so its threads are not read and are an empty list.
 */
import { readFileSync } from 'node:fs';
import type { Facts, Memlock, OperationName, Thread } from '../host-api/contract.ts';
import { parseCpuList } from '../host-api/cpu-list.ts';
import { DeputyError } from '../host-api/errors.ts';
import type { CgroupFs } from '../host-api/kernel/cgroup-fs.ts';
import { isGone, KernelError } from '../host-api/kernel/errno.ts';
import { isAlive } from '../host-api/kernel/pidfd.ts';
import { readMemlock } from '../host-api/kernel/prlimit.ts';
import {
  listThreads,
  readCgroup,
  readCommUntrusted,
  readMemlockShown,
  readStatus,
} from '../host-api/kernel/proc.ts';
import { readAffinity, readScheduling } from '../host-api/kernel/sched.ts';
import type { AddressedThreads } from '../host-api/target.ts';
import { MAX_THREADS } from './find-threads.ts';
import type { Peer } from './peer.ts';
import type { ResolvedTarget } from './resolve-target.ts';
import type { Scope } from './scope.ts';

/**
 * `held` is what the ledger says of the scope. Throws NoSuchTarget where the target ends meanwhile, InvalidRequest
 * where it has too many threads.
 */
export function takeFacts(
  peer: Peer,
  scope: Scope,
  target: ResolvedTarget,
  operation: OperationName,
  held: Facts['ledger'],
  cgroupFs: CgroupFs | undefined,
): Facts {
  const { pid, pidfd } = target.process;
  try {
    const status = readStatus(pid);
    const cgroup = readCgroup(pid);
    const commUntrusted = readCommUntrusted(pid, pid);
    if (status === undefined || cgroup === undefined || commUntrusted === undefined) throw exited(target);
    const facts: Facts = {
      subject: {
        uid: peer.uid,
        gid: peer.gid,
        scope: scope.path,
        scopeName: scope.name,
        labels: scope.labels,
      },
      target: {
        uid: status.uids[1],
        gid: status.gids[1],
        isSubject: target.isPeer,
        memlock: memlockOf(target),
        cgroup,
        memoryLimit: cgroupFs && lowestMemoryMax(cgroupFs, cgroup),
        cpus: allowedCpus(cgroupFs, cgroup),
        wholeProcess: target.addressed.tag === 'all',
        threads: operation === 'set-memlock' ? [] : readThreads(target, cgroup, cgroupFs),
        commUntrusted,
      },
      ledger: held,
    };
    // Alive after all of it: then all of it was read of this process.
    if (!isAlive(pidfd)) throw exited(target);
    return facts;
  } catch (error) {
    throw isGone(error) ? exited(target) : error;
  }
}

function memlockOf(target: ResolvedTarget): Memlock {
  try {
    return readMemlock(target.process);
  } catch (error) {
    if (!(error instanceof KernelError) || error.code !== 'EPERM') throw error;
  }
  // Without CAP_SYS_RESOURCE the other operations are to work all the same.
  const memlock = readMemlockShown(target.process.pid);
  if (memlock === undefined) throw exited(target);
  return memlock;
}

/** Those addressed that live, ascending. Threads that end meanwhile are left out. */
function readThreads(target: ResolvedTarget, cgroup: string, cgroupFs: CgroupFs | undefined): Thread[] {
  const tids = addressedTids(target.process.pid, target.addressed);
  if (tids.length > MAX_THREADS) {
    throw new DeputyError(
      'InvalidRequest',
      `pid ${target.named} has ${tids.length} threads, more than ${MAX_THREADS}: name those that are meant`,
      { requested: tids.length, allowed: MAX_THREADS },
    );
  }
  // Outside threaded cgroups all threads of a process share one (cgroup-v2.rst, "Threads"): thousands of reads less.
  const isShared = cgroupFs?.readIfPresent(cgroup, 'cgroup.type') === 'domain';
  return tids.flatMap((tid) => readThread(tid, target.process.pid, isShared ? cgroup : undefined) ?? []);
}

function addressedTids(pid: number, addressed: AddressedThreads): readonly number[] {
  if (addressed.tag === 'only') return [...addressed.tids].sort((a, b) => a - b);
  const living = listThreads(pid);
  if (addressed.tag === 'all') return living;
  const excepted = new Set(addressed.tids);
  return living.filter((tid) => !excepted.has(tid));
}

function readThread(tid: number, pid: number, sharedCgroup: string | undefined): Thread | undefined {
  try {
    const { policy, priority, nice } = readScheduling(tid);
    const affinity = readAffinity(tid);
    const cgroup = sharedCgroup ?? readCgroup(tid, pid);
    // Last, and by way of the process: the calls above take a bare tid, which could have been given to a stranger.
    const commUntrusted = readCommUntrusted(tid, pid);
    if (cgroup === undefined || commUntrusted === undefined) return undefined;
    return { tid, commUntrusted, policy, priority, nice, affinity, cgroup };
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

/**
 * In bytes: the lowest memory.max on the way from the cgroup to the root, which is the limit that holds
 * (cgroup-v2.rst, "Memory"). Not the nearest: whoever was delegated a cgroup may set any number below it.
 */
export function lowestMemoryMax(fs: CgroupFs, cgroup: string): bigint | undefined {
  let lowest: bigint | undefined;
  for (let path = cgroup; path !== ''; path = path.slice(0, path.lastIndexOf('/'))) {
    const text = fs.readIfPresent(path, 'memory.max');
    if (text === undefined || text === 'max') continue;
    const limit = BigInt(text);
    if (lowest === undefined || limit < lowest) lowest = limit;
  }
  return lowest;
}

/** cpuset.cpus.effective of the nearest cgroup that has the controller; where none has, all CPUs that are online. */
function allowedCpus(fs: CgroupFs | undefined, cgroup: string): number[] {
  for (let path = cgroup; fs !== undefined && path !== ''; path = path.slice(0, path.lastIndexOf('/'))) {
    const text = fs.readIfPresent(path, 'cpuset.cpus.effective');
    if (text !== undefined) return parseCpuList(text);
  }
  return parseCpuList(readFileSync('/sys/devices/system/cpu/online', 'latin1'));
}

function exited({ named }: ResolvedTarget): DeputyError {
  return new DeputyError('NoSuchTarget', `pid ${named} has exited`, { pid: named });
}
