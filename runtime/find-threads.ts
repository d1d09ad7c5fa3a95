/** From the thread ids that a client names to threads of the target, in the host's numbers. */
import { DeputyError } from '../host-api/errors.ts';
import { isZombie, listThreads, readStat, readStatus } from '../host-api/kernel/proc.ts';
import type { AddressedThreads, Process } from '../host-api/target.ts';

/** More than a VM with a thousand vCPUs has. Each may cost a read of some 15 µs, while nobody else is served. */
export const MAX_THREADS = 4096;

export interface FoundThreads {
  readonly addressed: AddressedThreads;
  /** Those that have ended already, in the client's numbers. */
  readonly vanished: readonly number[];
}

/**
 * Proves every thread to be one of the process: it stands in /proc/PID/task. `level` is the client's pid namespace;
 * all threads of a process are in one, so what was proven of the process holds for them. Throws NoSuchTarget where
 * none of them lives, InvalidRequest where there are too many to look through.
 */
export function findThreads(
  process: Process,
  named: number,
  requested: AddressedThreads,
  level: number,
): FoundThreads {
  if (requested.tag === 'all') return { addressed: requested, vanished: [] };
  const { tag, tids: wanted } = requested;
  if (wanted.length > MAX_THREADS) throw tooMany(wanted.length, `are named for pid ${named}`);
  const numbers = level === 0 ? sameNumbers(process, wanted) : translate(process, named, wanted, level);
  const tids = wanted.flatMap((tid) => numbers.get(tid) ?? []);
  const vanished = wanted.filter((tid) => !numbers.has(tid));
  // For "all but these" too: an exception that names nobody would silently widen what is changed.
  if (tids.length === 0) {
    const list = `${wanted.slice(0, 8).join(', ')}${wanted.length > 8 ? ', …' : ''}`;
    throw new DeputyError('NoSuchTarget', `pid ${named} has none of the threads ${list}`, {
      pid: named,
      threads: wanted,
    });
  }
  return { addressed: { tag, tids }, vanished };
}

function sameNumbers({ pid }: Process, wanted: readonly number[]): Map<number, number> {
  return new Map(wanted.filter((tid) => isLiving(tid, pid)).map((tid) => [tid, tid]));
}

function isLiving(tid: number, pid: number): boolean {
  const stat = readStat(tid, pid);
  return stat !== undefined && !isZombie(stat);
}

/** The client's number → ours, of those that live. */
function translate(
  { pid }: Process,
  named: number,
  wanted: readonly number[],
  level: number,
): Map<number, number> {
  const missing = new Set(wanted);
  const numbers = new Map<number, number>();
  const look = (tid: number): void => {
    const status = readStatus(tid, pid);
    const number = status?.namespacePids[level];
    if (status === undefined || number === undefined || isZombie(status) || !missing.delete(number)) return;
    numbers.set(number, tid);
  };
  // Threads are often as far from their process in one namespace as in the other. A wrong guess costs one read.
  for (const tid of wanted) look(pid + tid - named);
  if (missing.size === 0) return numbers;
  const threads = listThreads(pid);
  if (threads.length > MAX_THREADS) throw tooMany(threads.length, `live in pid ${named}`);
  const known = new Set(numbers.values());
  for (const tid of threads) {
    if (missing.size === 0) break;
    if (!known.has(tid)) look(tid);
  }
  return numbers;
}

function tooMany(requested: number, where: string): DeputyError {
  return new DeputyError('InvalidRequest', `${requested} threads ${where}, more than ${MAX_THREADS}`, {
    requested,
    allowed: MAX_THREADS,
  });
}
