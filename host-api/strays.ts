/**
 * Threads that should be in a group and are not. They are looked for where they must not be, in the other cgroups of
 * the threaded domain, and not in /proc/PID/task: there the threads that are born and die within the group would hide
 * them. Outside of the group only those remain that came too late, and who comes from one that was moved does not.
 */
import type { ThreadSelection } from './contract.ts';
import { type AddressedThread, isAddressed, type PassResult } from './effect.ts';
import type { CgroupFs } from './kernel/cgroup-fs.ts';
import { KernelError } from './kernel/errno.ts';
import { listThreads, readStat } from './kernel/proc.ts';
import type { Target } from './target.ts';

export class Strays {
  readonly #fs: CgroupFs;
  readonly #target: Target;
  readonly #selection: ThreadSelection;
  readonly #path: string;
  readonly #domain: string;
  /** Threads of other processes, so that each is looked up once. */
  readonly #foreign = new Set<number>();

  /** `path` is the threaded group's. */
  constructor(fs: CgroupFs, target: Target, selection: ThreadSelection, path: string) {
    this.#fs = fs;
    this.#target = target;
    this.#selection = selection;
    this.#path = path;
    this.#domain = domainOf(fs, path);
  }

  /** The strays that live, and what the search met (`PassResult`): `changed` where there was one, be it gone by now. */
  find(): { threads: AddressedThread[]; result: PassResult } {
    const { pid } = this.#target.process;
    const before = listThreads(pid);
    const outside = this.#threadsOutside(this.#domain);
    // Right before it and right after it: who is in one of these, too, was a stray, though it may have ended by now.
    const own = new Set([...before, ...listThreads(pid)]);
    const threads: AddressedThread[] = [];
    let result: PassResult = 'at-rest';
    for (const tid of outside) {
      if (this.#foreign.has(tid) || !isAddressed(this.#target, this.#selection, tid)) continue;
      const stat = readStat(tid, pid);
      if (stat !== undefined) threads.push({ tid, startTimeTicks: stat.startTimeTicks });
      if (stat !== undefined || own.has(tid)) result = 'changed';
      else if (readStat(tid) !== undefined) this.#foreign.add(tid);
      else if (result === 'at-rest') result = 'unsure';
    }
    return { threads, result };
  }

  #threadsOutside(cgroup: string): number[] {
    const own = cgroup === this.#path ? [] : threadsIn(this.#fs, cgroup);
    const below = ifPresent(() => this.#fs.children(cgroup)) ?? [];
    const threaded = below
      .map((name) => (cgroup === '/' ? `/${name}` : `${cgroup}/${name}`))
      .filter((child) => this.#fs.readIfPresent(child, 'cgroup.type') === 'threaded');
    return [...own, ...threaded.flatMap((child) => this.#threadsOutside(child))];
  }
}

/** The first ancestor that is not threaded itself: all threads of a process lie in it or below. */
function domainOf(fs: CgroupFs, path: string): string {
  let domain = path;
  while (domain !== '/' && fs.readIfPresent(domain, 'cgroup.type') === 'threaded') {
    domain = domain.slice(0, domain.lastIndexOf('/')) || '/';
  }
  return domain;
}

/** 0 stands for a thread of a pid namespace that the daemon doesn't see. */
function threadsIn(fs: CgroupFs, cgroup: string): number[] {
  const list = ifPresent(() => fs.read(cgroup, 'cgroup.threads')) ?? '';
  return list
    .split('\n')
    .map(Number)
    .filter((tid) => tid > 0);
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
