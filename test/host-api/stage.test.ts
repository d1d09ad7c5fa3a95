// What a plugin may stage: every rule, at its edge, with the refusal that names subject, requested and allowed.
import { describe, expect, it } from 'vitest';
import type { Ceilings, Refusal, Scheduling, SchedulingPolicy } from '../../host-api/contract.ts';
import { Stage } from '../../host-api/stage.ts';
import { CEILINGS, FACTS } from '../runtime/sandbox/inputs.ts';

const GIB = 1n << 30n;
const GROUPS: ReadonlySet<string> = new Set(['vcpu', 'emulator', 'other']);
const ALL = { tag: 'addressed' } as const;
const only = (...tids: number[]) => ({ tag: 'only', val: tids }) as const;
const change = (some: Partial<Scheduling>): Scheduling => ({
  policy: undefined,
  priority: undefined,
  nice: undefined,
  affinity: undefined,
  ...some,
});

type Try = (stage: Stage) => Refusal | undefined;
const scheduler =
  (some: Partial<Scheduling>, threads: Parameters<Stage['setScheduler']>[0] = ALL): Try =>
  (stage) =>
    stage.setScheduler(threads, change(some));
const group =
  (name: string, threads: Parameters<Stage['setScheduler']>[0] = ALL): Try =>
  (stage) =>
    stage.moveCgroup(name, threads);
const memlock =
  (soft: bigint, hard: bigint): Try =>
  (stage) =>
    stage.setMemlock(soft, hard);

const stage = (ceilings: Partial<Ceilings> = {}): Stage =>
  new Stage(FACTS, { ...CEILINGS, ...ceilings }, GROUPS);

describe('the stage', () => {
  it.each<[what: string, attempt: Try]>([
    ['memlock at the ceiling', memlock(0n, GIB)],
    ['memlock of nothing', memlock(0n, 0n)],
    ['a group', group('vcpu')],
    ['a group for one thread', group('vcpu', only(4711))],
    ['the highest priority', scheduler({ policy: 'fifo', priority: 10 })],
    ['the lowest nice', scheduler({ nice: -5 })],
    ['the allowed CPUs', scheduler({ affinity: [0, 3] })],
  ])('takes %s', (_what, attempt) => {
    const one = stage();
    expect(attempt(one)).toBeUndefined();
    expect(one.effects).toHaveLength(1);
    expect(one.refusals).toEqual([]);
  });

  it.each<[what: string, attempt: Try, code: Refusal['code'], message: RegExp]>([
    [
      'memlock over the ceiling',
      memlock(0n, GIB + 1n),
      'ceiling',
      /^memlock 1073741825 B exceeds the ceiling of 1 GiB set by test\.toml:1$/,
    ],
    ['soft over hard', memlock(2n, 1n), 'bad-value', /soft 2 B is over hard 1 B/],
    [
      'infinity in the guise of a number',
      memlock(0n, 2n ** 64n - 1n),
      'bad-value',
      /2\^64-1 bytes means unlimited/,
    ],
    ['no limit at all', (one) => one.setMemlockUnlimited(), 'ceiling', /unlimited/],
    ['a group that no ceiling names', group('other'), 'ceiling', /other.*test\.toml:2/],
    [
      'a group that deputy.toml does not define',
      group('kitchen'),
      'unknown-group',
      /defines no cgroup group "kitchen"/,
    ],
    [
      'a thread that is not addressed',
      group('vcpu', only(4711, 1)),
      'not-addressed',
      /thread 1 is not among those/,
    ],
    ['no threads', scheduler({ nice: 0 }, only()), 'bad-value', /no threads/],
    ['no change', scheduler({}), 'bad-value', /changes nothing/],
    ['a priority without a policy', scheduler({ priority: 5 }), 'bad-value', /priority 5 without a policy/],
    ['fifo without a priority', scheduler({ policy: 'fifo' }), 'bad-value', /priority none for fifo/],
    ['fifo 0', scheduler({ policy: 'fifo', priority: 0 }), 'bad-value', /priority 0 for fifo/],
    [
      'a priority over the ceiling',
      scheduler({ policy: 'fifo', priority: 11 }),
      'ceiling',
      /priority 11 exceeds the ceiling of 10 set by test\.toml:3/,
    ],
    [
      'a policy that no ceiling names',
      scheduler({ policy: 'rr', priority: 1 }),
      'ceiling',
      /policy rr is not among \[other, fifo\] allowed by test\.toml:3/,
    ],
    [
      'a policy that cannot be set',
      scheduler({ policy: 'deadline' }),
      'bad-value',
      /policy deadline can't be set/,
    ],
    [
      'a priority for other',
      scheduler({ policy: 'other', priority: 1 }),
      'bad-value',
      /priority 1 for other, which knows none/,
    ],
    [
      'nice for fifo',
      scheduler({ policy: 'fifo', priority: 1, nice: 0 }),
      'bad-value',
      /nice 0 has no meaning under fifo/,
    ],
    ['nice out of its range', scheduler({ nice: 20 }), 'bad-value', /nice 20 is not within -20 to 19/],
    [
      'nice under the floor',
      scheduler({ nice: -6 }),
      'ceiling',
      /nice -6 is below the floor of -5 set by test\.toml:3/,
    ],
    ['no CPUs', scheduler({ affinity: [] }), 'bad-value', /an affinity of no CPUs/],
    [
      'CPUs beyond the ceiling',
      scheduler({ affinity: [3, 4, 9] }),
      'ceiling',
      /CPUs 4,9 are not among 0,1,2,3/,
    ],
  ])('refuses %s', (_what, attempt, code, message) => {
    const one = stage();
    const refusal = attempt(one);
    expect(refusal?.code).toBe(code);
    expect(refusal?.message).toMatch(message);
    expect(one.effects).toEqual([]);
    expect(one.refusals).toEqual([refusal]);
  });

  it.each<[what: string, ceilings: Partial<Ceilings>, attempt: Try]>([
    ['memlock', { memlock: undefined }, memlock(0n, 1n)],
    ['cgroup', { cgroup: undefined }, group('vcpu')],
    ['scheduler', { scheduler: undefined }, scheduler({ nice: 19 })],
  ])('permits nothing where the manifest has no ceiling: %s', (what, ceilings, attempt) => {
    expect(attempt(stage(ceilings))).toMatchObject({
      code: 'not-permitted',
      message: expect.stringContaining(`grants no ${what} effect`),
    });
  });

  it('takes unlimited where that is permitted, and any CPU where the cpuset is to decide', () => {
    const roomy = stage({
      memlock: { maxBytes: 0n, unlimited: true },
      scheduler: {
        policies: ['other'] satisfies SchedulingPolicy[],
        maxPriority: 0,
        minNice: 0,
        cpus: 'any',
      },
    });
    expect(roomy.setMemlockUnlimited()).toBeUndefined();
    expect(scheduler({ affinity: [8000] })(roomy)).toBeUndefined();
  });

  it('lets no field be claimed twice, be it for one thread and for all', () => {
    const one = stage();
    expect(scheduler({ nice: 1 }, only(4711))(one)).toBeUndefined();
    expect(scheduler({ nice: 1 }, only(4712))(one)).toBeUndefined();
    expect(scheduler({ affinity: [0] }, only(4711))(one)).toBeUndefined();
    expect(scheduler({ nice: 2 }, only(4711))(one)).toMatchObject({
      code: 'claimed',
      message: 'nice of thread 4711 is already set by this decision',
    });
    expect(scheduler({ nice: 2 })(one)?.code).toBe('claimed');
    expect(memlock(0n, 1n)(one)).toBeUndefined();
    expect(memlock(0n, 1n)(one)?.code).toBe('claimed');
    expect(one.effects).toHaveLength(4);
  });

  it('keeps no endless list, of effects or of refusals', () => {
    const facts = {
      ...FACTS,
      target: {
        ...FACTS.target,
        threads: Array.from({ length: 100 }, (_, tid) => ({
          ...(FACTS.target.threads[0] as (typeof FACTS.target.threads)[0]),
          tid,
        })),
      },
    };
    const one = new Stage(facts, CEILINGS, GROUPS);
    const codes = Array.from({ length: 100 }, (_, tid) => scheduler({ nice: 1 }, only(tid))(one)?.code);
    expect(codes.filter((code) => code === 'too-many')).toHaveLength(36);
    for (let n = 0; n < 100; n++) memlock(2n, 1n)(one);
    expect(one.effects).toHaveLength(64);
    expect(one.refusals).toHaveLength(64);
  });
});
