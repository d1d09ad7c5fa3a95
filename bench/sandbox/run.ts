/**
 * What the limits cost: compute kernels plain and metered, a decision, a reset, the rewriter, an endless loop. Every
 * ratio is of one run on one machine; absolutes drift. Run: npm run bench:sandbox
 */
import asc from 'assemblyscript/asc';
import { meterModule } from '../../runtime/sandbox/meter/meter.ts';
import { loadPlugin } from '../../runtime/sandbox/plugin.ts';
import { prepareModule } from '../../runtime/sandbox/prepare.ts';
import { DEFAULT_LIMITS } from '../../runtime/sandbox/seam.ts';
import { FACTS, input, source } from '../../test/runtime/sandbox/inputs.ts';
import { assemble, assembleFile } from '../../test/runtime/sandbox/wat.ts';

type Kernel = (n: number) => number;

const CALLS = 5000;
const ROUNDS = 15;
const LIMITS = { ...DEFAULT_LIMITS, fuel: 1n << 60n };
const KERNELS: readonly (readonly [name: string, n: number])[] = [
  ['sha256', 2_000],
  ['json', 1_500],
  ['sort', 20_000],
  ['matrix', 90],
  ['loop', 2_000_000],
];
const TARGET = { mean: 1.15, worst: 1.4, decideUs: 5, resetUs: 10, rewriteMBs: 20, endlessMs: 10 };

const wasm = await compile(new URL('assembly/kernels.ts', import.meta.url).pathname);
const plain = exportsOf(new WebAssembly.Module(wasm));
const prepared = prepareModule(wasm, LIMITS);
const metered = exportsOf(prepared.module);
const fuel = metered[prepared.fuel] as WebAssembly.Global<bigint>;

console.log(`Node ${process.versions.node}; medians of ${ROUNDS}, plain and metered by turns\n`);
console.log('kernel        plain ms  metered ms   ratio      fuel used   ns a unit');
const ratios = KERNELS.map(([name, n]) => compare(name, n));
const mean = Math.exp(ratios.reduce((sum, ratio) => sum + Math.log(ratio), 0) / ratios.length);
show('geometric mean', mean, TARGET.mean, '×');
show('worst', Math.max(...ratios), TARGET.worst, '×');
compare('calls', 25);
console.log('');
await decisions();
rewriting();
await endless();

function compare(name: string, n: number): number {
  const [one, other] = [plain[name] as Kernel, metered[name] as Kernel];
  if (one(n) !== other(n)) throw new Error(`${name} differs`);
  for (let warm = 0; warm < 40; warm++) {
    one(n);
    other(n);
  }
  fuel.value = LIMITS.fuel;
  other(n);
  const used = LIMITS.fuel - fuel.value;
  const [a, b]: [number[], number[]] = [[], []];
  for (let round = 0; round < ROUNDS; round++) {
    a.push(time(() => one(n)));
    fuel.value = LIMITS.fuel;
    b.push(time(() => other(n)));
  }
  const [p, m] = [median(a), median(b)];
  const cells = [p.toFixed(3).padStart(10), m.toFixed(3).padStart(11), `${(m / p).toFixed(2)}×`.padStart(8)];
  cells.push(used.toLocaleString('en').padStart(14), ((m * 1e6) / Number(used)).toFixed(2).padStart(11));
  console.log(name.padEnd(12) + cells.join(' '));
  return m / p;
}

async function decisions(): Promise<void> {
  const policy = await loadPlugin(
    source(assembleFile(new URL('../../test/runtime/sandbox/policy.wat', import.meta.url))),
  );
  const asked = input(undefined, FACTS);
  const grown = assembleFile(new URL('../../test/runtime/sandbox/policy.wat', import.meta.url));
  const two = await loadPlugin(source(withPages(grown, 2)));
  /** Each on its own clock: a decision can't be repeated without its reset. Medians of rounds, in microseconds. */
  const apart = (plugin: typeof policy): { decideUs: number; resetUs: number } => {
    const rounds = Array.from({ length: ROUNDS + 1 }, () => {
      let [decideNs, resetNs] = [0n, 0n];
      for (let n = 0; n < CALLS; n++) {
        const start = process.hrtime.bigint();
        plugin.decide(asked);
        const decided = process.hrtime.bigint();
        plugin.reset();
        resetNs += process.hrtime.bigint() - decided;
        decideNs += decided - start;
      }
      return { decideUs: Number(decideNs) / 1000 / CALLS, resetUs: Number(resetNs) / 1000 / CALLS };
    }).slice(1);
    return {
      decideUs: median(rounds.map(({ decideUs }) => decideUs)),
      resetUs: median(rounds.map(({ resetUs }) => resetUs)),
    };
  };
  const one = apart(policy);
  show('decide: 3 facts, 1 effect', one.decideUs, TARGET.decideUs, 'µs');
  show('reset of one page', one.resetUs, undefined, 'µs');
  show('reset of two pages', apart(two).resetUs, TARGET.resetUs, 'µs');
}

/** The same module with another initial memory: its limits are one byte each. */
function withPages(wasm: Uint8Array, pages: number): Uint8Array {
  const { sections } = meterModule(wasm, LIMITS).shape;
  const memory = sections.find((section) => section.id === 5);
  const copy = wasm.slice();
  if (memory !== undefined) copy[memory.from + 2] = pages;
  return copy;
}

function rewriting(): void {
  // A module of a few MB: the kernels' functions over and over would need linking, so one function is repeated.
  const line =
    '(local.set 0 (i32.add (i32.load (local.get 0)) (i32.const 12345)))(br_if 0 (i32.eqz (local.get 0)))';
  const func = `(func (param i32) (block ${line.repeat(40)}) (loop (call 0 (local.get 0)) (br_if 0 (local.get 0))))`;
  const big = assemble(`(module (memory 1) ${func.repeat(2_500)})`);
  for (let warm = 0; warm < 3; warm++) meterModule(big, LIMITS);
  const ms = median(Array.from({ length: 7 }, () => time(() => meterModule(big, LIMITS))));
  const engine = median(Array.from({ length: 7 }, () => time(() => WebAssembly.validate(big))));
  show(
    `rewriting, ${(big.length / 1e6).toFixed(1)} MB`,
    big.length / 1e3 / ms,
    TARGET.rewriteMBs,
    'MB/s',
    true,
  );
  show('  the engine validates it at', big.length / 1e3 / engine, undefined, 'MB/s');
}

async function endless(): Promise<void> {
  for (const file of ['endless-loop', 'fill-storm', 'exponential-recursion', 'host-call-storm']) {
    const text = assembleFile(new URL(`../../test/hostile/${file}.wat`, import.meta.url));
    const figures: number[] = [];
    for (let round = 0; round < 9; round++) {
      const plugin = await loadPlugin(source(text));
      figures.push(
        time(() => {
          if (plugin.decide(input()).fault?.kind !== 'fuel') throw new Error('it ended otherwise');
        }),
      );
    }
    show(
      `${file}, default fuel, first call`,
      median(figures),
      file === 'endless-loop' ? TARGET.endlessMs : undefined,
      'ms',
    );
  }
}

function show(what: string, figure: number, target: number | undefined, unit: string, more = false): void {
  const met = target === undefined || (more ? figure >= target : figure <= target);
  const aim =
    target === undefined ? '' : `   target ${more ? '≥' : '≤'} ${target} ${unit}: ${met ? 'met' : 'MISSED'}`;
  console.log(`${what.padEnd(42)}${figure.toFixed(2).padStart(8)} ${unit}${aim}`);
}

function exportsOf(module: WebAssembly.Module): WebAssembly.Exports {
  return new WebAssembly.Instance(module, {}).exports;
}

async function compile(file: string): Promise<Uint8Array> {
  let binary: Uint8Array | undefined;
  const { error, stderr } = await asc.main(
    [
      file,
      '-O3',
      '--runtime',
      'stub',
      '--use',
      'abort=',
      '--initialMemory',
      '16',
      '--outFile',
      'out',
      '--baseDir',
      '/',
    ],
    {
      writeFile: (_, contents) => {
        binary = contents as Uint8Array;
      },
    },
  );
  if (error !== null || binary === undefined) throw new Error(stderr.toString());
  return binary;
}

function time(run: () => void): number {
  const start = process.hrtime.bigint();
  run();
  return Number(process.hrtime.bigint() - start) / 1e6;
}

function median(figures: number[]): number {
  return figures.sort((a, b) => a - b)[figures.length >> 1] ?? 0;
}
