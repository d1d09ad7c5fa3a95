/** The programs that the harness calls, and the Debian packages they come in. */
import { type ExecFileSyncOptions, execFileSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** The machine can't run the guest. The message says what to install. */
export class SetupError extends Error {
  override readonly name = 'SetupError';
}

const PACKAGES: Readonly<Record<string, string>> = {
  'qemu-system-x86_64': 'qemu-system-x86',
  busybox: 'busybox-static',
  cpio: 'cpio',
  xz: 'xz-utils',
  gcc: 'gcc libc6-dev',
  python3: 'python3',
  'apt-get': 'apt',
  dpkg: 'dpkg',
};

export function findTool(name: string): string | undefined {
  for (const folder of [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin']) {
    const path = join(folder, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not here.
    }
  }
  return undefined;
}

/** Throws a SetupError that names all that is missing. */
export function assertTools(): void {
  const missing = Object.keys(PACKAGES).filter((name) => findTool(name) === undefined);
  if (missing.length === 0) return;
  const packages = missing.map((name) => PACKAGES[name]).join(' ');
  throw new SetupError(
    `${missing.join(', ')} missing; on Debian: apt-get install --no-install-recommends ${packages}`,
  );
}

/** Runs a program and returns its output. Throws a SetupError with what it wrote. */
export function runTool(name: string, args: readonly string[], options: ExecFileSyncOptions = {}): Buffer {
  try {
    return Buffer.from(
      execFileSync(name, args, { stdio: ['pipe', 'pipe', 'pipe'], maxBuffer: 1 << 28, ...options }),
    );
  } catch (error) {
    const { stdout, stderr, message } = error as Error & { stdout?: Buffer; stderr?: Buffer };
    // tsc writes what is wrong to stdout.
    const told = `${stderr ?? ''}${stdout ?? ''}`.trim();
    throw new SetupError(`${name} ${args.join(' ')}: ${told || message}`);
  }
}
