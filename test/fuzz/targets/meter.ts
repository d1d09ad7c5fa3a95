/** Bytes that are almost modules: the meter throws its own error, or what comes out is valid and ends. */
import { readdirSync, readFileSync } from 'node:fs';
import { parse } from '@bytecodealliance/jco';
import * as fc from 'fast-check';
import { meterModule, RESERVED } from '../../../runtime/sandbox/meter/meter.ts';
import { SandboxError } from '../../../runtime/sandbox/seam.ts';
import { mutated } from '../mutate.ts';
import { demand, type Target } from '../target.ts';

const HOSTILE = new URL('../../hostile/', import.meta.url);
const LIMITS = { fuel: 200_000n, memoryPages: 8, tableElements: 1000, callDepth: 100 };
/** Below zero by the costliest straight line of a function, which is no longer than the module. */
const LINE = 10n;

export async function open(): Promise<Target> {
  const texts = readdirSync(HOSTILE).map((name) => readFileSync(new URL(name, HOSTILE), 'utf8'));
  const bases = await Promise.all(texts.map((text) => parse(text)));
  return {
    name: 'meter',
    inputs: fc.oneof(
      { weight: 20, arbitrary: mutated(bases) },
      { weight: 1, arbitrary: fc.uint8Array({ maxLength: 200 }) },
    ),
    check,
  };
}

function check(wasm: Uint8Array): void {
  const metered = own(() => meterModule(wasm, LIMITS));
  if (metered === undefined || !WebAssembly.validate(wasm)) return;
  demand(WebAssembly.validate(metered.wasm), 'a valid module came out as an invalid one');
  const module = new WebAssembly.Module(metered.wasm);
  const imports: WebAssembly.Imports = Object.create(null);
  for (const { module: from, name, kind } of WebAssembly.Module.imports(module)) {
    if (kind !== 'function') return;
    const fields = imports[from] ?? Object.create(null);
    fields[name] = () => 0;
    imports[from] = fields;
  }
  const instance = guest(() => new WebAssembly.Instance(module, imports));
  if (instance === undefined) return;
  const { exports } = instance;
  const fuel = exports[metered.fuel] as WebAssembly.Global<bigint>;
  const depth = exports[metered.depth] as WebAssembly.Global<number>;
  for (const [name, value] of Object.entries(exports)) {
    if (typeof value !== 'function' || (name.startsWith(RESERVED) && name !== metered.start)) continue;
    fuel.value = LIMITS.fuel;
    depth.value = 0;
    guest(() => value(0, 0, 0, 0));
    guest(() => value(1, 1, 1n, 1, 1n, 1, 1, 1, 1, 1));
    demand(fuel.value > -LINE * BigInt(wasm.length), `fuel went down to ${fuel.value}`);
    const memory = metered.memory === undefined ? undefined : exports[metered.memory];
    if (memory instanceof WebAssembly.Memory) {
      demand(
        memory.buffer.byteLength <= LIMITS.memoryPages * 65_536,
        `a memory of ${memory.buffer.byteLength}`,
      );
    }
  }
}

function own<T>(run: () => T): T | undefined {
  try {
    return run();
  } catch (error) {
    if (error instanceof SandboxError) return undefined;
    throw error;
  }
}

/** Traps, stack overflows of frames that no counter sees, and numbers of the wrong type are the guest's own. */
function guest<T>(run: () => T): T | undefined {
  try {
    return run();
  } catch (error) {
    if (error instanceof WebAssembly.RuntimeError || error instanceof WebAssembly.LinkError) return undefined;
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}
