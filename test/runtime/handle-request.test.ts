import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readBootId } from '../../host-api/kernel/proc.ts';
import { readScheduling } from '../../host-api/kernel/sched.ts';
import { AuditLog } from '../../runtime/audit/log.ts';
import { AuditTrail } from '../../runtime/audit/trail.ts';
import { refusingGuard, UNGUARDED } from '../../runtime/canary/canary.ts';
import { checkDeployDirectory } from '../../runtime/config/check.ts';
import { Grants } from '../../runtime/grants.ts';
import { handleRequest, type Stations } from '../../runtime/handle-request.ts';
import { Ledger } from '../../runtime/ledger/ledger.ts';
import { Quota } from '../../runtime/quota.ts';
import { WHOLE_CLIENT } from '../../runtime/resolve-target.ts';
import { writeDeploy } from '../support/daemon.ts';
import { hasCapability, titled, whyNoCgroups } from '../support/processes.ts';
import { type Puppet, Reception } from '../support/puppet.ts';
import { TestCgroup } from '../support/test-cgroup.ts';

const whyNot = whyNoCgroups() ?? (hasCapability('CAP_SYS_NICE') ? undefined : 'CAP_SYS_NICE is missing');

describe.skipIf(whyNot !== undefined)(titled('a request', whyNot), () => {
  let reception: Reception;
  let cgroup: TestCgroup;
  let puppet: Puppet;
  let deploy: ReturnType<typeof writeDeploy>;

  beforeEach(async () => {
    reception = await Reception.open();
    cgroup = new TestCgroup('deputy-request');
    puppet = await reception.puppet();
    deploy = writeDeploy();
  });
  afterEach(async () => {
    await reception.close();
    await cgroup.remove();
    rmSync(deploy.directory, { recursive: true });
  });

  it('whose threads are demoted before the last of them is realtime is undone, and holds nothing', async () => {
    const { checked } = await checkDeployDirectory(deploy.deployDirectory);
    if (checked === undefined) throw new Error('the deploy directory has problems');
    const peer = await reception.peerOf(puppet);
    cgroup.move(peer.process.pid, cgroup.make('scope'));
    const ledger = Ledger.open(deploy.directory, readBootId());
    const context = { cgroupFs: cgroup.fs, groups: checked.groups };
    const log = AuditLog.open({
      file: deploy.auditFile,
      headFile: join(deploy.directory, 'audit.head'),
      rotateBytes: 1 << 20,
      keepFiles: 1,
    });
    const seen: string[] = [];
    const stations: Stations = {
      ...checked,
      ...context,
      quota: new Quota(checked.deploy.config.quota),
      guard: {
        ...UNGUARDED,
        // The second time it is asked, the watchdog has been at work.
        check(effects) {
          seen.push(readScheduling(peer.process.pid).policy);
          if (seen.length === 2) refusingGuard('demoted meanwhile').check(effects);
        },
      },
      grants: new Grants(ledger, context),
      audit: new AuditTrail(log, 'refuse', pino({ level: 'silent' })),
    };
    const change = { policy: 'fifo', priority: 1, nice: undefined, affinity: undefined } as const;
    const operation = { tag: 'set-scheduler', val: change } as const;
    const request = { operation, target: WHOLE_CLIENT, lease: false, atLeast: false } as const;
    expect(() => handleRequest(stations, { peer, connection: 1 }, request)).toThrow(
      expect.objectContaining({ code: 'QuotaExceeded' }) as Error,
    );
    expect(seen).toEqual(['other', 'fifo']);
    expect(readScheduling(peer.process.pid).policy).toBe('other');
    expect(stations.grants.layers()).toEqual([]);
    stations.audit.close();
    ledger.close();
  });
});
