import { readdirSync, readFileSync } from 'node:fs';
import { parse } from '@bytecodealliance/jco';
import { beforeAll, describe, expect, it } from 'vitest';
import { loadPlugin } from '../runtime/sandbox/plugin.ts';
import { DEFAULT_LIMITS, type Plugin, SandboxError } from '../runtime/sandbox/seam.ts';
import { input, source } from './runtime/sandbox/inputs.ts';
import { assembleFile } from './runtime/sandbox/wat.ts';

/**
 * Every file of test/hostile says on its `;; expect:` line how it must end: `load REASON MESSAGE` where it must not be
 * loaded, `decide FAULT MESSAGE`, `decide deny REASON`, or `decide allow`.
 */
const FOLDER = new URL('hostile/', import.meta.url);
const FAULTS = ['trap', 'fuel', 'depth', 'abi'];

let honest: Plugin;
beforeAll(async () => {
  honest = await loadPlugin(source(assembleFile(new URL('runtime/sandbox/policy.wat', import.meta.url))));
});

function theHonestPluginDecides(): void {
  expect(honest.decide(input())).toMatchObject({
    verdict: { tag: 'allow' },
    effects: [{ tag: 'set-memlock' }],
  });
  honest.reset();
}

describe('a hostile plugin', () => {
  for (const file of readdirSync(FOLDER).filter((name) => name.endsWith('.wat'))) {
    const text = readFileSync(new URL(file, FOLDER), 'utf8');
    const [, when, how = '', message = ''] = /^;; expect: (load|decide) (\S+) ?(.*)$/m.exec(text) ?? [];

    it(`${file} ends as ${when} ${how}`, async () => {
      const wasm = await parse(text);
      if (when === 'load') {
        const refused = await loadPlugin(source(wasm)).catch((error: unknown) => error);
        expect(refused).toBeInstanceOf(SandboxError);
        expect(refused).toMatchObject({ reason: how, message: expect.stringContaining(message) });
        theHonestPluginDecides();
        return;
      }
      expect(when).toBe('decide');
      const plugin = await loadPlugin(source(wasm));
      const decision = plugin.decide(input());
      if (FAULTS.includes(how)) {
        expect(decision.fault).toMatchObject({ kind: how, message: expect.stringContaining(message) });
        expect(decision.verdict.tag).toBe('deny');
      } else {
        expect(decision.fault).toBeUndefined();
        expect(decision.verdict).toEqual(how === 'deny' ? { tag: 'deny', val: message } : { tag: 'allow' });
      }
      if (decision.verdict.tag !== 'allow') expect(decision.effects).toEqual([]);
      // What a trap cuts off is a line that was not paid for yet.
      expect(decision.fuelUsed).toBeGreaterThan(how === 'trap' ? -1n : 0n);
      expect(decision.fuelUsed).toBeLessThanOrEqual(DEFAULT_LIMITS.fuel);
      const logged = decision.log.reduce((sum, line) => sum + Buffer.byteLength(line.message), 0);
      expect(logged).toBeLessThanOrEqual(DEFAULT_LIMITS.logBytes + 100);
      theHonestPluginDecides();
      // And it does the same to the unit when it is asked again, whatever it left behind.
      expect(plugin.decide(input())).toEqual(decision);
      plugin.reset();
      expect(plugin.decide(input())).toEqual(decision);
    });
  }

  it('that would keep a compiler busy is refused before it gets there', async () => {
    const branches = '(br_if 0 (i32.const 0))'.repeat(21_000);
    const bomb = `(module (func (local ${'i64 '.repeat(9_990)}) ${branches}))`;
    const refused = await loadPlugin(source(await parse(bomb))).catch((error: unknown) => error);
    expect(refused).toMatchObject({
      reason: 'limit',
      message: expect.stringContaining('branches times locals exceed 200000000'),
    });
  });

  it('that nests blocks without end is refused', async () => {
    const text = `(module (func ${'(block '.repeat(5_000)}${')'.repeat(5_000)}))`;
    const refused = await loadPlugin(source(await parse(text))).catch((error: unknown) => error);
    expect(refused).toMatchObject({
      reason: 'limit',
      message: expect.stringContaining('nested deeper than 5000'),
    });
  });
});
