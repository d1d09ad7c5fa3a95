// One policy in seven languages: the same hundred requests must give the same decisions, those of this oracle.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Facts, Limit, Operation, SchedulingPolicy, Verdict } from '../../host-api/contract.ts';
import { Stage } from '../../host-api/stage.ts';
import { LANGUAGES } from '../../runtime/cli/plugin/languages.ts';
import { loadProject, openProject, readManifest } from '../../runtime/cli/plugin/project.ts';
import { loadPlugin } from '../../runtime/sandbox/plugin.ts';
import type { DecisionInput, Plugin } from '../../runtime/sandbox/seam.ts';
import { FACTS } from '../runtime/sandbox/inputs.ts';
import { wrapAsComponent } from '../support/wrap-component.ts';
import { buildExample } from './languages.ts';

const USER = 1000;
const MAX_MEMLOCK = 1n << 30n;
const GROUPS: ReadonlySet<string> = new Set(['housekeeping', 'vcpu']);

const bytes = fc.oneof(
  fc.bigInt({ min: 0n, max: 2n * MAX_MEMLOCK }),
  fc.constantFrom(0n, MAX_MEMLOCK, MAX_MEMLOCK + 1n, (1n << 53n) + 1n, (1n << 63n) - 1n),
);
const limit: fc.Arbitrary<Limit> = fc.oneof(
  { weight: 4, arbitrary: bytes.map((val): Limit => ({ tag: 'bytes', val })) },
  { weight: 1, arbitrary: fc.constant<Limit>({ tag: 'unlimited' }) },
);
const policy = fc.constantFrom<SchedulingPolicy>('other', 'batch', 'idle', 'fifo', 'rr');
const maybe = <T>(of: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(of, { nil: undefined });
const cpus = fc.uniqueArray(fc.nat(63), { maxLength: 8 }).map((list) => list.sort((a, b) => a - b));

const small = fc.bigInt({ min: 0n, max: MAX_MEMLOCK / 2n });
const sensible: fc.Arbitrary<Operation> = fc.oneof(
  fc.tuple(small, small).map(
    ([soft, more]): Operation => ({
      tag: 'set-memlock',
      val: { soft: { tag: 'bytes', val: soft }, hard: { tag: 'bytes', val: soft + more } },
    }),
  ),
  fc.constant<Operation>({ tag: 'move-cgroup', val: { group: 'housekeeping' } }),
  fc
    .record({ policy: fc.constantFrom<SchedulingPolicy>('other', 'batch', 'idle'), affinity: maybe(cpus) })
    .map(
      (val): Operation => ({ tag: 'set-scheduler', val: { ...val, priority: undefined, nice: undefined } }),
    ),
);

const any: fc.Arbitrary<Operation> = fc.oneof(
  fc.record({ soft: limit, hard: limit }).map((val): Operation => ({ tag: 'set-memlock', val })),
  fc
    .constantFrom('housekeeping', 'vcpu', 'kitchen', 'grün', '')
    .map((group): Operation => ({ tag: 'move-cgroup', val: { group } })),
  fc
    .record({
      policy: maybe(policy),
      priority: maybe(fc.nat(120)),
      nice: maybe(fc.integer({ min: -25, max: 25 })),
      affinity: maybe(cpus),
    })
    .map((val): Operation => ({ tag: 'set-scheduler', val })),
);

const operation = fc.oneof(sensible, any);

const facts: fc.Arbitrary<Facts> = fc
  .record({
    uid: fc.oneof(
      { weight: 5, arbitrary: fc.constant(USER) },
      { weight: 1, arbitrary: fc.nat(4_000_000_000) },
    ),
    memoryLimit: maybe(fc.oneof(bytes, fc.constant(1n << 40n))),
    threads: fc.array(
      fc.record({
        tid: fc.nat(4_000_000),
        policy: fc.oneof(
          { weight: 9, arbitrary: fc.constant<SchedulingPolicy>('other') },
          { weight: 1, arbitrary: policy },
        ),
        name: fc.string({ unit: 'grapheme', maxLength: 15 }),
        affinity: cpus,
      }),
      { maxLength: 12 },
    ),
  })
  .map(({ uid, memoryLimit, threads }) => ({
    ...FACTS,
    subject: { ...FACTS.subject, uid },
    target: {
      ...FACTS.target,
      memoryLimit,
      threads: threads.map(({ tid, policy: its, name, affinity }) => ({
        tid,
        policy: its,
        priority: its === 'fifo' || its === 'rr' ? 1 : 0,
        nice: 0,
        affinity,
        commUntrusted: name,
        cgroup: '/machine.slice/qemu-1.scope',
      })),
    },
  }));

/** The policy once more, in the language of the daemon. What an effect is refused for is the stage's to say. */
function oracle(
  stage: Stage,
  { facts: known, operation: asked }: Pick<DecisionInput, 'facts' | 'operation'>,
): Verdict {
  const deny = (reason: string): Verdict => ({ tag: 'deny', val: reason });
  const staged = (refusal: { message: string } | undefined): Verdict =>
    refusal === undefined ? { tag: 'allow' } : deny(refusal.message);
  const realtime = (its: SchedulingPolicy | undefined): boolean => its === 'fifo' || its === 'rr';
  const { uid } = known.subject;
  if (uid !== USER) return deny(`uid ${uid} may not ask`);
  switch (asked.tag) {
    case 'set-memlock': {
      const { soft, hard } = asked.val;
      if (hard.tag === 'unlimited' || hard.val > MAX_MEMLOCK) {
        return deny(`more than ${MAX_MEMLOCK} bytes of locked memory`);
      }
      const { memoryLimit } = known.target;
      if (memoryLimit !== undefined && hard.val > memoryLimit) {
        return deny(`more than the ${memoryLimit} bytes that its cgroup may use`);
      }
      return staged(stage.setMemlock(soft.tag === 'unlimited' ? 2n ** 64n - 1n : soft.val, hard.val));
    }
    case 'move-cgroup': {
      const one = known.target.threads.find((thread) => realtime(thread.policy));
      if (one !== undefined) return deny(`thread ${one.tid} is realtime and stays where it is`);
      return staged(stage.moveCgroup(asked.val.group, { tag: 'addressed' }));
    }
    case 'set-scheduler':
      if (realtime(asked.val.policy)) return deny('realtime is not for this policy');
      return staged(stage.setScheduler({ tag: 'addressed' }, asked.val));
  }
}

const REQUESTS = fc.sample(fc.record({ facts, operation }), { numRuns: 100, seed: 4 });

function conforms(plugin: Plugin, ceilings: DecisionInput['ceilings']): void {
  const verdicts = new Map<string, number>();
  for (const request of REQUESTS) {
    const input = { ...request, ceilings, groups: GROUPS };
    const decision = plugin.decide(input);
    const stage = new Stage(request.facts, ceilings, GROUPS);
    const verdict = oracle(stage, request);
    expect(decision.fault).toBeUndefined();
    expect(decision.verdict).toEqual(verdict);
    expect(decision.effects).toEqual(verdict.tag === 'allow' ? stage.effects : []);
    verdicts.set(verdict.tag, (verdicts.get(verdict.tag) ?? 0) + 1);
  }
  // The requests are worth asking only if they meet both answers often.
  expect(verdicts.get('allow')).toBeGreaterThan(15);
  expect(verdicts.get('deny')).toBeGreaterThan(30);
}

describe.each(LANGUAGES)('a policy in %s', (language) => {
  it('decides a hundred requests as the others do', { timeout: 120_000 }, async ({ skip }) => {
    using example = await buildExample(language);
    if (example.built.code === 4) skip(example.built.err.trim());
    expect(example.built).toMatchObject({ code: 0 });
    const project = openProject(example.directory);
    const { plugin, ceilings } = await loadProject(project, readManifest(project));
    conforms(plugin, ceilings);
  });
});

it('a policy in AssemblyScript decides the same when it is wrapped as a component', {
  timeout: 60_000,
}, async () => {
  using example = await buildExample('as');
  expect(example.built).toMatchObject({ code: 0 });
  const project = openProject(example.directory);
  const { ceilings } = await loadProject(project, readManifest(project));
  const plugin = await loadPlugin({
    name: 'wrapped',
    wasm: await wrapAsComponent(readFileSync(join(example.directory, 'my-as.wasm'))),
    limits: {
      fuel: 10_000_000n,
      memoryPages: 64,
      tableElements: 4096,
      callDepth: 256,
      moduleBytes: 1 << 20,
      logBytes: 1024,
    },
    settings: JSON.stringify({ max_memlock: Number(MAX_MEMLOCK), uid: USER }),
  });
  expect(plugin.kind).toBe('component');
  conforms(plugin, ceilings);
});
