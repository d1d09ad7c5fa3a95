import { type PluginSource, SandboxError } from './seam.ts';

/** A module ready to be instantiated any number of times. */
export interface Prepared {
  readonly module: WebAssembly.Module;
  readonly imports: readonly WebAssembly.ModuleImportDescriptor[];
  readonly exports: readonly WebAssembly.ModuleExportDescriptor[];
  /** Reserved exports: the fuel counter (i64) and the depth counter (i32). */
  readonly fuel: string | undefined;
  readonly depth: string | undefined;
  /** Reserved exports of every mutable global of the guest. */
  readonly globals: readonly string[];
  /** All names that the meter added, to be kept from other modules. */
  readonly reserved: ReadonlySet<string>;
  /** Whether memory and globals are not all of the state: `init` must be run again to get back to it. */
  readonly replay: boolean;
}

/** Inspects, meters and compiles a core module. Throws `SandboxError`. */
export function prepare(source: PluginSource): Prepared {
  const { wasm, limits, name } = source;
  if (wasm.length > limits.moduleBytes) {
    throw new SandboxError(
      'limit',
      `${name}: the module has ${wasm.length} bytes, the limit is ${limits.moduleBytes}`,
    );
  }
  return prepareCore(source, wasm);
}

/** The same for a core module inside of a component: what it imports is the component's business. */
export function prepareCore({ name }: PluginSource, wasm: Uint8Array): Prepared {
  const module = compile(wasm, name);
  return {
    module,
    imports: WebAssembly.Module.imports(module),
    exports: WebAssembly.Module.exports(module),
    fuel: undefined,
    depth: undefined,
    globals: [],
    reserved: new Set(),
    replay: true,
  };
}

function compile(wasm: Uint8Array, name: string): WebAssembly.Module {
  try {
    return new WebAssembly.Module(wasm);
  } catch (cause) {
    throw new SandboxError('invalid', `${name}: ${messageOf(cause)}`, undefined, { cause });
  }
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
