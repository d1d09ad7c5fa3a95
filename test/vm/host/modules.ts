/** Kernel modules in the order in which insmod takes them, each after those it depends on. */
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { runTool, SetupError } from './tools.ts';

/** What the guest needs to reach the host's files. */
const WANTED = ['virtio_pci', '9pnet_virtio', '9p', 'overlay', 'virtio_rng'];

export interface Module {
  readonly name: string;
  readonly content: Buffer;
}

export function modulesInOrder(folder: string): Module[] {
  const files = new Map<string, string>();
  for (const entry of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    const name = /^(.+)\.ko(\.xz)?$/.exec(basename(entry))?.[1];
    if (name !== undefined) files.set(name.replaceAll('-', '_'), join(folder, entry));
  }
  const ordered = new Map<string, Module>();
  const add = (name: string): void => {
    if (ordered.has(name)) return;
    const file = files.get(name);
    if (file === undefined) throw new SetupError(`${folder} has no module ${name}`);
    const content = file.endsWith('.xz') ? runTool('xz', ['-dc', file]) : readFileSync(file);
    for (const dependency of dependenciesOf(content)) add(dependency);
    ordered.set(name, { name, content });
  };
  for (const name of WANTED) add(name);
  return [...ordered.values()];
}

/** The section .modinfo has them as text; a package has no modules.dep, which depmod makes at installation. */
function dependenciesOf(content: Buffer): string[] {
  const list = /\0depends=([^\0]*)\0/.exec(content.toString('latin1'))?.[1] ?? '';
  return list
    .split(',')
    .filter((name) => name !== '')
    .map((name) => name.replaceAll('-', '_'));
}
