import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import binaryen from 'binaryen';
import { describe, expect, it } from 'vitest';
import { CompileError, compile } from '../../../plugins-as/sdk/compile.mjs';
import { exportSignature, importSignature } from '../../../runtime/sandbox/abi/signature.ts';
import { kebab } from '../../../runtime/sandbox/abi/type.ts';
import { HOOKS, IMPORTS } from '../../../runtime/sandbox/abi/world.ts';
import { input } from '../../runtime/sandbox/inputs.ts';
import { compileText, inFolder, load } from './policy.ts';

const ROOT = resolve(import.meta.dirname, '../../..');
const SMALL = `
import { Operation, Verdict, deny, subject } from '@deputy/sdk-as';
export function decide(operation: Operation): Verdict {
  assert(subject.uid() < 5000, 'uid too high');
  return deny(operation.name);
}
`;

describe('compile', () => {
  it('names whatever asc found wrong, with its place', async () => {
    const error = await compileText(SMALL.replace('operation.name', 'operation.nmae')).catch(
      (caught) => caught,
    );
    expect(error).toBeInstanceOf(CompileError);
    expect(error.message).toContain("Property 'nmae' does not exist on type");
    expect(error.message).toMatch(/in policy\.ts\(5,\d+\)/);
  });

  it.each([
    [SMALL.replace('decide', 'decdie'), /policy\.ts must export the function decide\(.*exported: decdie/],
    [SMALL.replace('export ', ''), /exported: nothing/],
    [
      SMALL.replace(': Verdict {', ': bool {').replace('return deny(operation.name)', 'return true'),
      /'bool' is not assignable to type '.*Verdict'/,
    ],
    [`${SMALL}\nexport function init(): void {}`, /Expected 0 arguments, but got 1/],
    ["import { x } from './nowhere';", /'nowhere\.ts' not found/],
  ])('a policy that does not fit: %#', async (text, message) => {
    await expect(compileText(text)).rejects.toThrow(message);
  });

  it('of a file that is not there', async () => {
    await expect(compile('/nowhere/policy.ts')).rejects.toThrow("File 'policy.ts' not found");
  });

  it('gives the same bytes wherever the policy lies', async () => {
    const first = await compileText(SMALL);
    const second = await compileText(SMALL);
    expect(Buffer.from(second).equals(first)).toBe(true);
  });

  it.each(['stub', 'minimal', 'incremental'] as const)('with the %s runtime', async (runtime) => {
    const plugin = await load(await compileText(SMALL, { runtime }));
    expect(plugin.decide(input()).verdict).toEqual({ tag: 'deny', val: 'set-memlock' });
  });

  it('unoptimised, with names and text', async () => {
    await inFolder(async (folder) => {
      writeFileSync(join(folder, 'policy.ts'), SMALL);
      const { wasm, wat } = await compile(join(folder, 'policy.ts'), { debug: true, wat: true });
      expect(wat).toContain('$policy/decide');
      expect((await load(wasm)).decide(input()).verdict.tag).toBe('deny');
    });
  });

  it('takes policies of several files, and re-exported hooks', async () => {
    await inFolder(async (folder) => {
      mkdirSync(join(folder, 'rules'));
      writeFileSync(join(folder, 'rules/deny-all.ts'), SMALL);
      writeFileSync(join(folder, 'index.ts'), "export { decide } from './rules/deny-all';\n");
      const { wasm } = await compile(join(folder, 'index.ts'));
      expect((await load(wasm)).decide(input()).verdict.tag).toBe('deny');
    });
  });

  it('is what asc itself makes with the asconfig.json of the SDK', async () => {
    await inFolder(async (folder) => {
      mkdirSync(join(folder, 'node_modules/@deputy'), { recursive: true });
      symlinkSync(join(ROOT, 'plugins-as/sdk'), join(folder, 'node_modules/@deputy/sdk-as'));
      symlinkSync(join(ROOT, 'node_modules/assemblyscript'), join(folder, 'node_modules/assemblyscript'));
      writeFileSync(join(folder, 'policy.ts'), SMALL);
      const config = join(folder, 'asconfig.json');
      writeFileSync(config, '{ "extends": "@deputy/sdk-as/asconfig.json" }');
      const asc = join(ROOT, 'node_modules/assemblyscript/bin/asc.js');
      await promisify(execFile)(process.execPath, [asc, 'policy.ts', '-o', 'policy.wasm'], { cwd: folder });
      const { wasm } = await compile(join(folder, 'policy.ts'));
      expect(readFileSync(join(folder, 'policy.wasm')).equals(wasm)).toBe(true);
    });
  });
});

describe('the module of a policy that uses all of the SDK', () => {
  it('has the signatures of the contract, and imports nothing else', async () => {
    const module = binaryen.readBinary(await everything());
    const signatures: string[] = [];
    for (let index = 0; index < module.getNumFunctions(); index++) {
      const info = binaryen.getFunctionInfo(module.getFunctionByIndex(index));
      if (info.module === '') continue;
      signatures.push(
        `${info.module} ${info.base} (${binaryen.expandType(info.params).map(typeName)}) -> (${binaryen.expandType(info.results).map(typeName)})`,
      );
    }
    const expected = Object.entries(IMPORTS).flatMap(([iface, funcs]) =>
      Object.entries(funcs).map(([name, func]) => {
        const { params, results } = importSignature(func);
        return `deputy:policy/${kebab(iface)}@1.0.0 ${kebab(name)} (${params}) -> (${results})`;
      }),
    );
    expect(signatures.sort()).toEqual(expected.sort());
    for (const [name, func] of Object.entries(HOOKS)) {
      const found = binaryen.getExportInfo(module.getExport(`deputy:policy/hooks@1.0.0#${name}`));
      const info = binaryen.getFunctionInfo(module.getFunction(found.value));
      const { params, results } = exportSignature(func);
      expect(binaryen.expandType(info.params).map(typeName)).toEqual(params);
      expect(binaryen.expandType(info.results).map(typeName)).toEqual(results);
    }
    module.dispose();
  });
});

const TYPES = new Map([
  [binaryen.i32, 'i32'],
  [binaryen.i64, 'i64'],
]);

function typeName(type: binaryen.Type): string {
  return TYPES.get(type) ?? `type ${type}`;
}

function everything(): Promise<Uint8Array> {
  return compileText(`
import { Operation, Scheduling, Verdict, deny, effects, ledger, log, subject, target } from '@deputy/sdk-as';
export function decide(operation: Operation): Verdict {
  log.info([subject.uid(), subject.gid(), target.uid(), target.gid(), ledger.realtimeThreads()].join());
  log.info([subject.scope(), subject.scopeName(), target.cgroup(), target.commUntrusted()].join());
  const label = subject.label('x');
  if (label !== null && target.isSubject() && target.wholeProcess()) log.info(label);
  log.info([subject.labels().length, target.threads().length, target.cpus().length].join());
  log.info(target.memlock().soft.toString() + target.memoryLimit().toString() + ledger.memlockBytes().toString());
  effects.setMemlock(1, 2);
  effects.setMemlockUnlimited();
  effects.moveCgroup('x');
  effects.setScheduler(Scheduling.fifo(1));
  return deny('');
}`);
}
