import { readFileSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { ADMIN } from '../../runtime/broker/admin-interface.ts';
import { BROKER } from '../../runtime/broker/interface.ts';
import type { IdlInterface } from '../../runtime/varlink/idl.ts';
import { typescriptOf } from '../support/idl-typescript.ts';

it.each<[string, IdlInterface]>([
  ['../../client/types.ts', BROKER],
  ['../../client/admin-types.ts', ADMIN],
])('%s says what the interface definition says', (file, idl) => {
  const path = new URL(file, import.meta.url);
  const text = typescriptOf(idl);
  if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(path, text);
  expect(readFileSync(path, 'utf8')).toBe(text);
});
