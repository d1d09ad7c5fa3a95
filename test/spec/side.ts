/** One of the two sides of the comparison: the engine alone, or the engine with modules that the meter has been at. */
import { CAPS, type Caps } from '../../runtime/sandbox/inspect/caps.ts';
import { type FuncType, type ModuleShape, readModule } from '../../runtime/sandbox/inspect/module.ts';
import { type Prepared, prepareModule } from '../../runtime/sandbox/prepare.ts';
import { SandboxError } from '../../runtime/sandbox/seam.ts';
import { Adapter } from './adapter.ts';
import { type Value, writeLanes } from './value.ts';
import type { Action, Module } from './wast.ts';

/** How something ended. Two ends are the same if their texts are. */
export type End =
  | { readonly kind: 'done'; readonly mismatch: string | undefined }
  | { readonly kind: 'trap' | 'exhaustion' | 'invalid' | 'unlinkable' | 'refused'; readonly text: string };

/** The caps are tested for themselves; the suite goes beyond them. */
export const NO_CAPS = Object.fromEntries(
  Object.keys(CAPS).map((name) => [name, Infinity]),
) as unknown as Caps;

/** Enough for everything in the suite that ends, and a depth that its recursions stay within. */
const LIMITS = { fuel: 1n << 36n, memoryPages: 65_536, tableElements: 0xffff_ffff, callDepth: 1_200 };

interface Loaded {
  readonly shape: ModuleShape;
  readonly prepared: Prepared | undefined;
  readonly exports: WebAssembly.Exports;
  readonly adapters: Map<string, Adapter>;
}

export class Side {
  readonly #metered: boolean;
  readonly #registry: WebAssembly.Imports = { spectest: spectest() };
  readonly #named = new Map<string, Loaded>();
  readonly #all: Loaded[] = [];

  constructor(metered: boolean) {
    this.#metered = metered;
  }

  /** Instantiates a module, and makes it the current one and that of its name if that went well. */
  instantiate(module: Module, name: string | undefined): End {
    if ('malformed' in module) return { kind: 'invalid', text: module.malformed };
    return this.#guard(() => {
      const prepared = this.#metered ? prepareModule(module.wasm, LIMITS, NO_CAPS) : undefined;
      const compiled = prepared?.module ?? new WebAssembly.Module(module.wasm);
      const { exports } = new WebAssembly.Instance(compiled, this.#registry);
      const loaded = { shape: readModule(module.wasm, NO_CAPS), prepared, exports, adapters: new Map() };
      this.#all.push(loaded);
      const start = prepared?.start === undefined ? undefined : exports[prepared.start];
      if (typeof start === 'function') start();
      if (name !== undefined) {
        this.#named.set('', loaded);
        if (name !== '') this.#named.set(name, loaded);
      }
      return undefined;
    });
  }

  register(as: string, name: string): void {
    this.#registry[as] = { ...this.#of(name).exports };
  }

  act(action: Action, expected: readonly Value[] | undefined): End {
    const loaded = this.#of(action.module);
    const exported = loaded.shape.exports.find((one) => one.name === action.name);
    if (exported === undefined) throw new Error(`no export "${action.name}"`);
    const value = loaded.exports[action.name];
    if (action.kind === 'get') {
      return { kind: 'done', mismatch: compareGlobal((value as WebAssembly.Global).value, expected) };
    }
    const known = loaded.adapters.get(action.name);
    const adapter =
      known ?? new Adapter(value as WebAssembly.ExportFunction, this.#typeOf(loaded, exported.index));
    loaded.adapters.set(action.name, adapter);
    // A trap leaves the counters of every module on the way as they were.
    for (const one of this.#all) this.#arm(one);
    return this.#guard(() => adapter.call(action.args, expected));
  }

  #of(name: string): Loaded {
    const loaded = this.#named.get(name);
    if (loaded === undefined) throw new Error(`no module ${name}`);
    return loaded;
  }

  #typeOf({ shape }: Loaded, index: number): FuncType {
    const type = shape.types[shape.functions[index] ?? -1];
    if (type === undefined) throw new Error(`no function ${index}`);
    return type;
  }

  #arm({ prepared, exports }: Loaded): void {
    if (prepared === undefined) return;
    (exports[prepared.fuel] as WebAssembly.Global<bigint>).value = LIMITS.fuel;
    (exports[prepared.depth] as WebAssembly.Global<number>).value = 0;
  }

  /** The depth counter of some module says that it ended the call. */
  get #tooDeep(): boolean {
    return this.#all.some(({ prepared, exports }) => {
      const depth = prepared && (exports[prepared.depth] as WebAssembly.Global<number>).value;
      return depth !== undefined && depth > LIMITS.callDepth;
    });
  }

  #guard(run: () => string | undefined): End {
    try {
      return { kind: 'done', mismatch: run() };
    } catch (error) {
      if (error instanceof SandboxError) {
        return { kind: error.reason === 'invalid' ? 'invalid' : 'refused', text: error.message };
      }
      if (!(error instanceof Error)) throw error;
      const text = error.message;
      if (error instanceof WebAssembly.CompileError) return { kind: 'invalid', text };
      if (error instanceof WebAssembly.LinkError) return { kind: 'unlinkable', text };
      if (error instanceof TypeError && text.startsWith('WebAssembly.Instance()'))
        return { kind: 'unlinkable', text };
      if (error instanceof RangeError && text.includes('call stack')) return { kind: 'exhaustion', text };
      if (error instanceof WebAssembly.RuntimeError) {
        return { kind: this.#tooDeep ? 'exhaustion' : 'trap', text };
      }
      throw error;
    }
  }
}

function compareGlobal(got: unknown, expected: readonly Value[] | undefined): string | undefined {
  const [value] = expected ?? [];
  if (value === undefined) return undefined;
  const mismatch = `the global is ${String(got)}`;
  if ('ref' in value) return (value.ref === 'null') === (got === null) ? undefined : mismatch;
  const view = new DataView(new ArrayBuffer(16));
  writeLanes(view, 0, value.lanes);
  const wanted: Record<string, unknown> = {
    i32: view.getInt32(0, true),
    i64: view.getBigInt64(0, true),
    f32: view.getFloat32(0, true),
    f64: view.getFloat64(0, true),
  };
  return Object.is(got, wanted[value.type]) ? undefined : mismatch;
}

/** The module that the suite's scripts import from. */
function spectest(): Record<string, unknown> {
  const print = (): void => undefined;
  const prints = ['', '_i32', '_i64', '_f32', '_f64', '_i32_f32', '_f64_f64'].map((end) => [
    `print${end}`,
    print,
  ]);
  return {
    ...Object.fromEntries(prints),
    global_i32: new WebAssembly.Global({ value: 'i32' }, 666),
    global_i64: new WebAssembly.Global({ value: 'i64' }, 666n),
    global_f32: new WebAssembly.Global({ value: 'f32' }, 666.6),
    global_f64: new WebAssembly.Global({ value: 'f64' }, 666.6),
    table: new WebAssembly.Table({ element: 'anyfunc', initial: 10, maximum: 20 }),
    memory: new WebAssembly.Memory({ initial: 1, maximum: 2 }),
  };
}
