/**
 * One policy in each language: size of the module, time to load it, time of a decision. Ratios beside the fastest of the
 * same run hold elsewhere; absolute figures are this machine's. Languages whose toolchain is missing are left out, by name.
 */
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DEFAULT_FACTS } from '../../runtime/cli/plugin/case-values.ts';
import { LANGUAGE, LANGUAGES } from '../../runtime/cli/plugin/languages.ts';
import { loadProject, openProject, readManifest } from '../../runtime/cli/plugin/project.ts';
import { run } from '../../runtime/cli/run.ts';
import { Terminal } from '../../runtime/cli/terminal.ts';
import type { DecisionInput } from '../../runtime/sandbox/seam.ts';

const ROUNDS = 30;
const TOOLS = process.env['DEPUTY_TEST_TOOLS'];

interface Row {
  readonly title: string;
  readonly bytes: number;
  readonly loadMs: number;
  readonly decideUs: number;
  readonly fuel: bigint;
}

const folder = mkdtempSync(join(TOOLS ?? tmpdir(), 'deputy-bench-'));
const rows: Row[] = [];
const missing: string[] = [];
for (const language of LANGUAGES) {
  const directory = join(folder, `bench-${language}`);
  let said = '';
  const terminal = new Terminal(
    {
      out: () => {},
      err: (text) => {
        said += text;
      },
    },
    TOOLS === undefined ? process.env : { ...process.env, ZIG: join(TOOLS, 'node_modules/.bin/zig') },
  );
  await run(['plugin', 'new', directory, '--lang', language], terminal);
  if ((await run(['plugin', 'build', directory], terminal)) !== 0) {
    missing.push(`${LANGUAGE[language].title}: ${said.trim().split('\n')[0]}`);
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
rmSync(folder, { recursive: true });
const fastest = Math.min(...rows.map(({ decideUs }) => decideUs));
console.log(`Node ${process.version}: an allowed set-memlock, two facts and one effect, reset included`);
console.log('language                        bytes    load ms   decide µs   ratio      fuel');
for (const { title, bytes, loadMs, decideUs, fuel } of rows) {
  console.log(
    `${title.padEnd(26)} ${`${bytes}`.padStart(10)} ${loadMs.toFixed(1).padStart(10)} ${decideUs.toFixed(1).padStart(11)} ${(decideUs / fastest).toFixed(1).padStart(7)} ${`${fuel}`.padStart(9)}`,
  );
}
for (const reason of missing) console.log(`left out: ${reason}`);
