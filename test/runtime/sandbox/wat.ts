import { readFileSync } from 'node:fs';
import wabtModule from 'wabt';

const wabt = await wabtModule();

/** Assembles WebAssembly text. */
export function assemble(text: string, name = 'test.wat'): Uint8Array {
  const parsed = wabt.parseWat(name, text, {
    mutable_globals: true,
    bulk_memory: true,
    reference_types: true,
  });
  try {
    parsed.resolveNames();
    return parsed.toBinary({ write_debug_names: true }).buffer;
  } finally {
    parsed.destroy();
  }
}

export function assembleFile(path: URL): Uint8Array {
  return assemble(readFileSync(path, 'utf8'), path.pathname);
}
