/** A cgroup of a test's own, with what is made below it; all of it goes with `remove`. */
import { setTimeout as sleep } from 'node:timers/promises';
import { CgroupFs } from '../../host-api/kernel/cgroup-fs.ts';

export class TestCgroup {
  readonly fs: CgroupFs;
  readonly path: string;

  constructor(name: string) {
    const fs = CgroupFs.open();
    if (fs === undefined) throw new Error('no cgroup v2 hierarchy is mounted whole');
    this.fs = fs;
    this.path = `/${name}-${process.pid}`;
    fs.create('/', this.path.slice(1));
  }

  /** Makes a cgroup below this one, "a" or "a/b", and says its path. */
  make(below: string): string {
    let path = this.path;
    for (const name of below.split('/')) {
      this.fs.create(path, name);
      path = `${path}/${name}`;
    }
    return path;
  }

  move(pid: number, path: string): void {
    this.fs.write(path, 'cgroup.procs', String(pid));
  }

  /** Kills what is left in it, and waits until that is reaped. */
  async remove(): Promise<void> {
    this.fs.write(this.path, 'cgroup.kill', '1');
    await this.#remove('/', this.path.slice(1));
    this.fs.close();
  }

  /** With all that is below it, whoever made that. */
  async #remove(parent: string, name: string): Promise<void> {
    const path = parent === '/' ? `/${name}` : `${parent}/${name}`;
    for (const child of this.fs.children(path)) await this.#remove(path, child);
    for (let attempt = 0; ; attempt++) {
      try {
        return this.fs.remove(parent, name);
      } catch (error) {
        if (attempt === 100) throw error;
        await sleep(20);
      }
    }
  }
}
