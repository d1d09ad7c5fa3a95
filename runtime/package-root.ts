/** Where the package lies: templates, the SDK and the contract are files of it, from the sources and from dist/ alike. */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

export interface Package {
  readonly root: string;
  readonly version: string;
}

/** The nearest package.json of deputy outwards. */
export function findPackage(): Package | undefined {
  for (let root = import.meta.dirname; root !== '/'; root = dirname(root)) {
    try {
      const { name, version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
      if (name === 'deputy') return { root, version };
    } catch {
      // Not here.
    }
  }
  return undefined;
}

export function packageRoot(): string {
  const found = findPackage();
  if (found === undefined) {
    throw new Error('the package is not complete: no package.json of deputy above this file');
  }
  return found.root;
}

export function packageFile(...path: readonly string[]): string {
  return join(packageRoot(), ...path);
}
