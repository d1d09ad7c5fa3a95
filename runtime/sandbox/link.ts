import { exportSignature, type Signature, signatureText } from './abi/signature.ts';
import { HOOKS } from './abi/world.ts';
import type { HostFunctions } from './host-function.ts';
import type { ModuleShape } from './inspect/module.ts';
import { type ExportNames, LEGACY_NAMES, STANDARD_NAMES } from './names.ts';
import type { Prepared } from './prepare.ts';
import { SandboxError } from './seam.ts';

/**
 * Checks a module's imports and exports and builds its import object, before anything of it runs.
 * The object and all in it have no prototype: with a plain `{}`, a module that imports "toString" would link.
 */
export function link(
  plugin: string,
  prepared: Prepared,
  host: HostFunctions,
): { readonly imports: WebAssembly.Imports; readonly names: ExportNames } {
  let functions = 0;
  const imports: WebAssembly.Imports = Object.create(null);
  for (const wanted of prepared.imports) {
    const subject = `${plugin}: import "${wanted.module}" "${wanted.name}"`;
    const found = host.get(wanted.module)?.get(wanted.name);
    if (found === undefined) {
      throw new SandboxError('import', `${subject} is not part of what a plugin may import`);
    }
    if (wanted.kind !== 'function') {
      throw new SandboxError('import', `${subject} is a ${wanted.kind}, not a function`);
    }
    const type = signatureText(signatureOf(prepared.shape, functions++));
    const expected = signatureText(found.signature);
    // The engine would convert numbers of one type to those of another.
    if (type !== expected) {
      throw new SandboxError('import', `${subject} is of type ${type}, the contract has ${expected}`);
    }
    const fields: Record<string, unknown> = imports[wanted.module] ?? Object.create(null);
    fields[wanted.name] = found.call;
    imports[wanted.module] = fields;
  }
  const exported = new Set(prepared.exports.map((one) => one.name));
  const names =
    exported.has(STANDARD_NAMES.decide) && !exported.has(LEGACY_NAMES.decide) ? STANDARD_NAMES : LEGACY_NAMES;
  checkExports(plugin, prepared, names);
  return { imports, names };
}

const POINTER: Signature = { params: ['i32'], results: [] };
const REALLOC: Signature = { params: ['i32', 'i32', 'i32', 'i32'], results: ['i32'] };
const NOTHING: Signature = { params: [], results: [] };

function checkExports(plugin: string, { shape }: Prepared, names: ExportNames): void {
  const check = (name: string, expected: Signature, required: boolean): void => {
    const found = shape.exports.find((one) => one.name === name);
    const subject = `${plugin}: the export "${name}"`;
    if (found === undefined) {
      if (!required) return;
      throw new SandboxError('export', `${plugin}: the module exports no function "${name}"`);
    }
    if (found.kind !== 'function') {
      throw new SandboxError('export', `${subject} is a ${found.kind}, not a function`, found.at);
    }
    const type = signatureText(signatureOf(shape, found.index));
    if (type === signatureText(expected)) return;
    throw new SandboxError(
      'export',
      `${subject} is of type ${type}, the contract has ${signatureText(expected)}`,
      found.at,
    );
  };
  const memory = shape.exports.find((one) => one.name === names.memory);
  if (memory?.kind !== 'memory') {
    throw new SandboxError('export', `${plugin}: the module exports no memory "${names.memory}"`, memory?.at);
  }
  check(names.realloc, REALLOC, true);
  check(names.init, exportSignature(HOOKS.init), true);
  check(names.decide, exportSignature(HOOKS.decide), true);
  check(names.initialize, NOTHING, false);
  check(names.postInit, POINTER, false);
  check(names.postDecide, POINTER, false);
}

const CORE_TYPES: Readonly<Record<number, string>> = {
  127: 'i32',
  126: 'i64',
  125: 'f32',
  124: 'f64',
  123: 'v128',
  112: 'funcref',
  111: 'externref',
};

function signatureOf(shape: ModuleShape, index: number): { params: string[]; results: string[] } {
  const type = shape.types[shape.functions[index] ?? -1];
  const names = (types: Uint8Array | undefined): string[] =>
    [...(types ?? [])].map((one) => CORE_TYPES[one] ?? '?');
  return { params: names(type?.params), results: names(type?.results) };
}
