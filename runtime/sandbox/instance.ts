import type { GuestExports } from './abi/guest.ts';
import type { ExportNames } from './names.ts';
import type { Prepared } from './prepare.ts';
import { SandboxError } from './seam.ts';

type Export = WebAssembly.ExportFunction;

/** One instantiation of a plugin's module: its exports, its counters and its state. */
export class Instance implements GuestExports {
  readonly memory: WebAssembly.Memory;
  readonly realloc: Export;
  readonly initialize: Export | undefined;
  readonly init: Export;
  readonly decide: Export;
  readonly postInit: Export | undefined;
  readonly postDecide: Export | undefined;
  readonly #fuel: WebAssembly.Global<bigint> | undefined;
  readonly #depth: WebAssembly.Global<number> | undefined;
  readonly #globals: readonly WebAssembly.Global[];

  /** Runs the start function, if there is one. May trap. */
  constructor(prepared: Prepared, names: ExportNames, imports: WebAssembly.Imports) {
    const { exports } = new WebAssembly.Instance(prepared.module, imports);
    const memory = exports[names.memory];
    if (!(memory instanceof WebAssembly.Memory)) throw missing(names.memory, 'memory');
    this.memory = memory;
    this.realloc = functionOf(exports, names.realloc);
    this.init = functionOf(exports, names.init);
    this.decide = functionOf(exports, names.decide);
    this.initialize = optionalOf(exports, names.initialize);
    this.postInit = optionalOf(exports, names.postInit);
    this.postDecide = optionalOf(exports, names.postDecide);
    this.#fuel = counter<bigint>(exports, prepared.fuel);
    this.#depth = counter<number>(exports, prepared.depth);
    this.#globals = prepared.globals.map((name) => {
      const global = exports[name];
      if (!(global instanceof WebAssembly.Global)) throw missing(name, 'global');
      return global;
    });
  }

  /** Before every entry from outside: a trap leaves both counters where it struck. */
  arm(fuel: bigint): void {
    if (this.#fuel !== undefined) this.#fuel.value = fuel;
    if (this.#depth !== undefined) this.#depth.value = 0;
  }

  get fuelLeft(): bigint {
    const left = this.#fuel?.value ?? 0n;
    return left < 0n ? 0n : left;
  }

  /** Which counter, if any, says that it ended the call. */
  get exhausted(): 'fuel' | 'depth' | undefined {
    return undefined;
  }

  burn = (units: number): boolean => {
    const fuel = this.#fuel;
    if (fuel === undefined) return true;
    const left = fuel.value - BigInt(units);
    fuel.value = left < 0n ? 0n : left;
    return left >= 0n;
  };

  snapshot(): Snapshot {
    return {
      memory: new Uint8Array(this.memory.buffer).slice(),
      globals: this.#globals.map((global) => global.value),
    };
  }

  /** False where the memory has another size than the snapshot's: memory never shrinks. */
  restore({ memory, globals }: Snapshot): boolean {
    const buffer = this.memory.buffer;
    if (buffer.byteLength !== memory.length) return false;
    new Uint8Array(buffer).set(memory);
    for (let index = 0; index < globals.length; index++) {
      const global = this.#globals[index];
      if (global !== undefined) global.value = globals[index];
    }
    return true;
  }
}

/** Memory and mutable globals after `init`. */
export interface Snapshot {
  readonly memory: Uint8Array;
  readonly globals: readonly unknown[];
}

function optionalOf(exports: WebAssembly.Exports, name: string): Export | undefined {
  const value = exports[name];
  return typeof value === 'function' ? value : undefined;
}

function functionOf(exports: WebAssembly.Exports, name: string): Export {
  const value = optionalOf(exports, name);
  if (value === undefined) throw missing(name, 'function');
  return value;
}

function counter<T>(
  exports: WebAssembly.Exports,
  name: string | undefined,
): WebAssembly.Global<T> | undefined {
  if (name === undefined) return undefined;
  const value = exports[name];
  if (!(value instanceof WebAssembly.Global)) throw missing(name, 'global');
  return value as WebAssembly.Global<T>;
}

function missing(name: string, kind: string): SandboxError {
  return new SandboxError('export', `the module exports no ${kind} "${name}"`);
}
