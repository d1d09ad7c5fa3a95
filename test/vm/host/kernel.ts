/** Debian's kernel package, unpacked in a cache outside the repository. Nothing is installed. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { runTool, SetupError } from './tools.ts';
import { extractVmlinux } from './vmlinux.ts';

/** The -cloud kernels have no 9p. */
const METAPACKAGE = 'linux-image-amd64';

export interface Kernel {
  /** "6.1.0-56-amd64" */
  readonly release: string;
  /** Uncompressed: boots in two thirds of the time. */
  readonly vmlinux: string;
  /** Folder of the release's modules. */
  readonly modules: string;
}

function cacheFolder(): string {
  const base = process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache');
  return join(base, 'deputy', 'vm-kernel');
}

/** What the cache has, else what apt gives; `refresh` asks apt in any case. Throws SetupError. */
export function provideKernel(refresh: boolean): Kernel {
  const cache = cacheFolder();
  mkdirSync(cache, { recursive: true });
  if (!refresh) {
    const newest = cachedReleases(cache).at(-1);
    if (newest !== undefined) return kernelIn(cache, newest);
  }
  const packageName = currentPackage();
  const release = packageName.slice('linux-image-'.length);
  if (!cachedReleases(cache).includes(release)) download(cache, packageName, release);
  return kernelIn(cache, release);
}

function kernelIn(cache: string, release: string): Kernel {
  const folder = join(cache, release);
  return { release, vmlinux: join(folder, 'vmlinux'), modules: join(folder, 'modules') };
}

function cachedReleases(cache: string): string[] {
  return readdirSync(cache)
    .filter((name) => existsSync(join(cache, name, 'vmlinux')))
    .sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
}

/** The package that the metapackage stands for at the moment: "linux-image-6.1.0-56-amd64". */
function currentPackage(): string {
  const listed = runTool('apt-cache', ['depends', '--important', METAPACKAGE]).toString();
  const found = /Depends: (linux-image-\d\S*)/.exec(listed)?.[1];
  if (found === undefined)
    throw new SetupError(`apt knows no ${METAPACKAGE}: run apt-get update, on a Debian host`);
  return found;
}

function download(cache: string, packageName: string, release: string): void {
  process.stdout.write(`downloading ${packageName} into ${cache}\n`);
  // Beside its place and renamed at the end: an interrupted download is no kernel.
  const work = mkdtempSync(join(cache, '.new-'));
  try {
    runTool('apt-get', ['download', packageName], { cwd: work });
    const [archive] = readdirSync(work).filter((name) => name.endsWith('.deb'));
    if (archive === undefined) throw new SetupError(`apt-get download ${packageName} left no package`);
    runTool('dpkg', ['-x', archive, 'unpacked'], { cwd: work });
    const unpacked = join(work, 'unpacked');
    const ready = join(work, 'ready');
    mkdirSync(ready);
    writeFileSync(join(ready, 'vmlinux'), extractVmlinux(join(unpacked, 'boot', `vmlinuz-${release}`)));
    const modules = ['lib/modules', 'usr/lib/modules']
      .map((folder) => join(unpacked, folder, release))
      .find(existsSync);
    if (modules === undefined) throw new SetupError(`${packageName} has no modules`);
    renameSync(modules, join(ready, 'modules'));
    rmSync(join(cache, release), { recursive: true, force: true });
    renameSync(ready, join(cache, release));
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
