import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readFindings } from './corpus.ts';
import { openTarget, TARGETS } from './target.ts';

/** A few inputs of a fixed seed, so that a target that is broken itself is noticed. */
const RUNS = { meter: 300, differential: 2, abi: 100, varlink: 50, config: 50 };

describe.each(TARGETS)('fuzz target %s', (name) => {
  it('holds for what was found once, and for a few inputs of a fixed seed', async () => {
    const target = await openTarget(name);
    try {
      for (const { name: file, input } of readFindings(name)) {
        await expect(
          Promise.resolve().then(() => target.check(input)),
          file,
        ).resolves.toBeUndefined();
      }
      await fc.assert(
        fc.asyncProperty(target.inputs, async (input) => target.check(input)),
        { seed: 1, numRuns: RUNS[name] },
      );
    } finally {
      await target.close?.();
    }
  });
});
