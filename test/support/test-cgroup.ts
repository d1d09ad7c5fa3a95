/** A cgroup of a test's own, with what is made below it; all of it goes with `remove`. */
import { setTimeout as sleep } from 'node:timers/promises';
import { CgroupFs } from '../../host-api/kernel/cgroup-fs.ts';

export class TestCgroup {
  readonly fs: CgroupFs;
  readonly path: string;
  readonly #made: [parent: string, name: string][] = [];

  constructor(name: string) {
    const fs = CgroupFs.open();
    if (fs === undefined) throw new Error('no cgroup v2 hierarchy is mounted whole');
    this.fs = fs;
    this.path = `/${name}-${process.pid}`;
    this.#make('/', this.path.slice(1));
  }

  /** Makes a cgroup below this one, "a" or "a/b", and says its path. */
  make(below: string): string {
    let path = this.path;
    for (const name of below.split('/')) {
      this.#make(path, name);
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
    for (const [parent, name] of this.#made.reverse()) {
      for (let attempt = 0; ; attempt++) {
        try {
          this.fs.remove(parent, name);
          break;
        } catch (error) {
          if (attempt === 100) throw error;
          await sleep(20);
        }
      }
    }
    this.fs.close();
  }

  #make(parent: string, name: string): void {
    if (this.fs.create(parent, name)) this.#made.push([parent, name]);
  }
}
