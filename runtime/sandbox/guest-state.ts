import type { Prepared } from './prepare.ts';
import { SandboxError } from './seam.ts';

/** The counters of one instance of a metered module, and what of it a snapshot must hold. */
export class GuestState {
  readonly #memory: WebAssembly.Memory | undefined;
  readonly #fuel: WebAssembly.Global<bigint>;
  readonly #depth: WebAssembly.Global<number>;
  readonly #callDepth: number;
  readonly #globals: readonly WebAssembly.Global[];

  constructor(prepared: Prepared, exports: WebAssembly.Exports) {
    this.#fuel = globalOf(exports, prepared.fuel) as WebAssembly.Global<bigint>;
    this.#depth = globalOf(exports, prepared.depth) as WebAssembly.Global<number>;
    this.#callDepth = prepared.callDepth;
    this.#globals = prepared.globals.map((name) => globalOf(exports, name));
    const memory = prepared.memory === undefined ? undefined : exports[prepared.memory];
    this.#memory = memory instanceof WebAssembly.Memory ? memory : undefined;
  }

  /** Before every entry from outside: a trap leaves both counters where it struck. */
  arm(fuel: bigint): void {
    this.#fuel.value = fuel;
    this.#depth.value = 0;
  }

  get fuelLeft(): bigint {
    const left = this.#fuel.value;
    return left < 0n ? 0n : left;
  }

  set fuelLeft(left: bigint) {
    this.#fuel.value = left;
  }

  /** Which counter, if any, says that it ended the call. */
  get exhausted(): 'fuel' | 'depth' | undefined {
    if (this.#fuel.value < 0n) return 'fuel';
    return this.#depth.value > this.#callDepth ? 'depth' : undefined;
  }

  burn(units: number): boolean {
    const left = this.#fuel.value - BigInt(units);
    this.#fuel.value = left < 0n ? 0n : left;
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
