import { createHash } from 'node:crypto';
import { ComponentPlugin } from './component/component-plugin.ts';
import { CorePlugin } from './core-plugin.ts';
import { type Plugin, type PluginSource, SandboxError } from './seam.ts';

/** "\0asm" and the layer: 0x0001 for a component, 0x0000 for a core module (component-model, design/mvp/Binary.md). */
const MAGIC = [0x00, 0x61, 0x73, 0x6d];

/**
 * Validates, meters and instantiates a plugin and calls its `init`.
 * Throws `SandboxError`; `reason` is `init` where the plugin itself refused its settings or failed.
 */
export async function loadPlugin(source: PluginSource): Promise<Plugin> {
  const { wasm, name } = source;
  if (MAGIC.some((byte, index) => wasm[index] !== byte)) {
    throw new SandboxError('invalid', `${name}: not a WebAssembly binary`, 0);
  }
  if (wasm[6] === 1 && wasm[7] === 0) {
    return ComponentPlugin.load(source, sha256(wasm));
  }
  return CorePlugin.load(source, sha256(wasm));
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
