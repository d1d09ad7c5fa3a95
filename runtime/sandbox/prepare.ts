import { CAPS, type Caps } from './inspect/caps.ts';
import type { ModuleShape } from './inspect/module.ts';
import { type MeterLimits, meterModule } from './meter/meter.ts';
import { type PluginSource, SandboxError } from './seam.ts';

/** A module ready to be instantiated any number of times. */
export interface Prepared {
  readonly module: WebAssembly.Module;
  readonly imports: readonly WebAssembly.ModuleImportDescriptor[];
  readonly exports: readonly WebAssembly.ModuleExportDescriptor[];
  readonly shape: ModuleShape;
  /** Reserved exports: the fuel counter (i64) and the depth counter (i32). */
  readonly fuel: string;
  readonly depth: string;
  readonly callDepth: number;
  /** Reserved export of the memory that the module defines. */
  readonly memory: string | undefined;
  /** Reserved export of the start function, which instantiation does not run. */
  readonly start: string | undefined;
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
export function prepareCore({ name, limits }: PluginSource, wasm: Uint8Array): Prepared {
  try {
    return prepareModule(wasm, limits);
  } catch (error) {
    if (!(error instanceof SandboxError)) throw error;
    throw new SandboxError(error.reason, `${name}: ${error.message}`, error.offset, { cause: error });
  }
}

/** Throws `SandboxError` without the name of a plugin. */
export function prepareModule(wasm: Uint8Array, limits: MeterLimits, caps: Caps = CAPS): Prepared {
  // First, since it knows best what is refused and where; it takes bytes of any kind.
  const metered = meterModule(wasm, limits, caps);
  // Then as it came: a module that names a global it doesn't have is invalid, and would name a counter now.
  compile(wasm);
  const module = compile(metered.wasm);
  return {
    module,
    imports: WebAssembly.Module.imports(module),
    exports: WebAssembly.Module.exports(module).filter((one) => !metered.names.has(one.name)),
    shape: metered.shape,
    fuel: metered.fuel,
    depth: metered.depth,
    callDepth: limits.callDepth,
    memory: metered.memory,
    start: metered.start,
    globals: metered.globals,
    reserved: metered.names,
    replay: metered.replay,
  };
}

/** V8 says where, behind an `@+`. */
function compile(wasm: Uint8Array): WebAssembly.Module {
  try {
    return new WebAssembly.Module(wasm);
  } catch (cause) {
    const message = messageOf(cause).replace(/^WebAssembly\.Module\(\): /, '');
    const offset = /^(.*) @\+(\d+)$/s.exec(message);
    throw offset === null
      ? new SandboxError('invalid', message, undefined, { cause })
      : new SandboxError('invalid', offset[1] ?? '', Number(offset[2]), { cause });
  }
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
