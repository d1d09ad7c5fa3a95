/** What is granted is known and can be taken back: leases, release, drain, restarts, and disks that are full. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Connection } from '../../../client/connection.ts';
import { readMemlockShown } from '../../../host-api/kernel/proc.ts';
import { readScheduling } from '../../../host-api/kernel/sched.ts';
import { bytes } from '../../../host-api/limit.ts';
import { verifyAudit } from '../../../runtime/audit/verify.ts';
import { after, check } from '../guest/check.ts';
import { Client } from '../guest/client.ts';
import { Deputyd } from '../guest/deputyd.ts';

const GIB = 2 ** 30;

type About = { readonly pid: number };

const hard = (pid: number): bigint => {
  const limit = readMemlockShown(pid)?.hard;
  return limit?.tag === 'bytes' ? limit.val : -1n;
};

async function admin<T>(deputyd: Deputyd, method: string): Promise<T> {
  const connection = await Connection.open(deputyd.adminSocket);
  try {
    return (await connection.call(`io.deputy.Admin.${method}`, { version: 1 })) as T;
  } finally {
    connection.close();
  }
}

async function eventually(what: string, holds: () => boolean): Promise<void> {
  for (let n = 0; n < 100; n++) {
    if (holds()) return;
    await sleep(50);
  }
  assert.fail(`${what}: not within 5 s`);
}

async function startDaemon(options: Parameters<typeof Deputyd.start>[0] = {}): Promise<Deputyd> {
  const deputyd = await Deputyd.start(options);
  after(async () => void (await deputyd.end('SIGKILL')));
  return deputyd;
}

check('a lease ends with its connection, and takes back what it was granted alone', async () => {
  const leasing = await Client.start({ cgroup: '/deputy-test/shared' });
  const lasting = await Client.start({ cgroup: '/deputy-test/shared' });
  const pid = await lasting.startSleeper();
  const before = hard(pid);
  await lasting.ask('SetMemlock', { target: { pid }, hardBytes: GIB });
  await leasing.ask('SetMemlock', { target: { pid }, hardBytes: 2 * GIB, lease: true });
  await leasing.ask('SetScheduler', { target: { pid }, policy: 'fifo', priority: 3, lease: true });
  assert.equal(hard(pid), BigInt(2 * GIB));
  leasing.puppet.kill();
  // Latest first: the limit is the last of it.
  await eventually('the lease is taken back', () => hard(pid) === BigInt(GIB));
  assert.equal(readScheduling(pid).policy, 'other');
  const { restored } = (await lasting.ask('Release', { target: { pid } })) as { restored: number };
  assert.equal(restored, 1);
  assert.equal(hard(pid), before);
});

check(
  'a restart keeps what was granted for good and takes back the leases; drain takes back all, and grants nothing more; SIGTERM ends it in order',
  async () => {
    const killed = await startDaemon();
    const client = await Client.start({ deputyd: killed });
    const [kept, leased] = [await client.startSleeper(), await client.startSleeper()];
    const before = hard(leased);
    await client.ask('SetMemlock', { target: { pid: kept }, hardBytes: GIB });
    await client.ask('SetScheduler', { target: { pid: kept }, policy: 'rr', priority: 1 });
    await client.ask('SetMemlock', { target: { pid: leased }, hardBytes: GIB, lease: true });
    await killed.end('SIGKILL');
    assert.equal(hard(leased), BigInt(GIB));

    const deputyd = await startDaemon({ directory: killed.directory });
    assert.equal(hard(leased), before);
    assert.equal(hard(kept), BigInt(GIB));
    assert.equal(readScheduling(kept).policy, 'rr');
    const { grants } = await admin<{ grants: { memlock?: About; scheduling?: About }[] }>(deputyd, 'Ledger');
    assert.deepEqual(
      grants.map(({ memlock, scheduling }) => [memlock?.pid, scheduling?.pid]),
      [
        [kept, undefined],
        [undefined, kept],
      ],
    );

    await admin(deputyd, 'Drain');
    assert.equal(hard(kept), before);
    assert.equal(readScheduling(kept).policy, 'other');
    await client.does('connect', deputyd.socket);
    assert.equal((await client.refused('SetMemlock', { hardBytes: GIB })).code, 'Draining');

    assert.equal(await deputyd.end('SIGTERM'), 0);
    const kinds = deputyd.audit().map(({ kind }) => kind);
    assert.deepEqual(
      kinds.filter((kind) => kind === 'start' || kind === 'stop'),
      ['start', 'start', 'stop'],
    );
    assert.deepEqual((await verifyAudit([deputyd.auditFile])).faults, []);
  },
);

/** A file system of a mebibyte, in memory. */
function smallDisk(): string {
  const directory = mkdtempSync('/run/deputy-small-');
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'small', directory]);
  after(() => void execFileSync('umount', ['-l', directory]));
  return directory;
}

function fill(directory: string): string {
  const filler = join(directory, 'filler');
  const { bavail, bsize } = statfsSync(directory);
  writeFileSync(filler, Buffer.alloc(bavail * bsize));
  return filler;
}

check('a full disk means a refusal, and no change', async () => {
  const directory = smallDisk();
  const deputyd = await startDaemon({ directory });
  const client = await Client.start({ deputyd });
  const before = readMemlockShown(client.pid);
  const filler = fill(directory);
  // What is left of the last page of each file takes a few records yet.
  let refused: { error?: string; parameters: { message?: string } } | undefined;
  for (let n = 0; n < 100 && refused?.error === undefined; n++) {
    refused = await client.does('ask', 'io.deputy.Broker.SetScheduler', { version: 1, nice: n % 2 });
  }
  assert.match(`${refused?.error}`, /\.(AuditUnavailable|LedgerUnavailable)$/);
  assert.match(`${refused?.parameters.message}`, /can't be written \(ENOSPC/);
  const nice = readScheduling(client.pid).nice;
  const { code } = await client.refused('SetMemlock', { hardBytes: GIB });
  assert.match(code, /^(AuditUnavailable|LedgerUnavailable)$/);
  assert.deepEqual(readMemlockShown(client.pid), before);
  assert.equal(readScheduling(client.pid).nice, nice);
  rmSync(filler);
  await client.ask('SetMemlock', { hardBytes: GIB });
  assert.deepEqual(readMemlockShown(client.pid)?.hard, bytes(BigInt(GIB)));
  assert.deepEqual((await verifyAudit([deputyd.auditFile])).faults, []);
});

check(
  'where it may go on without an audit, a full disk stops nothing, and what was not recorded is counted',
  async () => {
    const auditDirectory = smallDisk();
    const deputyd = await startDaemon({ auditDirectory, onFailure: 'continue' });
    const client = await Client.start({ deputyd });
    const filler = fill(auditDirectory);
    const failing = (): boolean =>
      deputyd.log.some((line) => line.includes('granted without an audit record'));
    let granted = 0;
    for (; granted < 100 && !failing(); granted++) await client.ask('SetScheduler', { nice: granted % 2 });
    assert.ok(failing(), 'the disk was never full');
    assert.equal(readScheduling(client.pid).nice, (granted - 1) % 2);
    rmSync(filler);
    await client.ask('SetMemlock', { hardBytes: GIB });
    assert.equal(hard(client.pid), BigInt(GIB));
    const records = deputyd.audit();
    const lost = records.find(({ kind }) => kind === 'lost')?.['records'];
    assert.equal(Number(lost) + records.filter(({ kind }) => kind === 'request').length, granted + 1);
    assert.deepEqual((await verifyAudit([deputyd.auditFile])).faults, []);
  },
);
