import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Operation } from '../../host-api/contract.ts';
import { listThreads, readBootId, readCgroup } from '../../host-api/kernel/proc.ts';
import { readScheduling } from '../../host-api/kernel/sched.ts';
import { AuditLog } from '../../runtime/audit/log.ts';
import { type AuditFailurePolicy, AuditTrail } from '../../runtime/audit/trail.ts';
import { type RealtimeGuard, refusingGuard, UNGUARDED } from '../../runtime/canary/canary.ts';
import { checkDeployDirectory } from '../../runtime/config/check.ts';
import { Grants } from '../../runtime/grants.ts';
import { handleRequest, type Stations } from '../../runtime/handle-request.ts';
import { Ledger } from '../../runtime/ledger/ledger.ts';
import { Quota } from '../../runtime/quota.ts';
import {
  closeTarget,
  type RequestedTarget,
  resolveTarget,
  WHOLE_CLIENT,
} from '../../runtime/resolve-target.ts';
import { type TestDeploy, writeDeploy } from '../support/daemon.ts';
import { hasCapability, titled, whyNoCgroups } from '../support/processes.ts';
import { type Puppet, Reception } from '../support/puppet.ts';
import { TestCgroup } from '../support/test-cgroup.ts';

interface Options {
  readonly guard?: RealtimeGuard;
  readonly auditFile?: string;
  readonly onFailure?: AuditFailurePolicy;
}

const whyNot = whyNoCgroups() ?? (hasCapability('CAP_SYS_NICE') ? undefined : 'CAP_SYS_NICE is missing');

describe.skipIf(whyNot !== undefined)(titled('a request', whyNot), () => {
  let reception: Reception;
  let cgroup: TestCgroup;
  let puppet: Puppet;
  let deploy: TestDeploy;
  const closes: (() => void)[] = [];

  beforeEach(async () => {
    reception = await Reception.open();
    cgroup = new TestCgroup('deputy-request');
    puppet = await reception.puppet();
    deploy = writeDeploy();
  });
  afterEach(async () => {
    for (const close of closes.splice(0)) close();
    await reception.close();
    await cgroup.remove();
    rmSync(deploy.directory, { recursive: true });
  });

  /** A daemon's stations without the daemon, and a client in a scope of its own. */
  async function start({
    guard = UNGUARDED,
    auditFile = deploy.auditFile,
    onFailure = 'refuse',
  }: Options = {}) {
    const { checked } = await checkDeployDirectory(deploy.deployDirectory);
    if (checked === undefined) throw new Error('the deploy directory has problems');
    const peer = await reception.peerOf(puppet);
    cgroup.move(peer.process.pid, cgroup.make('scope'));
    const ledger = Ledger.open(deploy.directory, readBootId());
    const context = { cgroupFs: cgroup.fs, groups: checked.groups };
    const log = AuditLog.open({
      file: auditFile,
      headFile: join(deploy.directory, 'audit.head'),
      rotateBytes: 1 << 20,
      keepFiles: 1,
    });
    const stations: Stations = {
      ...checked,
      ...context,
      quota: new Quota(checked.deploy.config.quota),
      guard,
      grants: new Grants(ledger, context, guard),
      audit: new AuditTrail(log, onFailure, pino({ level: 'silent' })),
    };
    closes.push(() => stations.audit.close());
    closes.push(() => ledger.close());
    const ask = (operation: Operation, target: RequestedTarget = WHOLE_CLIENT) =>
      handleRequest(stations, { peer, connection: 1 }, { operation, target, lease: false, atLeast: false });
    return { stations, peer, ask, pid: peer.process.pid, scope: `${cgroup.path}/scope` };
  }

  it('whose threads are demoted before the last of them is realtime is undone, and holds nothing', async () => {
    const seen: string[] = [];
    const guard: RealtimeGuard = {
      ...UNGUARDED,
      // The second time it is asked, the watchdog has been at work.
      check(effects) {
        seen.push(readScheduling(pid).policy);
        if (seen.length === 2) refusingGuard('demoted meanwhile').check(effects);
      },
    };
    const { ask, pid, stations } = await start({ guard });
    const realtime = { policy: 'fifo', priority: 1, nice: undefined, affinity: undefined } as const;
    expect(() => ask({ tag: 'set-scheduler', val: realtime })).toThrow(
      expect.objectContaining({ code: 'NotSupported' }) as Error,
    );
    expect(seen).toEqual(['other', 'fifo']);
    expect(readScheduling(pid).policy).toBe('other');
    expect(stations.grants.layers()).toEqual([]);
  });

  it.each([
    ['refuse', 'other'],
    ['continue', 'batch'],
  ] as const)(
    'that cannot be recorded, with on_failure = "%s", leaves the policy %s',
    async (onFailure, policy) => {
      const { ask, pid, stations } = await start({ onFailure, auditFile: '/dev/full' });
      const batch = { policy: 'batch', priority: undefined, nice: undefined, affinity: undefined } as const;
      const request = () => ask({ tag: 'set-scheduler', val: batch });
      for (let n = 0; n < 2; n++) {
        if (onFailure === 'continue') expect(request().id).toBe(0);
        else expect(request).toThrow(/the audit log can't be written \(ENOSPC.*nothing was changed/);
        expect(readScheduling(pid).policy).toBe(policy);
        expect(stations.grants.layers()).toHaveLength(onFailure === 'continue' ? 1 : 0);
      }
      expect(stations.audit.failing).toBe(true);
    },
  );

  it('to release takes back the threads too that were born in the group', async () => {
    const { ask, pid, scope, stations, peer } = await start();
    const [kept = 0, other = 0] = await puppet.does<number[]>('threads', 2);
    const places = (): (string | undefined)[] => listThreads(pid).map((tid) => readCgroup(tid, pid));
    const group = `${scope}/threads`;
    ask(
      { tag: 'move-cgroup', val: { group: 'threads' } },
      { ...WHOLE_CLIENT, threads: { tag: 'except', tids: [kept] } },
    );
    await puppet.does('threads', 3);
    expect(places()).toEqual([group, scope, group, group, group, group]);

    // One of them goes; the others stay, and so do the children: whose they are can't be told.
    const release = (threads: RequestedTarget['threads']) => {
      const target = resolveTarget(
        peer,
        stations.scopes.of(peer.check()),
        { ...WHOLE_CLIENT, threads },
        cgroup.fs,
      );
      const { failed, restored } = stations.grants.release(scope, target);
      closeTarget(target);
      return { failed, restored };
    };
    expect(release({ tag: 'only', tids: [other] })).toEqual({ failed: [], restored: 1 });
    expect(places()).toEqual([group, scope, scope, group, group, group]);
    expect(release({ tag: 'all' })).toEqual({ failed: [], restored: 1 });
    expect(places()).toEqual(Array(6).fill(scope));
  });
});
