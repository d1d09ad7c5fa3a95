import type { Prepared } from './prepare.ts';
import { SandboxError } from './seam.ts';

/** The counters of one instance of a metered module, and what of it a snapshot must hold. */
export class GuestState {
  readonly #memory: WebAssembly.Memory | undefined;
  readonly #fuel: WebAssembly.Global<bigint> | undefined;
  readonly #depth: WebAssembly.Global<number> | undefined;
  readonly #globals: readonly WebAssembly.Global[];

  /** `memory` is the one that the module defines and exports, if any. */
  constructor(prepared: Prepared, exports: WebAssembly.Exports, memory: WebAssembly.Memory | undefined) {
    this.#memory = memory;
    this.#fuel =
      prepared.fuel === undefined
        ? undefined
        : (globalOf(exports, prepared.fuel) as WebAssembly.Global<bigint>);
    this.#depth =
      prepared.depth === undefined
        ? undefined
        : (globalOf(exports, prepared.depth) as WebAssembly.Global<number>);
    this.#globals = prepared.globals.map((name) => globalOf(exports, name));
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

  set fuelLeft(left: bigint) {
    if (this.#fuel !== undefined) this.#fuel.value = left;
  }

  /** Which counter, if any, says that it ended the call. */
  get exhausted(): 'fuel' | 'depth' | undefined {
    return undefined;
  }

  burn(units: number): boolean {
    const fuel = this.#fuel;
    if (fuel === undefined) return true;
    const left = fuel.value - BigInt(units);
    fuel.value = left < 0n ? 0n : left;
    return left >= 0n;
  }

  snapshot(): Snapshot {
    return {
      memory: this.#memory && new Uint8Array(this.#memory.buffer).slice(),
      globals: this.#globals.map((global) => global.value),
    };
  }

  /** False where the memory has grown since: it never shrinks. */
  restore({ memory, globals }: Snapshot): boolean {
    if (memory !== undefined && this.#memory !== undefined) {
      const buffer = this.#memory.buffer;
      if (buffer.byteLength !== memory.length) return false;
      new Uint8Array(buffer).set(memory);
    }
    for (let index = 0; index < globals.length; index++) {
      const global = this.#globals[index];
      if (global !== undefined) global.value = globals[index];
    }
    return true;
  }

  /** Brings the memory of a new instance to the size that the snapshot has. */
  growTo({ memory }: Snapshot): void {
    if (memory === undefined || this.#memory === undefined) return;
    const missing = memory.length - this.#memory.buffer.byteLength;
    if (missing > 0) this.#memory.grow(missing / PAGE_BYTES);
  }
}

const PAGE_BYTES = 65536;

/** Memory and mutable globals after `init`. */
export interface Snapshot {
  readonly memory: Uint8Array | undefined;
  readonly globals: readonly unknown[];
}

function globalOf(exports: WebAssembly.Exports, name: string): WebAssembly.Global {
  const value = exports[name];
  if (!(value instanceof WebAssembly.Global)) {
    throw new SandboxError('export', `the metered module exports no global "${name}"`);
  }
  return value;
}
