/** The first file system of the guest: busybox, the modules that reach the host's files, and init.sh. */
import { chmodSync, copyFileSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { modulesInOrder } from './modules.ts';
import { findTool, runTool } from './tools.ts';

/** Builds it in `folder`, which must not exist, and returns the archive's path. `env` is sourced by init.sh. */
export function buildInitramfs(
  folder: string,
  kernelModules: string,
  env: Readonly<Record<string, string>>,
): string {
  for (const name of ['bin', 'modules', 'proc', 'sys', 'dev', 'host', 'rw', 'root']) {
    mkdirSync(join(folder, name), { recursive: true });
  }
  copyFileSync(findTool('busybox') ?? '', join(folder, 'bin/busybox'));
  chmodSync(join(folder, 'bin/busybox'), 0o755);
  copyFileSync(join(import.meta.dirname, '../guest/init.sh'), join(folder, 'init'));
  chmodSync(join(folder, 'init'), 0o755);
  modulesInOrder(kernelModules).forEach(({ name, content }, index) => {
    writeFileSync(join(folder, 'modules', `${String(index).padStart(2, '0')}-${name}.ko`), content);
  });
  const lines = Object.entries(env).map(([name, value]) => `export ${name}=${quote(value)}\n`);
  writeFileSync(join(folder, 'env'), lines.join(''));
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  const archive = `${folder}.cpio`;
  writeFileSync(
    archive,
    runTool('cpio', ['--quiet', '-o', '-H', 'newc', '-R', '0:0'], { cwd: folder, input: files.join('\n') }),
  );
  return archive;
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
