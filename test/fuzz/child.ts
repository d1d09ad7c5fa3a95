/** One target in a process of its own: TARGET MS SEED. */
import { rmSync, writeFileSync } from 'node:fs';
import * as fc from 'fast-check';
import type { Progress } from './run.ts';
import { openTarget, type TargetName } from './target.ts';

const [name = '', ms = '0', seed = '0'] = process.argv.slice(2);
const BATCH_MS = 5_000;
const current = `/tmp/deputy-fuzz-current-${process.pid}`;
const target = await openTarget(name as TargetName);
const end = performance.now() + Number(ms);
let runs = 0;
let told = 0;

const send = (progress: Progress): void => void process.send?.(progress);
for (let batch = 0; performance.now() < end; batch++) {
  const property = fc.asyncProperty(target.inputs, async (input) => {
    writeFileSync(current, input);
    runs++;
    await target.check(input);
    if (performance.now() - told > 1000) {
      told = performance.now();
      send({ runs });
    }
  });
  const { failed, counterexample, errorInstance } = await fc.check(property, {
    seed: Number(seed) + batch,
    numRuns: Number.MAX_SAFE_INTEGER,
    interruptAfterTimeLimit: Math.max(1, Math.min(BATCH_MS, end - performance.now())),
    markInterruptAsFailure: false,
  });
  const input = counterexample?.[0];
  if (failed && input !== undefined) {
    const message = errorInstance instanceof Error ? errorInstance.message : String(errorInstance);
    send({ runs, finding: { input: Buffer.from(input).toString('base64'), message } });
    break;
  }
}
await target.close?.();
rmSync(current, { force: true });
process.send?.({ runs, done: true } satisfies Progress, () => process.exit(0));
