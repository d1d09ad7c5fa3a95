// Tables in the documentation that repeat the code, held against it.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ERRORS } from '../../host-api/errors.ts';
import { COSTS as HOST_COSTS } from '../../runtime/sandbox/abi/costs.ts';
import { COSTS } from '../../runtime/sandbox/meter/costs.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const page = (name: string): string => readFileSync(join(ROOT, 'docs', name), 'utf8');
/** The first two cells of each row whose first is in backquotes. */
const rows = (text: string): [string, string][] =>
  [...text.matchAll(/^\| `(\w+)` *\| *([^|]*?) *\|/gm)].map(([, name = '', value = '']) => [name, value]);

it('errors.md has every error, with its class and message', () => {
  const table = page('errors.md');
  expect(rows(table)).toEqual(Object.entries(ERRORS).map(([code, one]) => [code, one.class]));
  for (const { message } of Object.values(ERRORS)) expect(table).toContain(`| ${message} `);
});

it('contract.md has both tables of costs', () => {
  const [instructions = '', host = ''] = page('contract.md').split('## Fuel of the host');
  const numbers = (costs: object): [string, string][] =>
    Object.entries(costs).map(([name, fuel]) => [name, `${fuel}`]);
  expect(rows(instructions)).toEqual(numbers(COSTS));
  expect(rows(host.split('## Limits')[0] ?? '')).toEqual(numbers(HOST_COSTS));
});

describe('links', () => {
  const pages = [
    'README.md',
    ...readdirSync(join(ROOT, 'docs'), { recursive: true }).map((file) => `docs/${file}`),
  ].filter((file) => file.endsWith('.md'));
  it.each(pages)('of %s lead somewhere', (file) => {
    const text = readFileSync(join(ROOT, file), 'utf8');
    for (const [, target = ''] of text.matchAll(/\]\(([^)#]+)(?:#[^)]*)?\)/g)) {
      if (/^https?:/.test(target)) continue;
      expect(existsSync(join(ROOT, dirname(file), target)), target).toBe(true);
    }
  });
});
