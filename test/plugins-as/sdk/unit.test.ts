// How authors test single functions (docs/plugins.md): an entry file of its own, and @assemblyscript/loader.
import { join } from 'node:path';
import { instantiateSync } from '@assemblyscript/loader';
import asc from 'assemblyscript/asc';
import { expect, it } from 'vitest';

interface Unit extends Record<string, unknown> {
  formatBytes(bytes: bigint): number;
  parseSize(text: number): bigint;
}

it('functions of a policy can be tested one by one, with @assemblyscript/loader', async () => {
  let wasm: Uint8Array | undefined;
  const { error } = await asc.main(
    [
      join(import.meta.dirname, 'assembly/unit.ts'),
      '--baseDir',
      '/',
      '--exportRuntime',
      '--outFile',
      'unit.wasm',
      '--lib',
      '.',
    ],
    {
      writeFile: (_name, contents) => {
        if (contents instanceof Uint8Array) wasm = contents;
      },
    },
  );
  expect(error).toBeNull();
  const { exports } = instantiateSync<Unit>(wasm as Uint8Array);
  const { __newString, __getString } = exports;
  expect(__getString(exports.formatBytes(1536n << 20n))).toBe('1536 MiB');
  expect(exports.parseSize(__newString('64 MiB'))).toBe(64n << 20n);
  expect(exports.parseSize(__newString('64 MB'))).toBe(-1n);
});
