/**
 * `npm run fuzz`: random inputs against what takes bytes from strangers, for so many minutes, reproducible by a seed.
 * Each target runs in a process of its own; one that says nothing for too long is killed and its input kept, since an
 * endless loop of a guest can't be seen from inside. Findings become files of test/fuzz/corpus, which `npm test`
 * runs again.
 */
import { fork } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { Command, Option } from 'commander';
import { saveFinding } from './corpus.ts';
import { TARGETS, type TargetName } from './target.ts';

const STALL_MS = 60_000;

export interface Progress {
  readonly runs: number;
  readonly finding?: { readonly input: string; readonly message: string };
  readonly done?: boolean;
}

const program = new Command('fuzz')
  .description('Random inputs against what takes bytes from strangers.')
  .option('--minutes <n>', 'how long, over all targets', Number, 1)
  .addOption(new Option('--target <name>', 'only this one').choices(TARGETS))
  .option('--seed <n>', 'the seed of the first batch', Number, Date.now() % 2 ** 31)
  .parse();
const { minutes, target, seed } = program.opts<{ minutes: number; target?: TargetName; seed: number }>();
if (!(minutes > 0) || !Number.isSafeInteger(seed)) {
  console.error('fuzz: --minutes must be above 0 and --seed a whole number');
  process.exit(2);
}

const names = target === undefined ? TARGETS : [target];
let findings = 0;
console.log(`fuzz: ${names.join(', ')}; ${minutes} min; --seed ${seed}`);
for (const name of names) {
  const { runs, found } = await run(name, (minutes * 60_000) / names.length);
  findings += found;
  console.log(`${name.padEnd(14)}${runs.toLocaleString('en').padStart(10)} inputs, ${found} findings`);
}
process.exitCode = findings > 0 ? 1 : 0;

function run(name: TargetName, ms: number): Promise<{ runs: number; found: number }> {
  return new Promise((resolve) => {
    const child = fork(new URL('child.ts', import.meta.url), [name, `${ms}`, `${seed}`], {
      execArgv: ['--import', 'tsx'],
    });
    let [runs, found] = [0, 0];
    let done = false;
    const stalled = setTimeout(() => child.kill('SIGKILL'), STALL_MS);
    child.on('message', (progress: Progress) => {
      stalled.refresh();
      runs = progress.runs;
      done ||= progress.done === true;
      if (progress.finding === undefined) return;
      found++;
      const { input, message } = progress.finding;
      const file = saveFinding(name, Buffer.from(input, 'base64'));
      console.error(`FINDING in ${name}: ${message}\n  kept as ${file}; again: npx vitest run test/fuzz`);
    });
    child.on('close', (code, signal) => {
      clearTimeout(stalled);
      if (!done) {
        found++;
        // What it was busy with when it was killed, or when it crashed.
        const current = `/tmp/deputy-fuzz-current-${child.pid}`;
        const file = existsSync(current)
          ? saveFinding(name, readFileSync(current))
          : 'nothing: it had not begun';
        console.error(
          `FINDING in ${name}: it ended with ${code ?? signal}, or said nothing for ${STALL_MS} ms; kept as ${file}`,
        );
      }
      resolve({ runs, found });
    });
  });
}
