/** A core module in lowered WIT form as a component, by the API of jco: its command line panics on `embed`. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { componentEmbed, componentNew } from '@bytecodealliance/jco';

const WIT = resolve(import.meta.dirname, '../../host-api/wit/deputy.wit');

export async function wrapAsComponent(core: Uint8Array): Promise<Uint8Array> {
  const embedded = await componentEmbed({
    binary: core,
    witSource: readFileSync(WIT, 'utf8'),
    worldName: 'policy',
    stringEncoding: 'utf8',
  } as Parameters<typeof componentEmbed>[0]);
  return componentNew(embedded, []);
}
