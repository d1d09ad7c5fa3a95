import { readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Connection } from '../../../client/connection.ts';
import { readMemlock, writeMemlock } from '../../../host-api/kernel/prlimit.ts';
import { readCgroup } from '../../../host-api/kernel/proc.ts';
import { readScheduling } from '../../../host-api/kernel/sched.ts';
import { bytes } from '../../../host-api/limit.ts';
import { startDaemon, type TestDaemon } from '../../support/daemon.ts';
import { startSleeper, titled, type Victim, whyNoCgroups } from '../../support/processes.ts';
import { TestCgroup } from '../../support/test-cgroup.ts';
import { deputyctl, type Ran } from './run-here.ts';

const whyNot = whyNoCgroups();

describe.skipIf(whyNot !== undefined)(titled('deputyctl against a daemon', whyNot), () => {
  let cgroup: TestCgroup;
  let daemon: TestDaemon;
  let victim: Victim;

  beforeAll(async () => {
    cgroup = new TestCgroup('deputy-cli');
    // The root cgroup is no scope: client and target have to be in one.
    cgroup.move(process.pid, cgroup.make('app'));
    daemon = await startDaemon();
    victim = startSleeper();
    // Known values, and none that a daemon without CAP_SYS_RESOURCE could not restore.
    writeMemlock(victim, { soft: bytes(1n << 20n), hard: bytes(1n << 20n) });
  });

  afterAll(async () => {
    await victim.kill();
    await daemon.stop();
    cgroup.move(process.pid, '/');
    await cgroup.remove();
  });

  const ctl = (...words: string[]): Promise<Ran> =>
    deputyctl({ DEPUTY_SOCKET: daemon.socket, DEPUTY_ADMIN_SOCKET: daemon.adminSocket }, ...words);
  /** With what differs from run to run replaced by its name. */
  const settled = async (...words: string[]): Promise<Ran> => {
    const ran = await ctl(...words.map((word) => word.replace('VICTIM', String(victim.pid))));
    const settle = (text: string): string =>
      text
        .replaceAll(String(victim.pid), 'PID')
        .replaceAll(`pid ${process.pid}`, 'pid TEST')
        .replaceAll(cgroup.path, 'CGROUP')
        .replaceAll(daemon.directory, 'DIR')
        .replace(/record \d+/, 'record N')
        .replace(/[0-9a-f]{64}/g, 'HASH')
        .replace(/up \d.*/, 'up T')
        .replace(/^ {2}\d+ {2}/gm, '  ID  ')
        .replace(/fuel: \d+/g, 'fuel: N')
        .replace(/answered in \d+ µs/, 'answered in N µs');
    return { ...ran, out: settle(ran.out), err: settle(ran.err) };
  };
  const lines = (...text: string[]): string => text.map((line) => `${line}\n`).join('');

  // One story: each command finds what those before it left.
  it.each<[words: string[], expected: Partial<Ran>]>([
    [['ping'], { out: 'io.deputy.Broker version 1, answered in N µs\n', code: 0 }],
    [
      ['call', 'SetMemlock', 'pid=VICTIM', 'hardBytes=1MiB', 'softBytes=64KiB'],
      {
        out: lines(
          'allowed by as-asked, audit record N',
          '  memlock of pid PID: 1 MiB → 64 KiB soft, 1 MiB hard',
        ),
        code: 0,
      },
    ],
    [
      ['call', 'SetMemlock', 'pid=VICTIM', 'hardBytes=1GiB'],
      {
        err: 'deputyctl: Denied: memlock 1 GiB exceeds the ceiling of 64 MiB set by as-asked.toml:5\n',
        code: 1,
      },
    ],
    [
      ['call', 'SetScheduler', 'pid=VICTIM', 'policy=batch', 'nice=5', 'cpus=0'],
      {
        out: lines(
          'allowed by as-asked, audit record N',
          '  scheduling of thread PID: other nice 0 → batch nice 5',
          '  CPUs of thread PID: 0-1 → 0',
        ),
        code: 0,
      },
    ],
    [
      ['call', 'MoveCgroup', 'pid=VICTIM', 'group=housekeeping'],
      {
        out: lines(
          'allowed by as-asked, audit record N',
          '  cgroup of pid PID: CGROUP/app → CGROUP/app/housekeeping',
        ),
        code: 0,
      },
    ],
    [
      ['explain', 'SetScheduler', 'pid=VICTIM', 'policy=fifo', 'priority=5'],
      {
        out: lines(
          'would be allowed by as-asked, in scope CGROUP/app',
          '  1. as-asked: allow',
          '     read: effects.set-scheduler',
          '     staged: set all that is addressed to fifo 5',
          '     fuel: N',
          '  would change:',
          '     scheduling of thread PID: batch nice 5 → fifo 5',
        ),
        code: 0,
      },
    ],
    [
      ['explain', 'SetScheduler', 'pid=VICTIM', 'policy=fifo', 'priority=50'],
      {
        out: lines(
          'would be denied by as-asked, in scope CGROUP/app: priority 50 exceeds the ceiling of 10 set by as-asked.toml:7',
          '  1. as-asked: deny: priority 50 exceeds the ceiling of 10 set by as-asked.toml:7',
          '     read: effects.set-scheduler',
          '     refused: priority 50 exceeds the ceiling of 10 set by as-asked.toml:7',
          '     fuel: N',
        ),
        code: 1,
      },
    ],
    [
      ['call', 'Release', 'pid=1'],
      { err: 'deputyctl: TargetNotInScope: pid 1 is no process of scope CGROUP/app\n', code: 1 },
    ],
    [
      ['status'],
      {
        out: lines(
          'deputyd 0.1.0, pid TEST, up T',
          '0 connections, 4 grants in the ledger',
          'audit at record N, HASH',
          'set-memlock    as-asked',
          'move-cgroup    as-asked',
          'set-scheduler  as-asked',
          'plugin as-asked (core)  sha256 HASH',
        ),
        code: 0,
      },
    ],
    [
      ['ledger'],
      {
        out: lines(
          'CGROUP/app',
          '  ID  memlock of pid PID: 1 MiB → 64 KiB soft, 1 MiB hard',
          '  ID  CPUs of thread PID: 0-1 → 0',
          '  ID  scheduling of thread PID: other nice 0 → batch nice 5',
          '  ID  cgroup of pid PID: CGROUP/app → CGROUP/app/housekeeping',
        ),
        code: 0,
      },
    ],
    [['call', 'Release', 'pid=VICTIM'], { out: '4 changes restored\n', code: 0 }],
    [['ledger'], { out: 'nothing is granted\n', code: 0 }],
  ])('%j', async (words, expected) => {
    expect(await settled(...words)).toEqual({ out: '', err: '', ...expected });
  });

  it('Release has put everything back in the kernel', () => {
    expect(readMemlock(victim)).toEqual({ soft: bytes(1n << 20n), hard: bytes(1n << 20n) });
    expect(readScheduling(victim.pid)).toMatchObject({ policy: 'other', nice: 0 });
    expect(readCgroup(victim.pid)).toBe(`${cgroup.path}/app`);
  });

  it('replay decides what was recorded as it was decided then, and shows what a lower ceiling would change', async () => {
    const wasm = `${daemon.deployDirectory}/plugins/as-asked.wasm`;
    const same = await ctl('replay', daemon.auditFile, '--plugin', wasm, '--config', daemon.deployDirectory);
    expect(same).toMatchObject({ code: 0, err: '' });
    expect(same.out).toContain('6 requests decided anew by as-asked.wasm: 6 the same');
    const manifest = wasm.replace('.wasm', '.toml');
    const text = readFileSync(manifest, 'utf8');
    writeFileSync(manifest, text.replace('max_bytes = "64 MiB"', 'max_bytes = "64 KiB"'));
    const lower = await ctl('replay', daemon.auditFile, '--plugin', wasm);
    writeFileSync(manifest, text);
    expect(lower.code).toBe(1);
    expect(lower.out).toContain('1 newly denied');
  });

  it('metrics count what was recorded', async () => {
    const { out, code } = await ctl('metrics');
    expect(code).toBe(0);
    for (const line of [
      '# TYPE deputy_requests_total counter',
      'deputy_requests_total{operation="set-memlock",verdict="allow"} 1',
      'deputy_requests_total{operation="set-memlock",verdict="Denied"} 1',
      'deputy_requests_total{operation="set-scheduler",verdict="allow"} 1',
      'deputy_decisions_total{plugin="as-asked",mode="enforce",verdict="allow"} 3',
      'deputy_decisions_total{plugin="as-asked",mode="enforce",verdict="deny"} 1',
      'deputy_request_seconds_count{operation="move-cgroup"} 1',
      'deputy_grants 0',
      'deputy_audit_failing 0',
    ]) {
      expect(out.split('\n')).toContain(line);
    }
  });

  it('audit show and verify read what the daemon has written', async () => {
    const shown = await ctl('audit', 'show', '--config', daemon.deployDirectory, '--verdict', 'Denied');
    expect(shown.out).toMatch(/ Denied set-memlock uid \d+ pid \d+ for pid \d+ in .*: memlock 1 GiB exceeds/);
    const verified = await ctl('audit', 'verify', '--config', daemon.deployDirectory);
    expect(verified).toMatchObject({ code: 0, err: '' });
    expect(verified.out).toMatch(/the daemon's own note is of record \d+\ngood\n$/);
  });

  it('monitor shows each record as it is written, until its reader leaves', async () => {
    const watcher = await Connection.open(daemon.adminSocket);
    const replies = watcher.stream('io.deputy.Admin.Monitor', { version: 1 });
    const first = replies.next();
    // The stream's first reply comes with the first record after it began.
    await ctl('status');
    await ctl('call', 'SetMemlock', `pid=${victim.pid}`, 'hardBytes=1GiB');
    const { value } = await first;
    expect(value).toMatchObject({ dropped: 0, record: { kind: 'request', verdict: 'Denied' } });
    await replies.return();
    expect((await settled('status')).out).toContain('0 connections');
  });

  it('monitor without more is refused by name', async () => {
    const operator = await Connection.open(daemon.adminSocket);
    await expect(operator.call('io.deputy.Admin.Monitor', { version: 1 })).rejects.toMatchObject({
      error: 'org.varlink.service.ExpectedMore',
    });
    await expect(operator.call('io.deputy.Admin.Status', { version: 2 })).rejects.toMatchObject({
      error: 'io.deputy.Admin.VersionMismatch',
      parameters: { requested: 2, supported: 1 },
    });
    // Neither interface is to be had on the other's socket.
    await expect(operator.call('io.deputy.Broker.Ping', { version: 1 })).rejects.toMatchObject({
      error: 'org.varlink.service.InterfaceNotFound',
    });
    operator.close();
    const client = await Connection.open(daemon.socket);
    await expect(client.call('io.deputy.Admin.Drain', { version: 1 })).rejects.toMatchObject({
      error: 'org.varlink.service.InterfaceNotFound',
    });
    client.close();
  });

  it('drain takes everything back and ends granting', async () => {
    await ctl('call', 'SetScheduler', `pid=${victim.pid}`, 'nice=7');
    expect(readScheduling(victim.pid).nice).toBe(7);
    expect(await settled('drain')).toEqual({ out: '1 change restored\n', err: '', code: 0 });
    expect(readScheduling(victim.pid).nice).toBe(0);
    expect(await settled('call', 'SetScheduler', 'pid=VICTIM', 'nice=7')).toEqual({
      out: '',
      err: 'deputyctl: Draining: the daemon is being drained and grants nothing new\n',
      code: 4,
    });
    expect((await settled('status')).out).toContain('up T');
    expect((await ctl('status')).out).toContain('DRAINING');
  });
});
