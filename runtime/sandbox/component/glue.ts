import vm from 'node:vm';
import { messageOf } from '../prepare.ts';
import { SandboxError } from '../seam.ts';
import type { ComponentOutline } from './sections.ts';

const PACKAGE = '@bytecodealliance/jco-transpile';

/** `instantiate` of the code that jco generates with `instantiation: 'sync'`. */
export type Instantiate = (
  getCoreModule: (path: string) => unknown,
  imports: Readonly<Record<string, Readonly<Record<string, unknown>>>>,
  instantiateCore: (
    module: unknown,
    imports?: Readonly<Record<string, Readonly<Record<string, unknown>>>>,
  ) => unknown,
) => Readonly<Record<string, unknown>>;

export interface Glue {
  readonly instantiate: Instantiate;
  /** By the path that the generated code asks for. */
  readonly coreModules: ReadonlyMap<string, Uint8Array>;
}

/**
 * Characters that names may have that end up inside string literals of the generated code: none that ends a literal,
 * escapes, or begins a template's substitution. Core modules may have any Unicode string as a name.
 */
const SAFE_NAME = /^[\w.:/@#$|<>[\]-]{0,256}$/u;

/** What the generated code may see of the global scope. Everything else that Node has there is shadowed. */
const GLOBALS = [
  ...['Array', 'ArrayBuffer', 'BigInt', 'Boolean', 'DataView', 'Error', 'Infinity', 'JSON', 'Map', 'Math'],
  ...['NaN', 'Number', 'Object', 'Promise', 'RangeError', 'Reflect', 'Set', 'String', 'Symbol', 'TypeError'],
  ...['Int8Array', 'Uint8Array', 'Int16Array', 'Uint16Array', 'Int32Array', 'Uint32Array', 'BigInt64Array'],
  ...['BigUint64Array', 'Float32Array', 'Float64Array', 'TextEncoder', 'WeakMap', 'WeakSet', 'undefined'],
  ...['FinalizationRegistry', 'WeakRef', 'isNaN', 'parseInt'],
];

/** Strict, as the canonical ABI wants it; the generated code asks for a lenient one, which would let bad UTF-8 pass. */
class StrictTextDecoder extends TextDecoder {
  constructor(encoding?: string) {
    super(encoding, { fatal: true, ignoreBOM: true });
  }
}

/** Neither debug output, which the code switches by an environment variable on each call, nor JavaScript promise integration. */
const REPLACED: Readonly<Record<string, unknown>> = {
  console: Object.freeze({ debug() {}, error() {}, log() {}, warn() {}, info() {}, trace() {} }),
  TextDecoder: StrictTextDecoder,
  WebAssembly: Object.freeze({
    Global: WebAssembly.Global,
    Memory: WebAssembly.Memory,
    RuntimeError: WebAssembly.RuntimeError,
    Table: WebAssembly.Table,
  }),
};

/**
 * Transpiles a component. The generated JavaScript is made here, from the bytes whose digest the manifest pins, and
 * evaluated from memory: none is ever read from the plugin directory. It runs with the daemon's rights. What a plugin
 * can put into it are names, so those are restricted first.
 */
export async function transpile(plugin: string, outline: ComponentOutline): Promise<Glue> {
  for (const module of outline.coreModules) checkNames(plugin, module);
  const { transpileBytes } = await load();
  let files: Readonly<Record<string, Uint8Array>>;
  try {
    ({ files } = await transpileBytes(outline.stripped, {
      name: 'plugin',
      instantiation: 'sync',
      wasiShim: false,
      // 0: no module inlined as text; all of them pass through the meter.
      base64Cutoff: 0,
    }));
  } catch (cause) {
    throw new SandboxError(
      'invalid',
      `${plugin}: not a component that jco can transpile: ${messageOf(cause)}`,
      undefined,
      {
        cause,
      },
    );
  }
  const coreModules = new Map<string, Uint8Array>();
  let source: string | undefined;
  for (const [path, content] of Object.entries(files)) {
    if (path.endsWith('.wasm')) coreModules.set(path, content);
    if (path === 'plugin.js') source = Buffer.from(content).toString('utf8');
  }
  if (source === undefined) throw new SandboxError('unsupported', `${plugin}: jco generated no plugin.js`);
  return { instantiate: evaluate(plugin, source), coreModules };
}

/** The dependency is optional: it takes 105 MB, and plugins that are core modules never need it. */
async function load(): Promise<typeof import('@bytecodealliance/jco-transpile')> {
  try {
    return await import(PACKAGE);
  } catch (cause) {
    throw new SandboxError(
      'dependency',
      `the plugin is a component, and components need ${PACKAGE}, which is not installed: npm install ${PACKAGE}`,
      undefined,
      { cause },
    );
  }
}

function checkNames(plugin: string, wasm: Uint8Array): void {
  let module: WebAssembly.Module;
  try {
    module = new WebAssembly.Module(wasm);
  } catch (cause) {
    throw new SandboxError('invalid', `${plugin}: ${messageOf(cause)}`, undefined, { cause });
  }
  const names = [
    ...WebAssembly.Module.imports(module).flatMap((one) => [one.module, one.name]),
    ...WebAssembly.Module.exports(module).map((one) => one.name),
  ];
  const unsafe = names.find((name) => !SAFE_NAME.test(name) || name === '__proto__');
  if (unsafe !== undefined) {
    throw new SandboxError('unsupported', `${plugin}: a core module uses the name ${JSON.stringify(unsafe)}`);
  }
}

/** An ES module with the exports `instantiate` and `_util`, evaluated as a function body. */
function evaluate(plugin: string, source: string): Instantiate {
  const exported = [...source.matchAll(/^export (function|const) (\w+)/gm)].map((match) => match[2]);
  if (exported.join() !== 'instantiate,_util') {
    throw new SandboxError(
      'unsupported',
      `${plugin}: jco generated code with the exports ${exported.join(', ')}`,
    );
  }
  const allowed = new Set([...GLOBALS, ...Object.keys(REPLACED)]);
  const shadowed = Object.getOwnPropertyNames(globalThis).filter(
    (name) =>
      !allowed.has(name) && /^[A-Za-z_$][\w$]*$/.test(name) && name !== 'globalThis' && name !== 'eval',
  );
  const names = [...Object.keys(REPLACED), 'globalThis', ...shadowed];
  const values = [...Object.values(REPLACED), Object.freeze({ ...REPLACED })];
  const body = `${source.replace(/^export (function|const) /gm, '$1 ')}\nreturn instantiate;`;
  const build = vm.compileFunction(body, names, { filename: `plugin:${plugin}` }) as (
    ...args: readonly unknown[]
  ) => Instantiate;
  return build(...values);
}
