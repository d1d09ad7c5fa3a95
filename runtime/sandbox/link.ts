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
  const [problem] = linkProblems(plugin, prepared, host);
  if (problem !== undefined) throw problem;
  const imports: WebAssembly.Imports = Object.create(null);
  for (const { module, name } of prepared.imports) {
    const fields: Record<string, unknown> = imports[module] ?? Object.create(null);
    fields[name] = host.get(module)?.get(name)?.call;
    imports[module] = fields;
  }
  return { imports, names: exportNames(prepared) };
}

/** Everything that keeps a module from being linked. */
export function linkProblems(plugin: string, prepared: Prepared, host: HostFunctions): SandboxError[] {
  return [
    ...importProblems(plugin, prepared, host),
    ...exportProblems(plugin, prepared, exportNames(prepared)),
  ];
}

function* importProblems(plugin: string, prepared: Prepared, host: HostFunctions): Generator<SandboxError> {
  const { shape } = prepared;
  let functions = 0;
  for (const { module, name, kind, at } of shape.imports) {
    const subject = `${plugin}: import "${module}" "${name}"`;
    const index = kind === 'function' ? functions++ : -1;
    const found = host.get(module)?.get(name);
    if (found === undefined) {
      yield new SandboxError('import', `${subject} is not part of what a plugin may import`, at);
      continue;
    }
    if (kind !== 'function') {
      yield new SandboxError('import', `${subject} is a ${kind}, not a function`, at);
      continue;
    }
    const type = signatureText(signatureOf(shape, index));
    const expected = signatureText(found.signature);
    // The engine would convert numbers of one type to those of another.
    if (type !== expected) {
      yield new SandboxError('import', `${subject} is of type ${type}, the contract has ${expected}`, at);
    }
  }
}

function exportNames({ exports }: Prepared): ExportNames {
  const exported = new Set(exports.map((one) => one.name));
  return exported.has(STANDARD_NAMES.decide) && !exported.has(LEGACY_NAMES.decide)
    ? STANDARD_NAMES
    : LEGACY_NAMES;
}

const POINTER: Signature = { params: ['i32'], results: [] };
const REALLOC: Signature = { params: ['i32', 'i32', 'i32', 'i32'], results: ['i32'] };
const NOTHING: Signature = { params: [], results: [] };

function* exportProblems(plugin: string, { shape }: Prepared, names: ExportNames): Generator<SandboxError> {
  const memory = shape.exports.find((one) => one.name === names.memory);
  if (memory?.kind !== 'memory') {
    yield new SandboxError('export', `${plugin}: the module exports no memory "${names.memory}"`, memory?.at);
  }
  const expected: readonly [name: string, type: Signature, required: boolean][] = [
    [names.realloc, REALLOC, true],
    [names.init, exportSignature(HOOKS.init), true],
    [names.decide, exportSignature(HOOKS.decide), true],
    [names.initialize, NOTHING, false],
    [names.postInit, POINTER, false],
    [names.postDecide, POINTER, false],
  ];
  for (const [name, type, required] of expected) {
    const found = shape.exports.find((one) => one.name === name);
    const subject = `${plugin}: the export "${name}"`;
    if (found === undefined) {
      if (required) yield new SandboxError('export', `${plugin}: the module exports no function "${name}"`);
    } else if (found.kind !== 'function') {
      yield new SandboxError('export', `${subject} is a ${found.kind}, not a function`, found.at);
    } else {
      const actual = signatureText(signatureOf(shape, found.index));
      if (actual === signatureText(type)) continue;
      yield new SandboxError(
        'export',
        `${subject} is of type ${actual}, the contract has ${signatureText(type)}`,
        found.at,
      );
    }
  }
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
