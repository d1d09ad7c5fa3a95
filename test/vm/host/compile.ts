/**
 * What runs in the guest, built on the host: deputyd and the cases as JavaScript, the helper programs in C, the policy
 * as wasm. All of it lies in one folder below node_modules, so that the packages are found from there.
 */
import { copyFileSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { assembleFile } from '../../runtime/sandbox/wat.ts';
import { runTool } from './tools.ts';

export const PROJECT = join(import.meta.dirname, '../../..');
export const BUILD = join(PROJECT, 'node_modules/.cache/deputy-vm');

export function compile(): void {
  rmSync(BUILD, { recursive: true, force: true });
  const bin = join(BUILD, 'bin');
  mkdirSync(bin, { recursive: true });
  writeFileSync(join(BUILD, 'package.json'), '{"type":"module"}\n');
  runTool(join(PROJECT, 'node_modules/.bin/tsc'), [
    ...['-p', join(PROJECT, 'test/vm/tsconfig.json')],
    ...['--outDir', BUILD],
  ]);
  mkdirSync(join(BUILD, 'test/support'), { recursive: true });
  copyFileSync(join(PROJECT, 'test/support/puppet.py'), join(BUILD, 'test/support/puppet.py'));
  const programs = join(import.meta.dirname, '../guest/programs');
  for (const file of readdirSync(programs).filter((name) => name.endsWith('.c'))) {
    runTool('gcc', [
      ...['-static', '-O2', '-Wall', '-Wextra', '-Werror', '-pthread'],
      ...['-o', join(bin, file.slice(0, -2)), join(programs, file)],
    ]);
  }
  writeFileSync(
    join(bin, 'as-asked.wasm'),
    assembleFile(new URL('../../support/grant-as-asked.wat', import.meta.url)),
  );
}
