/** Random valid modules of Binaryen's fuzzer, plain and metered: the same results, the same traps, the same calls out. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { meterModule } from '../../../runtime/sandbox/meter/meter.ts';
import { SandboxError } from '../../../runtime/sandbox/seam.ts';
import { NO_CAPS } from '../../spec/side.ts';
import { demand, type Target } from '../target.ts';

const WASM_OPT = new URL('../../../node_modules/binaryen/bin/wasm-opt', import.meta.url).pathname;
const FEATURES = [
  'bulk-memory',
  'simd',
  'reference-types',
  'multivalue',
  'sign-ext',
  'nontrapping-float-to-int',
  'mutable-globals',
];
const LIMITS = { fuel: 1n << 40n, memoryPages: 65_536, tableElements: 0xffff_ffff, callDepth: 1_000 };

export function open(): Target {
  const folder = mkdtempSync(join(tmpdir(), 'deputy-fuzz-'));
  return {
    name: 'differential',
    inputs: fc.uint8Array({ minLength: 200, maxLength: 6_000 }),
    check: (input) => compare(generate(folder, input)),
    close: () => rmSync(folder, { recursive: true }),
  };
}

function generate(folder: string, input: Uint8Array): Uint8Array {
  const [from, to] = [join(folder, 'in'), join(folder, 'out.wasm')];
  writeFileSync(from, input);
  const features = FEATURES.map((name) => `--enable-${name}`);
  execFileSync(process.execPath, [WASM_OPT, from, '-ttf', '--mvp-features', ...features, '-o', to], {
    stdio: 'pipe',
  });
  return readFileSync(to);
}

function compare(wasm: Uint8Array): void {
  if (!WebAssembly.validate(wasm)) return;
  let metered: ReturnType<typeof meterModule>;
  try {
    metered = meterModule(wasm, LIMITS, NO_CAPS);
  } catch (error) {
    if (error instanceof SandboxError) return;
    throw error;
  }
  demand(WebAssembly.validate(metered.wasm), 'a valid module came out as an invalid one');
  const plain = trace(wasm);
  const other = trace(metered.wasm, metered);
  demand(plain === other, `they differ:\n${firstDifference(plain, other)}`);
}

/** All that can be seen of a module from outside: calls out, results, traps, exported globals and memory. */
function trace(wasm: Uint8Array, metered?: ReturnType<typeof meterModule>): string {
  const lines: string[] = [];
  const module = new WebAssembly.Module(wasm);
  const imports: WebAssembly.Imports = {};
  for (const { module: from, name, kind } of WebAssembly.Module.imports(module)) {
    const fields = imports[from] ?? {};
    if (kind === 'function')
      fields[name] = (...args: unknown[]) => void lines.push(`${name} ${args.map(text).join(' ')}`);
    else if (kind === 'global') fields[name] = new WebAssembly.Global({ value: 'externref' }, null);
    imports[from] = fields;
  }
  let exports: WebAssembly.Exports;
  try {
    exports = new WebAssembly.Instance(module, imports).exports;
    const start = metered?.start === undefined ? undefined : exports[metered.start];
    if (typeof start === 'function') start();
  } catch (error) {
    return `${lines.join('\n')}\n${ending(error)}`;
  }
  for (const [name, value] of Object.entries(exports)) {
    if (metered?.names.has(name) === true) continue;
    if (value instanceof WebAssembly.Memory) lines.push(`memory ${value.buffer.byteLength}`);
    if (typeof value !== 'function') continue;
    if (metered !== undefined) {
      (exports[metered.fuel] as WebAssembly.Global<bigint>).value = LIMITS.fuel;
      (exports[metered.depth] as WebAssembly.Global<number>).value = 0;
    }
    for (const args of [[], [1, 1, 1, 1], [1n, 1n, 1n, 1n]]) {
      try {
        lines.push(`${name} → ${text(value(...args))}`);
      } catch (error) {
        lines.push(`${name}: ${ending(error)}`);
        // Where a stack overflows is not the same plain and metered, and so is what was done until then.
        if (lines.at(-1)?.includes('too deep') === true) return lines.join('\n');
      }
    }
  }
  return lines.join('\n');
}

function ending(error: unknown): string {
  if (error instanceof RangeError) return 'too deep';
  if (error instanceof WebAssembly.RuntimeError) return error.message.replace(/ @\+\d+/, '');
  if (error instanceof TypeError || error instanceof WebAssembly.LinkError) return error.constructor.name;
  throw error;
}

/** NaNs have no bits that both sides must agree on. */
function text(value: unknown): string {
  return Array.isArray(value)
    ? value.map(text).join(',')
    : typeof value === 'function'
      ? 'function'
      : String(value);
}

function firstDifference(plain: string, metered: string): string {
  const [one, other] = [plain.split('\n'), metered.split('\n')];
  const line = one.findIndex((text, index) => text !== other[index]);
  return `line ${line}: plain ${one[line]}, metered ${other[line]}`;
}
