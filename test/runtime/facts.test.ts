import { execFileSync } from 'node:child_process';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseCpuList } from '../../host-api/cpu-list.ts';
import type { DeputyError } from '../../host-api/errors.ts';
import { readAffinity } from '../../host-api/kernel/sched.ts';
import { lowestMemoryMax, takeFacts } from '../../runtime/facts.ts';
import type { Peer } from '../../runtime/peer.ts';
import {
  closeTarget,
  type RequestedTarget,
  type ResolvedTarget,
  resolveTarget,
  WHOLE_CLIENT,
} from '../../runtime/resolve-target.ts';
import type { Scope } from '../../runtime/scope.ts';
import { titled, whyNoCgroups } from '../support/processes.ts';
import { type Puppet, Reception } from '../support/puppet.ts';
import { TestCgroup } from '../support/test-cgroup.ts';

const NOBODY = 65534;
const HELD = { memlockBytes: 7n, realtimeThreads: 3 };
const why = process.getuid?.() === 0 ? whyNoCgroups() : 'needs root, to make cgroups';

describe.skipIf(why !== undefined)(titled('facts', why), () => {
  let reception: Reception;
  let cgroup: TestCgroup;
  let puppet: Puppet;
  let peer: Peer;
  let scope: Scope;
  const targets: ResolvedTarget[] = [];

  beforeEach(async () => {
    reception = await Reception.open();
    cgroup = new TestCgroup('deputy-facts');
    puppet = await reception.puppet({
      uid: NOBODY,
      wrapper: ['prlimit', '--memlock=65536:131072', 'nice', '-n', '5'],
    });
    peer = await reception.peerOf(puppet);
    scope = { path: cgroup.make('scope'), name: 'unit', labels: [{ name: 'unit', value: 'x' }] };
    cgroup.move(peer.process.pid, scope.path);
  });
  afterEach(async () => {
    for (const target of targets.splice(0)) closeTarget(target);
    await reception.close();
    await cgroup.remove();
  });

  function resolve(requested: Partial<RequestedTarget> = {}): ResolvedTarget {
    const target = resolveTarget(peer, scope, { ...WHOLE_CLIENT, ...requested }, cgroup.fs);
    targets.push(target);
    return target;
  }

  it('are all that a policy sees of peer, scope and target', async () => {
    await puppet.does('rename', 'vCPU 0/KVM');
    const [tid = 0] = await puppet.does<number[]>('threads', 1);
    const { pid } = peer.process;
    execFileSync('chrt', ['--rr', '--pid', '3', String(tid)]);
    const facts = takeFacts(peer, scope, resolve(), 'set-scheduler', HELD, cgroup.fs);
    const thread = { cgroup: scope.path, affinity: readAffinity(pid) };
    expect(facts).toEqual({
      subject: { uid: NOBODY, gid: NOBODY, scope: scope.path, scopeName: 'unit', labels: scope.labels },
      target: {
        uid: NOBODY,
        gid: NOBODY,
        isSubject: true,
        memlock: { soft: { tag: 'bytes', val: 65536n }, hard: { tag: 'bytes', val: 131072n } },
        cgroup: scope.path,
        memoryLimit: lowestMemoryMax(cgroup.fs, scope.path),
        cpus: parseCpuList(execFileSync('cat', ['/sys/devices/system/cpu/online'], { encoding: 'utf8' })),
        wholeProcess: true,
        threads: [
          { tid: pid, commUntrusted: 'vCPU 0/KVM', policy: 'other', priority: 0, nice: 5, ...thread },
          { tid, commUntrusted: 'vCPU 0/KVM', policy: 'rr', priority: 3, nice: 0, ...thread },
        ],
        commUntrusted: 'vCPU 0/KVM',
      },
      ledger: HELD,
    });
  });

  it.each(['only', 'except'] as const)('have the threads addressed by "%s"', async (tag) => {
    const tids = await puppet.does<number[]>('threads', 3);
    const chosen = tids.slice(1);
    const rest = [peer.process.pid, tids[0]];
    const target = resolve({ threads: { tag, tids: chosen } });
    const { threads, wholeProcess } = takeFacts(peer, scope, target, 'move-cgroup', HELD, cgroup.fs).target;
    expect(wholeProcess).toBe(false);
    expect(threads.map((thread) => thread.tid)).toEqual(tag === 'only' ? chosen : rest);
  });

  it("tell each thread's own cgroup where they differ", async () => {
    const [tid = 0] = await puppet.does<number[]>('threads', 1);
    const threaded = cgroup.make('scope/threaded');
    cgroup.fs.write(threaded, 'cgroup.type', 'threaded');
    cgroup.fs.write(threaded, 'cgroup.threads', String(tid));
    const { threads } = takeFacts(peer, scope, resolve(), 'move-cgroup', HELD, cgroup.fs).target;
    expect(threads.map((thread) => thread.cgroup)).toEqual([scope.path, threaded]);
    // And where the first thread lies in a threaded cgroup itself.
    cgroup.fs.write(threaded, 'cgroup.threads', String(peer.process.pid));
    const after = takeFacts(peer, scope, resolve(), 'move-cgroup', HELD, cgroup.fs).target;
    expect([after.cgroup, ...after.threads.map((thread) => thread.cgroup)]).toEqual(Array(3).fill(threaded));
  });

  it("have no threads for memlock, which is the process's", async () => {
    await puppet.does('threads', 3);
    const { threads, wholeProcess } = takeFacts(
      peer,
      scope,
      resolve(),
      'set-memlock',
      HELD,
      cgroup.fs,
    ).target;
    expect([threads, wholeProcess]).toEqual([[], true]);
  });

  it('are the same without cgroup v2 files, but for what those say', async () => {
    const { target } = takeFacts(peer, scope, resolve(), 'move-cgroup', HELD, undefined);
    expect(target).toMatchObject({ memoryLimit: undefined, cgroup: scope.path });
    expect(target.cpus.length).toBeGreaterThan(0);
  });

  it('are not had of a process that has ended', async () => {
    const target = resolve();
    await puppet.kill();
    expect(() => takeFacts(peer, scope, target, 'set-memlock', HELD, cgroup.fs)).toThrow(
      expect.objectContaining({
        code: 'NoSuchTarget',
        message: `pid ${peer.ownPid} has exited`,
      }) as DeputyError,
    );
  });

  it('are not read of more threads than can be served', async () => {
    await puppet.does('threads', 4096);
    const target = resolve();
    expect(() => takeFacts(peer, scope, target, 'set-scheduler', HELD, cgroup.fs)).toThrow(
      /has 4097 threads, more than 4096: name those that are meant/,
    );
    expect(takeFacts(peer, scope, target, 'set-memlock', HELD, cgroup.fs).target.threads).toEqual([]);
    const some = resolve({ threads: { tag: 'except', tids: [peer.process.pid] } });
    expect(takeFacts(peer, scope, some, 'set-scheduler', HELD, cgroup.fs).target.threads).toHaveLength(4096);
  });
});
