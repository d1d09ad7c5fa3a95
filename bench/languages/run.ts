/**
 * One policy in each language: size of the module, time to load it, time of a decision. Ratios beside the fastest of the
 * same run hold elsewhere; absolute figures are this machine's. Languages whose toolchain is missing are left out, by name.
 */
import { statSync } from 'node:fs';
import { DEFAULT_FACTS } from '../../runtime/cli/plugin/case-values.ts';
import { LANGUAGE, LANGUAGES } from '../../runtime/cli/plugin/languages.ts';
import { loadProject, openProject, readManifest } from '../../runtime/cli/plugin/project.ts';
import type { DecisionInput } from '../../runtime/sandbox/seam.ts';
import { buildExample } from '../../test/examples/languages.ts';

const ROUNDS = 30;

interface Row {
  readonly title: string;
  readonly bytes: number;
  readonly loadMs: number;
  readonly decideUs: number;
  readonly fuel: bigint;
}

const rows: Row[] = [];
const missing: string[] = [];
for (const language of LANGUAGES) {
  using example = await buildExample(language);
  const { directory, built } = example;
  if (built.code !== 0) {
    missing.push(`${LANGUAGE[language].title}: ${built.err.trim().split('\n')[0]}`);
    continue;
  }
  const project = openProject(directory);
  const manifest = readManifest(project);
  const from = performance.now();
  const { plugin, ceilings } = await loadProject(project, manifest);
  const loadMs = performance.now() - from;
  const limit = { tag: 'bytes', val: 1n << 30n } as const;
  const input: DecisionInput = {
    facts: { ...DEFAULT_FACTS, target: { ...DEFAULT_FACTS.target, memoryLimit: 1n << 31n } },
    operation: { tag: 'set-memlock', val: { soft: limit, hard: limit } },
    ceilings,
    groups: new Set(),
  };
  const decision = plugin.decide(input);
  if (decision.verdict.tag !== 'allow') throw new Error(`${language}: ${JSON.stringify(decision.verdict)}`);
  const batch = language === 'js' ? 20 : 2000;
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const start = performance.now();
    for (let n = 0; n < batch; n++) plugin.decide(input);
    times.push(((performance.now() - start) * 1000) / batch);
  }
  times.sort((a, b) => a - b);
  rows.push({
    title: LANGUAGE[language].title,
    bytes: statSync(project.wasmFile).size,
    loadMs,
    decideUs: times[ROUNDS >> 1] ?? 0,
    fuel: decision.fuelUsed,
  });
}
const fastest = Math.min(...rows.map(({ decideUs }) => decideUs));
console.log(`Node ${process.version}: an allowed set-memlock, two facts and one effect, reset included`);
console.log('language                        bytes    load ms   decide µs   ratio      fuel');
for (const { title, bytes, loadMs, decideUs, fuel } of rows) {
  console.log(
    `${title.padEnd(26)} ${`${bytes}`.padStart(10)} ${loadMs.toFixed(1).padStart(10)} ${decideUs.toFixed(1).padStart(11)} ${(decideUs / fastest).toFixed(1).padStart(7)} ${`${fuel}`.padStart(9)}`,
  );
}
for (const reason of missing) console.log(`left out: ${reason}`);
