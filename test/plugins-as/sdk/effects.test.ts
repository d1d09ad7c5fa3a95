import { beforeAll, describe, expect, it } from 'vitest';
import type { Ceilings, Effect, Scheduling, Verdict } from '../../../host-api/contract.ts';
import type { Decision, Plugin } from '../../../runtime/sandbox/seam.ts';
import { bytes, CEILINGS, input } from '../../runtime/sandbox/inputs.ts';
import { compileText, load } from './policy.ts';

/** The group asked for is a script, which the policy plays: one effect or verdict after the other. */
const POLICY = `
import {
  Limit, Operation, RefusalCode, Scheduling, SchedulingPolicy, Staged, Verdict, allow, deny, effects, log, pass, target,
} from '@deputy/sdk-as';

function tids(): u32[] {
  return [target.threads()[1].tid];
}

function nice(value: i32): Scheduling {
  const change = new Scheduling();
  change.policy = SchedulingPolicy.Batch;
  change.nice = value;
  return change;
}

function play(step: string): Staged {
  if (step == 'memlock') return effects.setMemlock(1 << 20, 2 << 20);
  if (step == 'memlock-2-GiB') return effects.setMemlock(0, 2 << 30);
  if (step == 'memlock-limits') return effects.setMemlockLimits(Limit.of(5), Limit.of(6));
  if (step == 'memlock-soft-unlimited') return effects.setMemlockLimits(Limit.unlimited(), Limit.of(6));
  if (step == 'memlock-limits-unlimited') return effects.setMemlockLimits(Limit.of(5), Limit.unlimited());
  if (step == 'memlock-unlimited') return effects.setMemlockUnlimited();
  if (step == 'move') return effects.moveCgroup('vcpu');
  if (step == 'move-one') return effects.moveCgroup('vcpu', tids());
  if (step == 'move-none') return effects.moveCgroup('vcpu', []);
  if (step == 'move-foreign') return effects.moveCgroup('vcpu', [1]);
  if (step == 'move-unknown') return effects.moveCgroup('grün 🦊');
  if (step == 'fifo') return effects.setScheduler(Scheduling.fifo(7));
  if (step == 'fifo-one') return effects.setScheduler(Scheduling.fifo(7), tids());
  if (step == 'nice') return effects.setScheduler(nice(-3));
  if (step == 'pin') return effects.setScheduler(Scheduling.pinnedTo([0, 3]));
  if (step == 'nothing') return effects.setScheduler(new Scheduling());
  if (step == 'both') return effects.setMemlock(5, 6).and(effects.moveCgroup('nowhere'));
  if (step == 'many') {
    let last = effects.setMemlock(5, 6);
    for (let round = 0; round < 100 && last.ok; round++) last = effects.setMemlock(5, 6);
    return last;
  }
  throw new Error('no step "' + step + '"');
}

export function decide(operation: Operation): Verdict {
  const steps = operation.cgroup!.group.split(' ');
  for (let index = 0; index < steps.length; index++) {
    const step = steps[index];
    if (step == 'allow') return allow();
    if (step == 'deny') return deny('as told, 🦊');
    if (step == 'pass') return pass();
    if (step == 'bounds') return deny(steps[steps.length]);
    const staged = play(step);
    if (!staged.ok) {
      const refusal = staged.refusal!;
      log.warn(step + ' ' + refusal.code.toString());
      return staged.verdict();
    }
    log.debug(step);
  }
  return allow();
}
`;

let plugin: Plugin;
beforeAll(async () => {
  plugin = await load(await compileText(POLICY));
}, 60_000);

const OPEN: Ceilings = {
  ...CEILINGS,
  memlock: { maxBytes: 1n << 30n, unlimited: true },
  scheduler: { policies: ['other', 'batch', 'fifo'], maxPriority: 10, minNice: -5, cpus: 'any' },
};

function play(steps: string, ceilings: Ceilings = OPEN): Decision {
  return plugin.decide({ ...input({ tag: 'move-cgroup', val: { group: steps } }), ceilings });
}

const ADDRESSED = { tag: 'addressed' } as const;
const ONE = { tag: 'only', val: [4712] } as const;
const memlock = (soft: bigint, hard: bigint): Effect => ({
  tag: 'set-memlock',
  soft: bytes(soft),
  hard: bytes(hard),
});
const UNLIMITED: Effect = { tag: 'set-memlock', soft: { tag: 'unlimited' }, hard: { tag: 'unlimited' } };
const move = (threads: typeof ADDRESSED | typeof ONE): Effect => ({
  tag: 'move-cgroup',
  group: 'vcpu',
  threads,
});
const NOTHING: Scheduling = { policy: undefined, priority: undefined, nice: undefined, affinity: undefined };
const schedule = (threads: typeof ADDRESSED | typeof ONE, change: Partial<Scheduling>): Effect => ({
  tag: 'set-scheduler',
  threads,
  change: { ...NOTHING, ...change },
});

describe('effects of a policy', () => {
  it.each<[string, Effect[]]>([
    ['memlock', [memlock(1n << 20n, 2n << 20n)]],
    ['memlock-limits', [memlock(5n, 6n)]],
    ['memlock-unlimited', [UNLIMITED]],
    ['memlock-limits-unlimited', [UNLIMITED]],
    ['move', [move(ADDRESSED)]],
    ['move-one', [move(ONE)]],
    ['fifo', [schedule(ADDRESSED, { policy: 'fifo', priority: 7 })]],
    ['fifo-one', [schedule(ONE, { policy: 'fifo', priority: 7 })]],
    ['nice', [schedule(ADDRESSED, { policy: 'batch', nice: -3 })]],
    ['pin', [schedule(ADDRESSED, { affinity: [0, 3] })]],
    [
      'pin fifo-one move memlock',
      [
        schedule(ADDRESSED, { affinity: [0, 3] }),
        schedule(ONE, { policy: 'fifo', priority: 7 }),
        move(ADDRESSED),
        memlock(1n << 20n, 2n << 20n),
      ],
    ],
  ])('%s', (steps, effects) => {
    const decision = play(steps);
    expect(decision).toMatchObject({ verdict: { tag: 'allow' }, refusals: [], fault: undefined });
    expect(decision.effects).toEqual(effects);
    expect(decision.log.map(({ message }) => message)).toEqual(steps.split(' '));
  });

  it.each([
    ['memlock-2-GiB', 0, 'ceiling', /^memlock 2 GiB exceeds the ceiling of 1 GiB set by test.toml:1$/],
    ['memlock-soft-unlimited', 3, 'bad-value', /over hard 6 B$/],
    ['memlock memlock', 2, 'claimed', /^memlock is already set by this decision$/],
    ['move-none', 3, 'bad-value', /no threads/],
    ['move-foreign', 5, 'not-addressed', /^thread 1 is not among/],
    ['move-unknown', 4, 'unknown-group', /defines no cgroup group "grün 🦊"$/],
    ['move move-one', 2, 'claimed', /^cgroup of thread 4712 is already set/],
    ['nothing', 3, 'bad-value', /changes nothing/],
    ['both', 4, 'unknown-group', /"nowhere"/],
    ['many', 2, 'claimed', /^memlock/],
  ])('%s: refused, code %i (%s), and the verdict gives the reason', (steps, code, name, message) => {
    const decision = play(steps);
    expect(decision.fault).toBeUndefined();
    expect(decision.verdict).toEqual({ tag: 'deny', val: expect.stringMatching(message) });
    expect(decision.refusals[0]).toEqual({ code: name, message: expect.stringMatching(message) });
    expect(decision.log.at(-1)).toEqual({ level: 'warn', message: `${steps.split(' ').at(-1)} ${code}` });
    expect(decision.effects).toEqual([]);
  });

  it.each(['memlock', 'memlock-unlimited', 'move', 'fifo'])('%s without a ceiling: not permitted', (step) => {
    const decision = play(step, {
      source: CEILINGS.source,
      memlock: undefined,
      cgroup: undefined,
      scheduler: undefined,
    });
    expect(decision.refusals).toMatchObject([{ code: 'not-permitted' }]);
    expect(decision.log.at(-1)?.message).toBe(`${step} 1`);
  });
});

describe('verdicts of a policy', () => {
  it.each<[string, Verdict]>([
    ['allow', { tag: 'allow' }],
    ['deny', { tag: 'deny', val: 'as told, 🦊' }],
    ['memlock deny', { tag: 'deny', val: 'as told, 🦊' }],
    ['pass', { tag: 'pass' }],
    ['memlock pass', { tag: 'pass' }],
  ])('%s', (steps, verdict) => {
    expect(play(steps)).toMatchObject({ verdict, fault: undefined });
  });

  it.each([
    ['memlock no-such-step', 'aborted: no step "no-such-step" (policy.ts:'],
    ['memlock bounds', 'aborted: Index out of range ('],
  ])('%s: a fault, denied, with its place in the log', (steps, message) => {
    const decision = play(steps);
    expect(decision.verdict.tag).toBe('deny');
    expect(decision.fault).toMatchObject({ kind: 'trap' });
    expect(decision.effects).toEqual([]);
    expect(decision.log.at(-1)).toEqual({ level: 'error', message: expect.stringContaining(message) });
  });

  it('after a fault, decides as before it', () => {
    const before = play('memlock');
    play('bounds');
    expect(play('memlock')).toEqual(before);
  });
});
