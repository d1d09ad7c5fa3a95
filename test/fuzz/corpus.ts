/** Inputs that once were findings: test/fuzz/corpus/TARGET/HASH. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const CORPUS = join(import.meta.dirname, 'corpus');

export function saveFinding(target: string, input: Uint8Array): string {
  mkdirSync(join(CORPUS, target), { recursive: true });
  const name = createHash('sha256').update(input).digest('hex').slice(0, 16);
  writeFileSync(join(CORPUS, target, name), input);
  return `test/fuzz/corpus/${target}/${name}`;
}

export function readFindings(target: string): { readonly name: string; readonly input: Uint8Array }[] {
  const folder = join(CORPUS, target);
  if (!existsSync(folder)) return [];
  return readdirSync(folder).map((name) => ({ name, input: readFileSync(join(folder, name)) }));
}
