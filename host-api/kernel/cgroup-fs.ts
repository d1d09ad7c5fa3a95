/**
 * cgroup v2 as a file system, reached through one open directory. Every path is opened beneath that directory by
 * openat2(2) with RESOLVE_BENEATH and without links: no path that a name could build leads out, and a cgroup that is
 * renamed or replaced in between is another file, not another target.
 */
import { closeSync, openSync, readdirSync, readSync } from 'node:fs';
import { KernelError } from './errno.ts';
import { bind, check, SYSCALL_NUMBERS } from './libc.ts';
import { findCgroupMount } from './mountinfo.ts';

const openat2 = bind('syscall', 'long', ['long', 'int', 'str', 'void *', 'ulong']);
const mkdirat = bind('mkdirat', 'int', ['int', 'str', 'uint']);
const unlinkat = bind('unlinkat', 'int', ['int', 'str', 'int']);
const write = bind('write', 'long', ['int', 'void *', 'ulong']);

/** fcntl.h and linux/openat2.h; the values are the same on x64 and arm64 but for O_DIRECTORY and O_NOFOLLOW. */
const O_RDONLY = 0;
const O_WRONLY = 1;
const O_CLOEXEC = 0x80000;
const O_DIRECTORY = process.arch === 'arm64' ? 0x4000 : 0x10000;
const RESOLVE_NO_XDEV = 0x01;
const RESOLVE_NO_MAGICLINKS = 0x02;
const RESOLVE_NO_SYMLINKS = 0x04;
const RESOLVE_BENEATH = 0x08;
const AT_REMOVEDIR = 0x200;

const HOW_BYTES = 24;

/** How much of a control file is read at most: cgroup.procs of a huge group is longer than any page. */
const CHUNK_BYTES = 64 * 1024;
const MAX_READ_BYTES = 16 * 1024 * 1024;

export class CgroupFs {
  /** "/sys/fs/cgroup", for messages. */
  readonly mountPoint: string;
  readonly #root: number;

  private constructor(mountPoint: string, root: number) {
    this.mountPoint = mountPoint;
    this.#root = root;
  }

  /** Undefined where the host has no cgroup v2 hierarchy, or shows only a part of it (a cgroup namespace). */
  static open(): CgroupFs | undefined {
    const mount = findCgroupMount();
    if (mount === undefined || mount.root !== '/') return undefined;
    return new CgroupFs(mount.mountPoint, openSync(mount.mountPoint, O_RDONLY | O_DIRECTORY));
  }

  /** Reads a control file, without its last newline. */
  read(cgroup: string, file: string): string {
    const fd = this.#open(join(cgroup, file), O_RDONLY);
    try {
      const chunks: Buffer[] = [];
      let length = 0;
      while (length < MAX_READ_BYTES) {
        const chunk = Buffer.alloc(CHUNK_BYTES);
        const read = this.#translate('read', join(cgroup, file), () =>
          readSync(fd, chunk, 0, CHUNK_BYTES, null),
        );
        if (read === 0) break;
        chunks.push(chunk.subarray(0, read));
        length += read;
      }
      return Buffer.concat(chunks).toString('utf8').trimEnd();
    } finally {
      closeSync(fd);
    }
  }

  /** Like `read`, but undefined where the file does not exist: a controller that is not enabled has no files. */
  readIfPresent(cgroup: string, file: string): string | undefined {
    try {
      return this.read(cgroup, file);
    } catch (error) {
      if (error instanceof KernelError && (error.code === 'ENOENT' || error.code === 'ENODEV'))
        return undefined;
      throw error;
    }
  }

  /** One write(2), since the kernel takes each as one command. */
  write(cgroup: string, file: string, value: string): void {
    const path = join(cgroup, file);
    const fd = this.#open(path, O_WRONLY);
    try {
      const bytes = Buffer.from(value);
      check('write', `${value} to ${path}`, () => write(fd, bytes, bytes.length));
    } finally {
      closeSync(fd);
    }
  }

  exists(cgroup: string): boolean {
    try {
      closeSync(this.#open(relative(cgroup), O_RDONLY | O_DIRECTORY));
      return true;
    } catch (error) {
      if (error instanceof KernelError && error.code === 'ENOENT') return false;
      throw error;
    }
  }

  /** Makes one cgroup below an existing one. False where it was there already. */
  create(parent: string, name: string): boolean {
    const directory = this.#open(relative(parent), O_RDONLY | O_DIRECTORY);
    try {
      check('mkdir', join(parent, name), () => mkdirat(directory, plainName(name), 0o755));
      return true;
    } catch (error) {
      if (error instanceof KernelError && error.code === 'EEXIST') return false;
      throw error;
    } finally {
      closeSync(directory);
    }
  }

  /** Removes an empty cgroup; EBUSY where it has processes or children. */
  remove(parent: string, name: string): void {
    const directory = this.#open(relative(parent), O_RDONLY | O_DIRECTORY);
    try {
      check('rmdir', join(parent, name), () => unlinkat(directory, plainName(name), AT_REMOVEDIR));
    } finally {
      closeSync(directory);
    }
  }

  /** Names of the child cgroups. */
  children(cgroup: string): string[] {
    const directory = this.#open(relative(cgroup), O_RDONLY | O_DIRECTORY);
    try {
      return readdirSync(`/proc/self/fd/${directory}`, { withFileTypes: true })
        .filter((entry) => entry.isDirectory())
        .map((entry) => entry.name);
    } finally {
      closeSync(directory);
    }
  }

  close(): void {
    closeSync(this.#root);
  }

  #open(path: string, flags: number): number {
    const how = Buffer.alloc(HOW_BYTES);
    how.writeBigUInt64LE(BigInt(flags | O_CLOEXEC), 0);
    how.writeBigUInt64LE(
      BigInt(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV),
      16,
    );
    return check('open', path, () => openat2(SYSCALL_NUMBERS.openat2, this.#root, path, how, HOW_BYTES));
  }

  #translate<T>(call: string, subject: string, run: () => T): T {
    try {
      return run();
    } catch (error) {
      const { errno } = error as NodeJS.ErrnoException;
      if (errno === undefined) throw error;
      throw new KernelError(call, Math.abs(errno), subject);
    }
  }
}

/** cgroup paths are absolute, "/a/b"; openat2 wants them relative to the mount, and "." for the root. */
function relative(cgroup: string): string {
  return cgroup === '/' ? '.' : cgroup.slice(1);
}

function join(cgroup: string, file: string): string {
  return cgroup === '/' ? file : `${cgroup.slice(1)}/${file}`;
}

function plainName(name: string): string {
  if (name === '' || name === '.' || name === '..' || name.includes('/') || name.includes('\0')) {
    throw new RangeError(`${JSON.stringify(name)} is no name of a cgroup`);
  }
  return name;
}
