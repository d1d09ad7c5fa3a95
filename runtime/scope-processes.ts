/** The processes of a scope, by its cgroup and those below it (cgroup-v2.rst). */
import { DeputyError } from '../host-api/errors.ts';
import type { CgroupFs } from '../host-api/kernel/cgroup-fs.ts';
import { KernelError } from '../host-api/kernel/errno.ts';
import { readStatus } from '../host-api/kernel/proc.ts';

/** Each costs a read of some 15 µs, while nobody else is served: 60 ms at most. */
export const MAX_SCOPE_PROCESSES = 4096;
export const MAX_SCOPE_CGROUPS = 1024;

/** Host pids. Throws NotSupported where there are too many, or no cgroup v2 to look into. */
export function listScopeProcesses(scopePath: string, cgroupFs: CgroupFs | undefined): number[] {
  if (cgroupFs === undefined) {
    throw new DeputyError('NotSupported', 'a pid of another pid namespace needs cgroup v2 to be found');
  }
  const pids = new Set<number>();
  const pending = [scopePath];
  for (let n = 0; pending.length > 0; n++) {
    const cgroup = pending.pop() ?? '';
    for (const pid of processesOf(cgroup, scopePath, cgroupFs)) pids.add(pid);
    if (n >= MAX_SCOPE_CGROUPS || pids.size > MAX_SCOPE_PROCESSES) {
      throw new DeputyError(
        'NotSupported',
        `scope ${scopePath} has more than ${MAX_SCOPE_PROCESSES} processes or ${MAX_SCOPE_CGROUPS} cgroups, too many to look a pid of another pid namespace up in`,
      );
    }
    for (const child of ifPresent(() => cgroupFs.children(cgroup)) ?? []) pending.push(`${cgroup}/${child}`);
  }
  return [...pids];
}

function processesOf(cgroup: string, scopePath: string, cgroupFs: CgroupFs): number[] {
  try {
    return numbers(ifPresent(() => cgroupFs.read(cgroup, 'cgroup.procs')) ?? '');
  } catch (error) {
    if (!(error instanceof KernelError) || error.code !== 'EOPNOTSUPP') throw error;
  }
  // A threaded cgroup. Its processes are listed by its domain, the first ancestor that is not threaded, and so have
  // been found already; unless the scope itself is threaded. Then it has threads, of processes to be looked up.
  if (!isThreaded(scopePath, cgroupFs)) return [];
  const tids = numbers(ifPresent(() => cgroupFs.read(cgroup, 'cgroup.threads')) ?? '');
  return tids.slice(0, MAX_SCOPE_PROCESSES + 1).flatMap((tid) => readStatus(tid)?.threadGroupId ?? []);
}

function isThreaded(cgroup: string, cgroupFs: CgroupFs): boolean {
  return cgroupFs.readIfPresent(cgroup, 'cgroup.type') === 'threaded';
}

/** 0 stands for a process of a pid namespace that the daemon doesn't see. */
function numbers(lines: string): number[] {
  return lines
    .split('\n')
    .map(Number)
    .filter((number) => number > 0);
}

/** Undefined where the cgroup has been removed meanwhile. */
function ifPresent<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof KernelError && (error.code === 'ENOENT' || error.code === 'ENODEV'))
      return undefined;
    throw error;
  }
}
