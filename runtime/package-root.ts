/** Where the package lies: templates, the SDK and the contract are files of it, from the sources and from dist/ alike. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

export function packageFile(...path: readonly string[]): string {
  return join(packageRoot(), ...path);
}

export function packageRoot(): string {
  for (let folder = import.meta.dirname; folder !== '/'; folder = dirname(folder)) {
    const file = join(folder, 'package.json');
    if (existsSync(file) && JSON.parse(readFileSync(file, 'utf8')).name === 'deputy') return folder;
  }
  throw new Error('the package is not complete: no package.json of deputy above this file');
}
