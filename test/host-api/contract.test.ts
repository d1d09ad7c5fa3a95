import { readFileSync } from 'node:fs';
import {
  componentEmbed,
  componentNew,
  componentWit,
  print,
} from '@bytecodealliance/jco-transpile/wasm-tools';
import { describe, expect, it } from 'vitest';
import { ABI_VERSION } from '../../host-api/contract.ts';
import { exportSignature, type Func, importSignature } from '../../runtime/sandbox/abi/signature.ts';
import { kebab } from '../../runtime/sandbox/abi/type.ts';
import { HOOKS, IMPORTS, PACKAGE, VERSION } from '../../runtime/sandbox/abi/world.ts';
import { importModuleNames, LEGACY_NAMES, STANDARD_NAMES } from '../../runtime/sandbox/names.ts';
import { assemble } from '../runtime/sandbox/wat.ts';
import { witText } from './wit-text.ts';

const WIT = readFileSync(new URL('../../host-api/wit/deputy.wit', import.meta.url), 'utf8');

async function dummy(witSource: string): Promise<Uint8Array> {
  return componentEmbed({ witSource, dummy: true, world: 'policy' });
}

/** The core signatures that wasm-tools gives the world: "module field (params) -> (results)". */
function signaturesOf(text: string): string[] {
  const types = [...text.matchAll(/^ {2}\(type \(;\d+;\) \(func(.*)\)\)$/gm)].map((match) => match[1] ?? '');
  const named = (index: string | undefined): string => {
    const type = types[Number(index)] ?? '';
    const part = (kind: string): string =>
      new RegExp(`\\(${kind}([^)]*)\\)`).exec(type)?.[1]?.trim().replaceAll(' ', ', ') ?? '';
    return `(${part('param')}) -> (${part('result')})`;
  };
  const imports = [...text.matchAll(/\(import "(.*?)" "(.*?)" \(func \(;\d+;\) \(type (\d+)\)\)\)/g)];
  const functions = new Map(
    [...text.matchAll(/^ {2}\(func \(;(\d+);\) \(type (\d+)\)/gm)].map((match) => [match[1], match[2]]),
  );
  const exports = [...text.matchAll(/\(export "(.*?)" \(func (\d+)\)\)/g)];
  return [
    ...imports.map(([, module, name, type]) => `${module} ${name} ${named(type)}`),
    ...exports.map(([, name, func]) => `${name} ${named(functions.get(func ?? ''))}`),
  ].sort();
}

/** The same, from the descriptors. */
function ourSignatures(): string[] {
  const line = (
    name: string,
    { params, results }: { params: readonly string[]; results: readonly string[] },
  ) => `${name} (${params.join(', ')}) -> (${results.join(', ')})`;
  const imports = Object.entries<Record<string, Func>>(IMPORTS).flatMap(([iface, funcs]) =>
    Object.entries(funcs).map(([name, func]) =>
      line(`${importModuleNames(iface)[1]} ${kebab(name)}`, importSignature(func)),
    ),
  );
  return [
    ...imports,
    line(STANDARD_NAMES.init, exportSignature(HOOKS.init)),
    line(STANDARD_NAMES.decide, exportSignature(HOOKS.decide)),
    line(STANDARD_NAMES.postInit, { params: ['i32'], results: [] }),
    line(STANDARD_NAMES.postDecide, { params: ['i32'], results: [] }),
    line(STANDARD_NAMES.realloc, { params: ['i32', 'i32', 'i32', 'i32'], results: ['i32'] }),
    line(STANDARD_NAMES.initialize, { params: [], results: [] }),
  ].sort();
}

/** A module with every import and export under the older names, as toolchains emit it, that does nothing. */
function legacyModule(): string {
  const wat = (signature: { params: readonly string[]; results: readonly string[] }): string =>
    `${signature.params.length > 0 ? `(param ${signature.params.join(' ')})` : ''} ${
      signature.results.length > 0 ? `(result ${signature.results.join(' ')})` : ''
    }`;
  const imports = Object.entries<Record<string, Func>>(IMPORTS).flatMap(([iface, funcs]) =>
    Object.entries(funcs).map(
      ([name, func]) =>
        `(import "${importModuleNames(iface)[0]}" "${kebab(name)}" (func ${wat(importSignature(func))}))`,
    ),
  );
  const N = LEGACY_NAMES;
  return `(module ${imports.join('\n')}
    (memory (export "${N.memory}") 1)
    (func (export "${N.realloc}") (param i32 i32 i32 i32) (result i32) unreachable)
    (func (export "${N.initialize}"))
    (func (export "${N.init}") ${wat(exportSignature(HOOKS.init))} unreachable)
    (func (export "${N.decide}") ${wat(exportSignature(HOOKS.decide))} unreachable)
    (func (export "${N.postInit}") (param i32))
    (func (export "${N.postDecide}") (param i32)))`;
}

describe('the contract', () => {
  it('has one name', () => {
    expect(ABI_VERSION).toBe(`${PACKAGE}@${VERSION}`);
    expect(WIT).toContain(`package ${ABI_VERSION};`);
  });

  it('is the same in deputy.wit and in the descriptors: wasm-tools encodes both alike', async () => {
    const theirs = await print(await dummy(WIT));
    expect(await print(await dummy(witText()))).toBe(theirs);
    // A comparison of nothing with nothing would pass as well.
    expect(theirs).toContain('scheduling-policy');
  });

  it('notices a difference of one field', async () => {
    const changed = WIT.replace('hard-bytes: u64', 'hard-bytes: u32');
    expect(changed).not.toBe(WIT);
    expect(await print(await dummy(witText()))).not.toBe(await print(await dummy(changed)));
  });

  it('flattens to the core signatures that wasm-tools expects', async () => {
    const theirs = signaturesOf(await print(await dummy(WIT)));
    expect(theirs.length).toBeGreaterThan(25);
    expect(ourSignatures()).toEqual(theirs);
  });

  it('makes a component of a module with our older names', async () => {
    const core = await componentEmbed({ binary: assemble(legacyModule()), witSource: WIT, world: 'policy' });
    const wit = await componentWit(await componentNew(core));
    for (const iface of ['subject', 'target', 'ledger', 'effects', 'log']) {
      expect(wit).toContain(`import ${PACKAGE}/${iface}@${VERSION};`);
    }
    expect(wit).toContain(`export ${PACKAGE}/hooks@${VERSION};`);
  });
});
