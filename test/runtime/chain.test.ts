import { describe, expect, it } from 'vitest';
import type { Ceilings, Effect, Facts, Verdict } from '../../host-api/contract.ts';
import { bytes } from '../../host-api/limit.ts';
import { askChain, type ChainLink } from '../../runtime/chain.ts';

const EFFECT: Effect = { tag: 'set-memlock', soft: bytes(1n), hard: bytes(1n) };
const INPUT = {
  facts: {} as Facts,
  operation: { tag: 'set-memlock', val: { soft: bytes(1n), hard: bytes(1n) } },
  groups: new Set<string>(),
} as const;

/** A plugin that always answers the same: the chain only sees decisions. */
function link(
  name: string,
  verdict: Verdict,
  options: { mode?: 'monitor'; effects?: Effect[]; trap?: boolean } = {},
): ChainLink {
  return {
    mode: options.mode ?? 'enforce',
    ceilings: {} as Ceilings,
    plugin: {
      name,
      sha256: '0'.repeat(64),
      kind: 'core',
      decide: () => ({
        verdict,
        effects: verdict.tag === 'allow' ? (options.effects ?? [EFFECT]) : [],
        refusals: options.effects?.length === 0 ? [{ code: 'ceiling', message: 'over the ceiling' }] : [],
        factsRead: [],
        log: [],
        fuelUsed: 1n,
        fault: options.trap ? { kind: 'trap', message: 'unreachable' } : undefined,
      }),
      reset: () => {},
    },
  };
}

const allow: Verdict = { tag: 'allow' };
const pass: Verdict = { tag: 'pass' };
const deny = (val: string): Verdict => ({ tag: 'deny', val });

describe('the chain', () => {
  it.each<[string, ChainLink[], object, string[]]>([
    ['no plugin', [], { tag: 'deny', reason: 'no plugin is bound to set-memlock' }, []],
    [
      'the first that does not pass',
      [link('a', pass), link('b', allow), link('c', deny('late'))],
      { tag: 'allow', plugin: 'b' },
      ['a', 'b'],
    ],
    [
      'a denial before an allow',
      [link('a', deny('no')), link('b', allow)],
      { tag: 'deny', plugin: 'a', reason: 'no' },
      ['a'],
    ],
    [
      'nobody',
      [link('a', pass)],
      { tag: 'deny', reason: 'no plugin on the chain of set-memlock decides it' },
      ['a'],
    ],
    [
      'a trap, which ends the chain',
      [link('a', deny('trap'), { trap: true }), link('b', allow)],
      { tag: 'deny', fault: true },
      ['a'],
    ],
    [
      'a monitor, which decides nothing',
      [link('m', allow, { mode: 'monitor' })],
      { tag: 'deny', reason: 'no enforcing plugin allows it; m would, but only monitors' },
      ['m'],
    ],
    [
      'a monitor behind the deciding plugin',
      [link('a', allow), link('m', deny('no'), { mode: 'monitor' })],
      { tag: 'allow', plugin: 'a' },
      ['a', 'm'],
    ],
    [
      'an allow without effects',
      [link('a', allow, { effects: [] })],
      { tag: 'deny', reason: 'the plugin allowed the request, but its effect was refused: over the ceiling' },
      ['a'],
    ],
  ])('%s', (_what, links, verdict, asked) => {
    const decision = askChain(links, INPUT);
    expect(decision.verdict).toMatchObject(verdict);
    expect(decision.steps.map((step) => step.plugin)).toEqual(asked);
  });
});
