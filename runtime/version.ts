import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** Of the package: from the sources and from dist/ alike, the nearest package.json outwards. */
export const VERSION: string = (() => {
  for (let folder = import.meta.dirname; folder !== '/'; folder = dirname(folder)) {
    try {
      const { name, version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
      if (name === 'deputy') return version;
    } catch {
      // Not here.
    }
  }
  return '0.0.0';
})();
