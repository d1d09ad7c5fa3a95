import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Change } from '../../host-api/change.ts';
import type { Effect, Scheduling } from '../../host-api/contract.ts';
import type { CgroupGroup, EffectContext } from '../../host-api/effect.ts';
import { CgroupFs } from '../../host-api/kernel/cgroup-fs.ts';
import { closePidfd } from '../../host-api/kernel/pidfd.ts';
import { readMemlock } from '../../host-api/kernel/prlimit.ts';
import { readCgroup } from '../../host-api/kernel/proc.ts';
import { readAffinity, readScheduling } from '../../host-api/kernel/sched.ts';
import { bytes } from '../../host-api/limit.ts';
import type { Target } from '../../host-api/target.ts';
import { commit, type Journal } from '../../runtime/commit.ts';
import {
  hasCapability,
  otherThreads,
  startThreaded,
  titled,
  type Victim,
  whyNoCgroups,
} from '../support/processes.ts';

const scope = `/deputy-commit-${process.pid}`;
const noCgroups = whyNoCgroups();
const noNice = hasCapability('CAP_SYS_NICE') ? undefined : 'CAP_SYS_NICE is missing';
const canRaise = hasCapability('CAP_SYS_RESOURCE');

class RecordingJournal implements Journal {
  readonly calls: string[] = [];
  intent(changes: readonly Change[]): number {
    this.calls.push(`intent ${changes.map(({ tag }) => tag).join(' ')}`);
    return 1;
  }
  extend(): void {
    this.calls.push('extend');
  }
  committed(): void {
    this.calls.push('committed');
  }
  undone(_id: number, left: readonly Change[]): void {
    this.calls.push(`undone, ${left.length} left`);
  }
}

let victim: Victim;
let journal: RecordingJournal;
let context: EffectContext;
const addressed = { tag: 'addressed' } as const;
const scheduling = (change: Partial<Scheduling>): Effect => ({
  tag: 'set-scheduler',
  threads: addressed,
  change: { policy: undefined, priority: undefined, nice: undefined, affinity: undefined, ...change },
});
const memlock = (value: bigint): Effect => ({ tag: 'set-memlock', soft: bytes(value), hard: bytes(value) });
const move = (group: string): Effect => ({ tag: 'move-cgroup', group, threads: addressed });
const group = (name: string, threaded: boolean): [string, CgroupGroup] => [
  name,
  { name, path: name, cpus: undefined, mems: undefined, threaded, create: true },
];
const target = (addressedThreads: Target['addressed'] = { tag: 'all' }): Target => ({
  process: victim,
  addressed: addressedThreads,
  scopePath: scope,
});
const run = (effects: Effect[], on = target(), atLeast = false) =>
  commit(on, effects, context, journal, { atLeast });

beforeEach(async () => {
  victim = await startThreaded(4);
  journal = new RecordingJournal();
  const cgroupFs = noCgroups === undefined ? CgroupFs.open() : undefined;
  if (cgroupFs !== undefined) {
    cgroupFs.create('/', scope.slice(1));
    cgroupFs.write(scope, 'cgroup.procs', `${victim.pid}`);
  }
  context = { cgroupFs, groups: new Map([group('threads', true), group('whole', false)]) };
});

afterEach(async () => {
  await victim.kill();
  closePidfd(victim.pidfd);
  const { cgroupFs } = context;
  if (cgroupFs === undefined) return;
  for (const name of cgroupFs.children(scope)) cgroupFs.remove(scope, name);
  cgroupFs.remove('/', scope.slice(1));
  cgroupFs.close();
});

describe('commit', () => {
  it('lowers memlock, reads it again, and finds back', () => {
    const before = readMemlock(victim);
    const result = run([memlock(65_536n)]);
    expect(readMemlock(victim)).toEqual({ soft: bytes(65_536n), hard: bytes(65_536n) });
    expect(result.changes).toEqual([
      {
        tag: 'memlock',
        pid: victim.pid,
        startTimeTicks: victim.startTimeTicks,
        before,
        after: { soft: bytes(65_536n), hard: bytes(65_536n) },
      },
    ]);
    result.confirm();
    expect(journal.calls).toEqual(['intent memlock', 'committed']);
    const outcomes = result.undo().map(({ outcome }) => outcome.tag);
    // Raising the hard limit again needs the capability: without it the failure must be told, not hidden.
    expect(outcomes).toEqual([canRaise ? 'restored' : 'failed']);
  });

  it('takes "already sufficient" for success when asked for at least', () => {
    const before = readMemlock(victim);
    const { changes } = run([memlock(4096n)], target(), true);
    expect(changes[0]?.after).toEqual(before);
    expect(readMemlock(victim)).toEqual(before);
  });

  it.skipIf(noNice)(titled('sets policy, priority and affinity of every thread', noNice), () => {
    const result = run([scheduling({ policy: 'fifo', priority: 7, affinity: [0] })]);
    for (const tid of [victim.pid, ...otherThreads(victim)]) {
      expect(readScheduling(tid)).toEqual({ policy: 'fifo', priority: 7, nice: 0, resetOnFork: true });
      expect(readAffinity(tid)).toEqual([0]);
    }
    expect(result.changes).toHaveLength(10);
    expect(result.undo().every(({ outcome }) => outcome.tag === 'restored')).toBe(true);
    for (const tid of [victim.pid, ...otherThreads(victim)]) {
      expect(readScheduling(tid)).toEqual({ policy: 'other', priority: 0, nice: 0, resetOnFork: false });
      expect(readAffinity(tid)).toEqual([0, 1]);
    }
  });

  it.skipIf(noNice)(titled('touches none but the threads addressed', noNice), () => {
    const [one, two, ...rest] = otherThreads(victim) as [number, number, ...number[]];
    run([scheduling({ nice: -3 })], target({ tag: 'only', tids: [one, two] }));
    expect([one, two].map((tid) => readScheduling(tid).nice)).toEqual([-3, -3]);
    expect([victim.pid, ...rest].every((tid) => readScheduling(tid).nice === 0)).toBe(true);
    run([scheduling({ nice: 4 })], target({ tag: 'except', tids: [one, two] }));
    expect([one, two].map((tid) => readScheduling(tid).nice)).toEqual([-3, -3]);
    expect([victim.pid, ...rest].every((tid) => readScheduling(tid).nice === 4)).toBe(true);
  });

  it('reports threads that have vanished, and goes on with the others', () => {
    const [one] = otherThreads(victim) as [number];
    const result = run([scheduling({ policy: 'batch' })], target({ tag: 'only', tids: [one, 4_000_000] }));
    expect(result.vanished).toEqual([4_000_000]);
    expect(readScheduling(one).policy).toBe('batch');
  });

  it('fails where all addressed threads have vanished', () => {
    expect(() => run([scheduling({ policy: 'batch' })], target({ tag: 'only', tids: [4_000_000] }))).toThrow(
      /none of whose addressed threads lives any more/,
    );
    expect(journal.calls).toEqual(['intent ', 'undone, 0 left']);
  });

  it('explains an affinity outside the cpuset', () => {
    expect(() => run([scheduling({ affinity: [4000] })])).toThrow(
      /to CPUs 4000: none of them is in its cpuset \(EINVAL\)|to CPUs 4000: none of them is in its cpuset: invalid value/,
    );
    expect(() => run([scheduling({ affinity: [0, 4000] })])).toThrow(/its cpuset leaves only 0/);
    expect(readAffinity(victim.pid)).toEqual([0, 1]);
  });

  it.skipIf(noCgroups)(titled('moves a whole process', noCgroups), () => {
    const { changes } = run([move('whole')]);
    expect(changes).toMatchObject([
      { tag: 'cgroup', tid: undefined, before: scope, after: `${scope}/whole` },
    ]);
    expect(readCgroup(victim.pid)).toBe(`${scope}/whole`);
  });

  it.skipIf(noCgroups)(
    titled('moves all but some threads into a threaded group, and finds back', noCgroups),
    () => {
      const [kept] = otherThreads(victim) as [number];
      const result = run([move('threads')], target({ tag: 'except', tids: [kept] }));
      expect(readCgroup(kept, victim.pid)).toBe(scope);
      expect(readCgroup(victim.pid, victim.pid)).toBe(`${scope}/threads`);
      expect(result.changes).toHaveLength(4);
      expect(result.undo().every(({ outcome }) => outcome.tag === 'restored')).toBe(true);
      expect(otherThreads(victim).every((tid) => readCgroup(tid, victim.pid) === scope)).toBe(true);
    },
  );

  it.skipIf(noCgroups)(titled('repairs a half-built group', noCgroups), () => {
    context.cgroupFs?.create(scope, 'threads');
    expect(context.cgroupFs?.read(`${scope}/threads`, 'cgroup.type')).toBe('domain');
    run([move('threads')], target({ tag: 'only', tids: otherThreads(victim).slice(0, 1) }));
    expect(context.cgroupFs?.read(`${scope}/threads`, 'cgroup.type')).toBe('threaded');
  });

  it.skipIf(noCgroups)(
    titled('says why a single thread cannot go to a group for processes', noCgroups),
    () => {
      const [one] = otherThreads(victim) as [number];
      expect(() => run([move('whole')], target({ tag: 'only', tids: [one] }))).toThrow(
        /not in one threaded domain: the group must be threaded/,
      );
      expect(readCgroup(one, victim.pid)).toBe(scope);
    },
  );

  it.skipIf(noCgroups ?? noNice)(
    titled('undoes the first two when the third fails', noCgroups ?? noNice),
    () => {
      const attempt = () => run([scheduling({ nice: -2 }), move('whole'), move('absent')]);
      // planned first: an effect that can't even be planned changes nothing at all
      expect(attempt).toThrow(/nothing was changed/);
      const fails = () => run([scheduling({ nice: -2 }), move('whole'), scheduling({ affinity: [0, 4000] })]);
      expect(fails).toThrow(/set-scheduler failed: .*what was begun has been undone/);
      expect(readScheduling(victim.pid).nice).toBe(0);
      expect(readAffinity(victim.pid)).toEqual([0, 1]);
      expect(readCgroup(victim.pid)).toBe(scope);
      expect(journal.calls.at(-1)).toBe('undone, 0 left');
    },
  );

  it('changes nothing where the intent cannot be written down', () => {
    journal.intent = () => {
      throw new Error('ENOSPC');
    };
    expect(() => run([scheduling({ policy: 'batch' })])).toThrow('ENOSPC');
    expect(readScheduling(victim.pid).policy).toBe('other');
  });

  it('does not take back what another has changed since', () => {
    const result = run([scheduling({ policy: 'batch' })], target({ tag: 'only', tids: [victim.pid] }));
    run([scheduling({ policy: 'idle' })], target({ tag: 'only', tids: [victim.pid] }));
    expect(result.undo().map(({ outcome }) => outcome.tag)).toEqual(['changed-by-another']);
    expect(readScheduling(victim.pid).policy).toBe('idle');
  });

  it('finds nothing to undo in a process that has died', async () => {
    const result = run([scheduling({ policy: 'batch' })]);
    await victim.kill();
    expect(new Set(result.undo().map(({ outcome }) => outcome.tag))).toEqual(new Set(['gone']));
  });
});
