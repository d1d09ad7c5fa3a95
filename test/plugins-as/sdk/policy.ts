/** Policies in AssemblyScript, compiled and loaded as the daemon loads them. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type CompileOptions, compile } from '../../../plugins-as/sdk/compile.mjs';
import { loadPlugin } from '../../../runtime/sandbox/plugin.ts';
import { DEFAULT_LIMITS, type Plugin } from '../../../runtime/sandbox/seam.ts';

export async function compileText(text: string, options?: CompileOptions): Promise<Uint8Array> {
  return inFolder(async (folder) => {
    writeFileSync(join(folder, 'policy.ts'), text);
    return (await compile(join(folder, 'policy.ts'), options)).wasm;
  });
}

export async function inFolder<T>(use: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'deputy-'));
  try {
    return await use(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** `settings` is JSON, as the daemon hands it over. Throws `SandboxError`. */
export function load(wasm: Uint8Array, settings = '{}'): Promise<Plugin> {
  return loadPlugin({ name: 'test', wasm, limits: DEFAULT_LIMITS, settings });
}
