import { describe, expect, it } from 'vitest';
import { loadPlugin } from '../../../runtime/sandbox/plugin.ts';
import { bytes, FACTS, input, source } from './inputs.ts';
import { assembleFile } from './wat.ts';

const MIB = 1024n * 1024n;
const policy = assembleFile(new URL('policy.wat', import.meta.url));

describe('a core module by hand', () => {
  it('allows, with the effect that it staged', async () => {
    const plugin = await loadPlugin(source(policy));
    const decision = plugin.decide(input());
    expect(decision).toMatchObject({
      verdict: { tag: 'allow' },
      effects: [{ tag: 'set-memlock', soft: bytes(256n * MIB), hard: bytes(512n * MIB) }],
      refusals: [],
      factsRead: ['subject.uid', 'target.memlock', 'ledger.memlock-bytes', 'effects.set-memlock'],
      log: [{ level: 'info', message: 'deciding' }],
      fault: undefined,
    });
  });

  it('denies another uid with its own reason', async () => {
    const plugin = await loadPlugin(source(policy));
    const facts = { ...FACTS, subject: { ...FACTS.subject, uid: 1001 } };
    const decision = plugin.decide(input(undefined, facts));
    expect(decision.verdict).toEqual({ tag: 'deny', val: 'only uid 1000 may lock memory' });
    expect(decision.effects).toEqual([]);
    expect(decision.fault).toBeUndefined();
  });

  it('passes on a refusal of the ceiling, and stages nothing', async () => {
    const plugin = await loadPlugin(source(policy));
    const asked = input({ tag: 'set-memlock', val: { soft: bytes(0n), hard: bytes(900n * MIB) } });
    const ceilings = { ...asked.ceilings, memlock: { maxBytes: 512n * MIB, unlimited: false } };
    const decision = plugin.decide({ ...asked, ceilings });
    expect(decision.verdict).toEqual({
      tag: 'deny',
      val: 'memlock 900 MiB exceeds the ceiling of 512 MiB set by test.toml:1',
    });
    expect(decision.refusals).toHaveLength(1);
    expect(decision.effects).toEqual([]);
  });

  it('gives the same answer and burns the same fuel, a thousand times over', async () => {
    const plugin = await loadPlugin(source(policy));
    const first = plugin.decide(input());
    for (let round = 0; round < 1000; round++) {
      if (round % 3 === 0) plugin.reset();
      expect(plugin.decide(input())).toEqual(first);
    }
  });
});
