import type { GuestExports } from './abi/guest.ts';
import { GuestState } from './guest-state.ts';
import type { ExportNames } from './names.ts';
import type { Prepared } from './prepare.ts';
import { SandboxError } from './seam.ts';

type Export = WebAssembly.ExportFunction;

/** One instantiation of a core module that is a plugin. */
export class Instance implements GuestExports {
  readonly state: GuestState;
  readonly memory: WebAssembly.Memory;
  readonly realloc: Export;
  readonly start: Export | undefined;
  readonly initialize: Export | undefined;
  readonly init: Export;
  readonly decide: Export;
  readonly postInit: Export | undefined;
  readonly postDecide: Export | undefined;

  /** Runs nothing of the guest; its segments may be out of bounds. */
  constructor(prepared: Prepared, names: ExportNames, imports: WebAssembly.Imports) {
    const { exports } = new WebAssembly.Instance(prepared.module, imports);
    const memory = exports[names.memory];
    if (!(memory instanceof WebAssembly.Memory)) throw missing(names.memory, 'memory');
    this.memory = memory;
    this.realloc = functionOf(exports, names.realloc);
    this.init = functionOf(exports, names.init);
    this.decide = functionOf(exports, names.decide);
    this.start = prepared.start === undefined ? undefined : optionalOf(exports, prepared.start);
    this.initialize = optionalOf(exports, names.initialize);
    this.postInit = optionalOf(exports, names.postInit);
    this.postDecide = optionalOf(exports, names.postDecide);
    this.state = new GuestState(prepared, exports);
  }

  burn(units: number): boolean {
    return this.state.burn(units);
  }
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

function missing(name: string, kind: string): SandboxError {
  return new SandboxError('export', `the module exports no ${kind} "${name}"`);
}
