/** Cgroups of a check's own. Whatever lives in them when it ends is killed, and all of them are removed. */
import { setTimeout as sleep } from 'node:timers/promises';
import { CgroupFs } from '../../../host-api/kernel/cgroup-fs.ts';
import { after } from './check.ts';

function openCgroups(): CgroupFs {
  const fs = CgroupFs.open();
  if (fs === undefined) throw new Error('the guest has no cgroup v2');
  return fs;
}

export const cgroups = openCgroups();

/** Makes "/a/b", the missing ancestors too, and returns it. */
export function makeCgroup(path: string): string {
  let parent = '/';
  for (const name of path.slice(1).split('/')) {
    const child = parent === '/' ? `/${name}` : `${parent}/${name}`;
    if (cgroups.create(parent, name) && parent === '/') after(() => removeTree(child));
    parent = child;
  }
  return path;
}

export function moveTo(path: string, pid: number): void {
  cgroups.write(path, 'cgroup.procs', String(pid));
}

async function removeTree(root: string): Promise<void> {
  if (!cgroups.exists(root)) return;
  cgroups.write(root, 'cgroup.kill', '1');
  await until(() => cgroups.read(root, 'cgroup.events').includes('populated 0'));
  removeBelow(root);
  cgroups.remove('/', root.slice(1));
}

function removeBelow(path: string): void {
  for (const name of cgroups.children(path)) {
    removeBelow(`${path}/${name}`);
    cgroups.remove(path, name);
  }
}

/** Waits, but not for ever: the guest is slow, and not that slow. */
export async function until(condition: () => boolean, what = 'a condition'): Promise<void> {
  for (let n = 0; n < 1000; n++) {
    if (condition()) return;
    await sleep(10);
  }
  throw new Error(`${what} did not come true within 10 s`);
}
