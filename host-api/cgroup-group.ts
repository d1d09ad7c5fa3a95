/**
 * Makes a named group ready below a scope's cgroup: its directories, its threaded type, its cpuset. Every step is
 * looked up first and only done where it is missing, so that a half-built group, from a crash or from another
 * manager, is completed rather than fought over (cgroup-v2.rst, "Threads").
 */
import { formatCpuList } from './cpu-list.ts';
import type { CgroupGroup } from './effect.ts';
import type { CgroupFs } from './kernel/cgroup-fs.ts';
import { KernelError } from './kernel/errno.ts';

/** A group that can't be made ready. The message says which step, and what stands in its way. */
export class GroupError extends Error {
  override readonly name = 'GroupError';
}

/** The group's cgroup path. */
export function groupPath(scopePath: string, group: CgroupGroup): string {
  return `${scopePath}/${group.path}`;
}

/** Makes the group ready and returns its path. Idempotent. */
export function prepareGroup(fs: CgroupFs, scopePath: string, group: CgroupGroup): string {
  const path = groupPath(scopePath, group);
  if (!group.create) {
    if (!fs.exists(path))
      throw new GroupError(`cgroup ${path} does not exist, and group ${group.name} says create = false`);
    return path;
  }
  let parent = scopePath;
  for (const name of group.path.split('/')) {
    step(`make cgroup ${parent}/${name}`, () => fs.create(parent, name));
    const child = `${parent}/${name}`;
    if (group.threaded) makeThreaded(fs, child);
    parent = child;
  }
  if (group.cpus !== undefined || group.mems !== undefined) setCpuset(fs, scopePath, path, group);
  return path;
}

function makeThreaded(fs: CgroupFs, path: string): void {
  const type = fs.read(path, 'cgroup.type');
  if (type === 'threaded') return;
  step(`make ${path}, which is a "${type}", threaded`, () => fs.write(path, 'cgroup.type', 'threaded'), {
    EOPNOTSUPP:
      'its parent is neither threaded nor can it become a threaded domain: it distributes domain controllers (see its cgroup.subtree_control), or has itself a parent that is in no valid state',
    EBUSY: 'it has processes or child cgroups of its own',
  });
}

/** Hands the cpuset controller down from the scope to the group. Never above the scope: that is not deputy's to change. */
function setCpuset(fs: CgroupFs, scopePath: string, path: string, group: CgroupGroup): void {
  if (!words(fs.read(scopePath, 'cgroup.controllers')).includes('cpuset')) {
    throw new GroupError(
      `cgroup ${scopePath} has no cpuset controller, which group ${group.name} needs: enable it in the parent (systemd: AllowedCPUs= or Delegate=cpuset on the unit)`,
    );
  }
  let parent = scopePath;
  for (const name of path.slice(scopePath.length + 1).split('/')) {
    if (!words(fs.read(parent, 'cgroup.subtree_control')).includes('cpuset')) {
      step(`enable cpuset below ${parent}`, () => fs.write(parent, 'cgroup.subtree_control', '+cpuset'), {
        EBUSY:
          'it has processes and is no threaded domain: declare the group threaded, or move the processes into a child',
      });
    }
    parent = `${parent}/${name}`;
  }
  setCpusetFile(fs, path, 'cpuset.cpus', group.cpus);
  setCpusetFile(fs, path, 'cpuset.mems', group.mems);
}

function setCpusetFile(
  fs: CgroupFs,
  path: string,
  file: string,
  wanted: readonly number[] | undefined,
): void {
  if (wanted === undefined) return;
  const list = formatCpuList(wanted);
  if (fs.read(path, file) !== list) {
    step(`set ${file} of ${path} to ${list}`, () => fs.write(path, file, list), {
      EINVAL: 'not all of them exist on this host',
      ERANGE: 'not all of them exist on this host',
      EACCES: "they are not among the parent's",
    });
  }
  // The kernel takes what the parent doesn't have, and gives the parent's instead: a placement that is none.
  const effective = fs.read(path, `${file}.effective`);
  if (effective !== list) {
    throw new GroupError(
      `${file} of ${path} is ${list}, but in effect are ${effective || 'none'}: the parent allows no more`,
    );
  }
}

function words(text: string): string[] {
  return text.split(/\s+/);
}

function step<T>(what: string, run: () => T, reasons: Readonly<Record<string, string>> = {}): T {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    throw new GroupError(`can't ${what}: ${reasons[error.code] ?? error.message} (${error.code})`, {
      cause: error,
    });
  }
}
