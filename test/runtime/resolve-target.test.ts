import { readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DeputyError } from '../../host-api/errors.ts';
import { closePidfd, openPidfd, pidfdId } from '../../host-api/kernel/pidfd.ts';
import { readCgroup, readStat, readStatus } from '../../host-api/kernel/proc.ts';
import type { Peer } from '../../runtime/peer.ts';
import {
  closeTarget,
  numberForClient,
  type RequestedTarget,
  type ResolvedTarget,
  recheckTarget,
  resolveTarget,
  WHOLE_CLIENT,
} from '../../runtime/resolve-target.ts';
import type { Scope } from '../../runtime/scope.ts';
import { withoutPtrace } from '../support/capability.ts';
import { titled, whyNoCgroups } from '../support/processes.ts';
import { type Puppet, Reception } from '../support/puppet.ts';
import { TestCgroup } from '../support/test-cgroup.ts';

const why = process.getuid?.() === 0 ? whyNoCgroups() : 'needs root, to make cgroups and namespaces';
const NEW_NAMESPACE = ['unshare', '--pid', '--fork', '--kill-child'];

let reception: Reception;
let cgroup: TestCgroup;
let opened: ResolvedTarget[] = [];

const setUp = async (): Promise<void> => {
  reception = await Reception.open();
  cgroup = new TestCgroup('deputy-target');
};
const tearDown = async (): Promise<void> => {
  for (const target of opened) closeTarget(target);
  opened = [];
  await reception.close();
  await cgroup.remove();
};

interface Pod {
  readonly scope: Scope;
  readonly puppet: Puppet;
  readonly peer: Peer;
}

/** A client in a cgroup of its own, which is its scope; all that it starts is born there. */
async function pod(name: string, wrapper: readonly string[] = []): Promise<Pod> {
  const path = cgroup.make(name);
  const puppet = await reception.puppet({ wrapper });
  const peer = await reception.peerOf(puppet);
  cgroup.move(peer.process.pid, path);
  expect(peer.check()).toBe(path);
  return { scope: { path, name: '', labels: [] }, puppet, peer };
}

function resolve({ peer, scope }: Pod, requested: Partial<RequestedTarget>): ResolvedTarget {
  const target = resolveTarget(peer, scope, { ...WHOLE_CLIENT, ...requested }, cgroup.fs);
  opened.push(target);
  return target;
}

function refusal(run: () => unknown): { code: string; message: string } {
  try {
    run();
  } catch (error) {
    if (error instanceof DeputyError) return { code: error.code, message: error.message };
    throw error;
  }
  return { code: 'no error', message: '' };
}

function idOf(pid: number): bigint | undefined {
  const pidfd = openPidfd(pid);
  try {
    return pidfdId(pidfd);
  } finally {
    closePidfd(pidfd);
  }
}

const hasPidfdIds = idOf(process.pid) !== undefined;
const whyNoIds = hasPidfdIds ? undefined : 'ids of pidfds need Linux 6.9';

describe.skipIf(why !== undefined)(titled("a target in the client's own pid namespace", why), () => {
  beforeEach(setUp);
  afterEach(tearDown);

  it('is the client itself where none is named', async () => {
    const here = await pod('a');
    const target = resolve(here, {});
    expect(target).toMatchObject({
      isPeer: true,
      named: here.peer.ownPid,
      vanished: [],
      scopePath: here.scope.path,
    });
    expect(target.process).toMatchObject({
      pid: here.peer.process.pid,
      startTimeTicks: here.peer.process.startTimeTicks,
    });
    expect(target.process.pidfd).not.toBe(here.peer.process.pidfd);
  });

  it('is another process of its scope, or of a cgroup below', async () => {
    const here = await pod('a');
    const pid = await here.puppet.does<number>('start', 'sleep', '1000');
    expect(resolve(here, { pid })).toMatchObject({ isPeer: false, process: { pid } });
    cgroup.move(pid, cgroup.make('a/below'));
    expect(resolve(here, { pid })).toMatchObject({ isPeer: false, process: { pid } });
  });

  it('is never outside of it, and whether such a process exists is not told', async () => {
    const [here, there] = [await pod('a'), await pod('ab')];
    const free = 4_194_303;
    expect(readStat(free)).toBeUndefined();
    const threads = await here.puppet.does<number[]>('threads', 1);
    const outside = [there.peer.process.pid, 1, 2, process.pid, free, threads[0] ?? 0];
    const answers = outside.map((pid) => {
      const { code, message } = refusal(() => resolve(here, { pid }));
      return `${code}: ${message.replace(String(pid), 'N')}`;
    });
    expect(new Set(answers)).toEqual(
      new Set([`TargetNotInScope: pid N is no process of scope ${here.scope.path}`]),
    );
    // Nor by what else is claimed of it.
    const claims: Partial<RequestedTarget>[] = [
      { startTimeTicks: 1n },
      { pidfdId: 1n },
      { threads: { tag: 'only', tids: [1] } },
    ];
    for (const claim of claims) {
      expect(refusal(() => resolve(here, { pid: 1, ...claim })).code).toBe('TargetNotInScope');
    }
  });

  it('is not a zombie', async () => {
    const here = await pod('a');
    const pid = await here.puppet.does<number>('zombie');
    expect(readStat(pid)?.state).toBe('Z');
    expect(refusal(() => resolve(here, { pid })).code).toBe('TargetNotInScope');
  });

  it('is not a process whose first thread has ended', async () => {
    const [here, dying] = [await pod('a'), await reception.puppet()];
    const pid = dying.child.pid ?? 0;
    cgroup.move(pid, here.scope.path);
    await dying.does('end_first_thread');
    while (readStat(pid)?.state !== 'Z') await sleep(5);
    expect(refusal(() => resolve(here, { pid }))).toMatchObject({
      code: 'TargetNotAllowed',
      message: /without its first thread/,
    });
  });

  it('is not the daemon', async () => {
    const here = await pod('a');
    const before = readCgroup(process.pid) ?? '/';
    cgroup.move(process.pid, here.scope.path);
    try {
      expect(refusal(() => resolve(here, { pid: process.pid }))).toEqual({
        code: 'TargetNotAllowed',
        message: `pid ${process.pid} is the daemon itself`,
      });
    } finally {
      cgroup.move(process.pid, before);
    }
  });

  it('is compared with the start time the client knows', async () => {
    const here = await pod('a');
    const pid = await here.puppet.does<number>('start', 'sleep', '1000');
    const startTimeTicks = readStat(pid)?.startTimeTicks ?? 0n;
    expect(resolve(here, { pid, startTimeTicks }).process.startTimeTicks).toBe(startTimeTicks);
    expect(refusal(() => resolve(here, { pid, startTimeTicks: startTimeTicks + 1n }))).toEqual({
      code: 'NoSuchTarget',
      message: `pid ${pid} started at ${startTimeTicks} ticks, not at ${startTimeTicks + 1n}: it is another process by now`,
    });
  });

  it('is compared with the pidfd the client holds', async () => {
    const here = await pod('a');
    const pid = await here.puppet.does<number>('start', 'sleep', '1000');
    const id = BigInt(await here.puppet.does<number>('pidfd_id', pid));
    if (!hasPidfdIds) {
      expect(refusal(() => resolve(here, { pid, pidfdId: id }))).toMatchObject({ code: 'NotSupported' });
      return;
    }
    expect(resolve(here, { pid, pidfdId: id }).process.pid).toBe(pid);
    expect(refusal(() => resolve(here, { pid, pidfdId: id + 1n }))).toEqual({
      code: 'NoSuchTarget',
      message: `the pidfd of pid ${pid} has id ${id}, not ${id + 1n}`,
    });
  });

  it('that has moved out, or ended, since is caught before anything is done', async () => {
    const here = await pod('a');
    const pid = await here.puppet.does<number>('start', 'sleep', '1000');
    const target = resolve(here, { pid });
    recheckTarget(target, here.scope);
    cgroup.move(pid, cgroup.make('b'));
    expect(refusal(() => recheckTarget(target, here.scope)).code).toBe('TargetNotInScope');
    cgroup.move(pid, here.scope.path);
    recheckTarget(target, here.scope);
    await here.puppet.does('reap', pid);
    expect(refusal(() => recheckTarget(target, here.scope)).code).toBe('TargetNotInScope');
  });

  it('has the threads that were named, those that live', async () => {
    const here = await pod('a');
    const pid = here.peer.process.pid;
    const [one = 0, two = 0] = await here.puppet.does<number[]>('threads', 2);
    const ended = await here.puppet.does<number>('short_thread');
    expect(resolve(here, { threads: { tag: 'only', tids: [one, two] } })).toMatchObject({
      addressed: { tag: 'only', tids: [one, two] },
      vanished: [],
    });
    expect(resolve(here, { threads: { tag: 'except', tids: [ended, pid, one] } })).toMatchObject({
      addressed: { tag: 'except', tids: [pid, one] },
      vanished: [ended],
    });
    for (const tag of ['only', 'except'] as const) {
      expect(refusal(() => resolve(here, { threads: { tag, tids: [ended] } }))).toEqual({
        code: 'NoSuchTarget',
        message: `pid ${pid} has none of the threads ${ended}`,
      });
    }
  });

  it('has no thread of another process, be it in scope', async () => {
    const [here, there] = [await pod('a'), await pod('b')];
    const other = await here.puppet.does<number>('start', 'sleep', '1000');
    const [foreign = 0] = await there.puppet.does<number[]>('threads', 1);
    const tids = [other, foreign, there.peer.process.pid, 1];
    expect(refusal(() => resolve(here, { threads: { tag: 'only', tids } })).code).toBe('NoSuchTarget');
    expect(resolve(here, { threads: { tag: 'only', tids: [...tids, here.peer.process.pid] } })).toMatchObject(
      {
        addressed: { tag: 'only', tids: [here.peer.process.pid] },
        vanished: tids,
      },
    );
  });

  it('leaves no descriptor open when it is refused', async () => {
    const here = await pod('a');
    const pid = here.peer.process.pid;
    const open = () => readdirSync('/proc/self/fd').length;
    const before = open();
    const refused: Partial<RequestedTarget>[] = [
      { pid: 1 },
      { pid: 4_194_303 },
      { pid, startTimeTicks: 1n },
      { pid, pidfdId: 1n },
      { pid, threads: { tag: 'only', tids: [1] } },
    ];
    for (const requested of refused)
      expect(refusal(() => resolve(here, requested)).code).not.toBe('no error');
    expect(open()).toBe(before);
  });
});

// Without the capability as the daemon is, and with it as an operator may choose.
const PRIVILEGES: [string, <T>(run: () => T) => T][] = [
  ['without CAP_SYS_PTRACE', withoutPtrace],
  ['with CAP_SYS_PTRACE', (run) => run()],
];

describe.skipIf(why !== undefined).each(PRIVILEGES)(
  titled("a target in another pid namespace than the daemon's, %s", why),
  (_, as) => {
    beforeEach(setUp);
    afterEach(tearDown);

    it('is translated, and not confused with the same pid of another pod', async () => {
      const [a, b] = [await pod('a', NEW_NAMESPACE), await pod('b', NEW_NAMESPACE)];
      const pids = await Promise.all(
        [a, b].map(({ puppet }) => puppet.does<number>('start', 'sleep', '1000')),
      );
      const [pid = 0, same = -1] = pids;
      expect(same).toBe(pid);
      expect(a.peer).toMatchObject({ namespaceLevel: 1, ownPid: 1 });
      const [first, second] = [a, b].map((it) => as(() => resolve(it, { pid })));
      expect(first?.process.pid).not.toBe(second?.process.pid);
      for (const [target, { scope, peer }] of [
        [first, a],
        [second, b],
      ] as const) {
        expect(target).toMatchObject({ named: pid, isPeer: false, namespaceLevel: 1 });
        const { pid: hostPid = 0 } = target?.process ?? {};
        expect(readStatus(hostPid)).toMatchObject({
          namespacePids: [hostPid, pid],
          parentPid: peer.process.pid,
        });
        recheckTarget(target as ResolvedTarget, scope);
      }
      // Once more, as remembered; and itself, by its own number.
      expect(as(() => resolve(a, { pid })).process.pid).toBe(first?.process.pid);
      expect(as(() => resolve(a, { pid: 1 }))).toMatchObject({ isPeer: true, named: 1 });
      // A pid of the host's is none of its own.
      for (const hostPid of [first?.process.pid ?? 0, second?.process.pid ?? 0, process.pid]) {
        expect(refusal(() => as(() => resolve(a, { pid: hostPid }))).code).toBe('TargetNotInScope');
      }
    });

    it('is not one of another container of the same scope that has the same number', async () => {
      const a = await pod('a', NEW_NAMESPACE);
      const b = { ...(await pod('b', NEW_NAMESPACE)), scope: a.scope };
      await b.puppet.does<number>('start', 'sleep', '1000');
      const onlyInB = await b.puppet.does<number>('start', 'sleep', '1000');
      cgroup.move(b.peer.process.pid, a.scope.path);
      for (const hostPid of childrenOf(b.peer.process.pid)) cgroup.move(hostPid, a.scope.path);
      expect(refusal(() => as(() => resolve(a, { pid: onlyInB })))).toEqual({
        code: 'TargetNotInScope',
        message: `pid ${onlyInB} is no process of scope ${a.scope.path}`,
      });
      expect(as(() => resolve(b, { pid: onlyInB })).named).toBe(onlyInB);
      // And where both have it, each means its own.
      await a.puppet.does<number>('start', 'sleep', '1000');
      await a.puppet.does<number>('start', 'sleep', '1000');
      const [mine, theirs] = [a, b].map((it) => as(() => resolve(it, { pid: onlyInB })));
      expect(readStatus(mine?.process.pid ?? 0)?.parentPid).toBe(a.peer.process.pid);
      expect(readStatus(theirs?.process.pid ?? 0)?.parentPid).toBe(b.peer.process.pid);
    });

    it('is translated for a client two namespaces down', async () => {
      const here = await pod('a', [...NEW_NAMESPACE, ...NEW_NAMESPACE]);
      expect(here.peer).toMatchObject({ namespaceLevel: 2, ownPid: 1 });
      const pid = await here.puppet.does<number>('start', 'sleep', '1000');
      const target = as(() => resolve(here, { pid }));
      expect(readStatus(target.process.pid)?.namespacePids).toEqual([target.process.pid, pid + 1, pid]);
    });

    it('is found beside a process whose status is too long to read', async () => {
      const here = await pod('a', NEW_NAMESPACE);
      const pid = await here.puppet.does<number>('start', 'sleep', '1000');
      const loud = await reception.puppet();
      await loud.does('groups', 65_536);
      cgroup.move(loud.child.pid ?? 0, here.scope.path);
      expect(as(() => resolve(here, { pid })).named).toBe(pid);
    });

    it("may itself live in a namespace below the client's", async () => {
      const here = await pod('a', NEW_NAMESPACE);
      const unshare = await here.puppet.does<number>('start', ...NEW_NAMESPACE, 'sleep', '1000');
      await sleep(200);
      const target = as(() => resolve(here, { pid: unshare + 1 }));
      expect(readStatus(target.process.pid)?.namespacePids).toEqual([target.process.pid, unshare + 1, 1]);
    });

    it("has threads in the client's numbers", async () => {
      const here = await pod('a', NEW_NAMESPACE);
      // Between them the host gives numbers to others, so the distance is not the same for all.
      const tids: number[] = [];
      for (let n = 0; n < 4; n++) {
        tids.push(...(await here.puppet.does<number[]>('threads', 1)));
        await (await reception.puppet()).does('pid');
      }
      const ended = await here.puppet.does<number>('short_thread');
      const target = as(() => resolve(here, { threads: { tag: 'only', tids: [...tids, ended, 4_000_000] } }));
      expect(target.vanished).toEqual([ended, 4_000_000]);
      if (target.addressed.tag !== 'only') throw new Error('other threads than asked for');
      expect(target.addressed.tids.map((tid) => readStatus(tid, target.process.pid)?.namespacePids)).toEqual(
        target.addressed.tids.map((tid, index) => [tid, tids[index]]),
      );
      expect(target.addressed.tids.map((tid) => numberForClient(target, tid))).toEqual(tids);
      expect(numberForClient(target, target.process.pid)).toBe(1);
      expect(numberForClient(target, 1)).toBeUndefined();
    });

    it('is no process that was put into the namespace from outside, unless that can be told', async () => {
      const here = await pod('a', NEW_NAMESPACE);
      const injected = await reception.puppet({
        wrapper: ['nsenter', '--pid', '--target', String(here.peer.process.pid)],
      });
      const pid = await injected.does<number>('pid');
      const guest = { ...here, peer: await reception.peerOf(injected) };
      cgroup.move(guest.peer.process.pid, here.scope.path);
      expect(guest.peer).toMatchObject({ namespaceLevel: 1, ownPid: pid });
      const own = await guest.puppet.does<number>('start', 'sleep', '1000');
      const ofGuest = await injected.does<number>('start', 'sleep', '1000');
      const ask = (who: Pod, named: number) => refusal(() => as(() => resolve(who, { pid: named }))).code;
      const untold = as === withoutPtrace ? 'TargetAmbiguous' : 'no error';
      expect([ask(here, pid), ask(guest, own), ask(guest, 1)]).toEqual([untold, untold, untold]);
      // What shares the parent it was put there with is told by descent.
      expect([ask(guest, ofGuest), ask(guest, pid), ask(here, own)]).toEqual([
        'no error',
        'no error',
        'no error',
      ]);
      expect(refusal(() => as(() => resolve(guest, { pid: 4000 }))).code).toBe('TargetNotInScope');
    });

    it.skipIf(!hasPidfdIds)(
      titled("is told by the id of the client's pidfd where it can't be otherwise", whyNoIds),
      async () => {
        const here = await pod('a', NEW_NAMESPACE);
        const injected = await reception.puppet({
          wrapper: ['nsenter', '--pid', '--target', String(here.peer.process.pid)],
        });
        const pid = await injected.does<number>('pid');
        const hostPid = (await reception.peerOf(injected)).process.pid;
        cgroup.move(hostPid, here.scope.path);
        const id = BigInt(await here.puppet.does<number>('pidfd_id', pid));
        expect(as(() => resolve(here, { pid, pidfdId: id })).process.pid).toBe(hostPid);
        expect(refusal(() => as(() => resolve(here, { pid: pid + 1, pidfdId: id }))).code).toBe(
          'TargetNotInScope',
        );
      },
    );

    it('leaves no descriptor open', async () => {
      const here = await pod('a', NEW_NAMESPACE);
      const pid = await here.puppet.does<number>('start', 'sleep', '1000');
      const open = () => readdirSync('/proc/self/fd').length;
      const before = open();
      for (let n = 0; n < 20; n++)
        closeTarget(as(() => resolveTarget(here.peer, here.scope, { ...WHOLE_CLIENT, pid }, cgroup.fs)));
      for (const named of [4000, 4001])
        expect(refusal(() => as(() => resolve(here, { pid: named }))).code).toBe('TargetNotInScope');
      expect(open()).toBe(before);
    });

    it('ends with the client that named it', async () => {
      const here = await pod('a', NEW_NAMESPACE);
      await here.puppet.kill();
      while (readStat(here.peer.process.pid) !== undefined) await sleep(5);
      expect(refusal(() => as(() => resolve(here, {}))).code).toBe('PeerGone');
      expect(refusal(() => as(() => resolve(here, { pid: 1 }))).code).toBe('PeerGone');
      expect(refusal(() => as(() => resolve(here, { pid: 7 }))).code).toBe('TargetNotInScope');
    });
  },
);

function childrenOf(pid: number): number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((id) => id > 0 && readStat(id)?.parentPid === pid);
}
