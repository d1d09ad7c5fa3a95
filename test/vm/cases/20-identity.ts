/** Who a client is: what the kernel said when it connected, and as long as that is still true. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readMemlockShown, readStat } from '../../../host-api/kernel/proc.ts';
import { until } from '../guest/cgroups.ts';
import { check } from '../guest/check.ts';
import { Client } from '../guest/client.ts';

const MIB = 2 ** 20;

/** A socket of `from`, in the hands of `to`. */
async function passOn(from: Client, to: Client): Promise<void> {
  const path = join('/tmp', `carrier-${from.pid}`);
  to.puppet.tell('take_over', path);
  await to.puppet.answer();
  await from.does('pass_on', path);
  await to.puppet.answer();
}

/** Waits for `pid` to be free, and gives it to the next process that is started. */
async function reusePid(pid: number, start: () => Promise<number>): Promise<number> {
  await until(() => readStat(pid) === undefined, `the end of pid ${pid}`);
  for (let attempt = 0; attempt < 20; attempt++) {
    writeFileSync('/proc/sys/kernel/ns_last_pid', String(pid - 1));
    const got = await start();
    if (got === pid) return got;
  }
  throw new Error(`pid ${pid} could not be had again`);
}

check('is what the kernel says, whatever the call claims', async () => {
  const client = await Client.start();
  const { code } = await client.refused('SetMemlock', { hardBytes: MIB, uid: 0, pid: 1 });
  assert.equal(code, 'InvalidParameter');
  await client.does('rename', 'libvirtd');
  await client.ask('SetMemlock', { hardBytes: MIB });
  const { peer, scope } = client.deputyd.audit().at(-1) as {
    peer: { uid: number; pid: number };
    scope: { path: string };
  };
  assert.deepEqual([peer.uid, peer.pid, scope.path], [1000, client.pid, client.cgroup]);
});

check('ends with the client, even where another still holds its socket', async () => {
  const [owner, holder] = [await Client.start(), await Client.start()];
  await passOn(owner, holder);
  await holder.ask('SetMemlock', { hardBytes: MIB });
  assert.equal(readMemlockShown(owner.pid)?.hard.tag, 'bytes');
  await owner.puppet.kill();
  assert.equal((await holder.refused('SetMemlock', { hardBytes: MIB })).code, 'PeerGone');
});

check("is not handed on with the client's pid", async () => {
  const [owner, holder, parent] = [await Client.start(), await Client.start(), await Client.start()];
  await passOn(owner, holder);
  await owner.puppet.kill();
  const heir = await reusePid(owner.pid, () => parent.startSleeper());
  const before = readMemlockShown(heir);
  for (const parameters of [{ hardBytes: MIB }, { hardBytes: MIB, target: { pid: heir } }]) {
    assert.equal((await holder.refused('SetMemlock', parameters)).code, 'PeerGone');
  }
  assert.deepEqual(readMemlockShown(heir), before);
});

check('stays through an exec', async () => {
  const client = await Client.start();
  client.puppet.tell('exec');
  await client.puppet.answer();
  const { outcome } = await client.ask('SetMemlock', { hardBytes: MIB });
  assert.equal(outcome.memlock[0]?.pid, client.pid);
});

check('is its parent for a child that inherited the socket', async () => {
  const client = await Client.start();
  const child = await client.does<number>('fork');
  // Without a target the call is about who connected, not about who speaks.
  const { outcome } = await client.ask('SetMemlock', { hardBytes: MIB });
  assert.equal(outcome.memlock[0]?.pid, client.pid);
  const named = await client.ask('SetMemlock', { hardBytes: MIB, target: { pid: child } });
  assert.equal(named.outcome.memlock[0]?.pid, child);
});

check('ends when the client changes its uid, and begins anew with a new connection', async () => {
  const client = await Client.start({ uid: 0 });
  await client.ask('SetMemlock', { hardBytes: MIB });
  await client.does('seteuid', 1001);
  const { code, message } = await client.refused('SetMemlock', { hardBytes: MIB });
  assert.equal(code, 'PeerGone');
  assert.match(message, /connected as uid 0 gid 0 and is now uid 1001 gid 0: connect again/);
  await client.does('disconnect');
  await client.does('connect', client.deputyd.socket);
  await client.ask('SetMemlock', { hardBytes: MIB });
  const { peer } = client.deputyd.audit().at(-1) as { peer: { uid: number } };
  assert.equal(peer.uid, 1001);
});

check('of a target is its start time: a pid that means another by now is refused', async () => {
  const client = await Client.start();
  const pid = await client.startSleeper();
  const startTimeTicks = Number(readStat(pid)?.startTimeTicks);
  await client.ask('SetMemlock', { hardBytes: MIB, target: { pid, startTimeTicks } });
  await client.does('reap', pid);
  // Start times have a resolution of 10 ms.
  await new Promise((resolve) => setTimeout(resolve, 20));
  const heir = await reusePid(pid, () => client.startSleeper());
  const before = readMemlockShown(heir);
  const { code, message } = await client.refused('SetMemlock', {
    hardBytes: 2 * MIB,
    target: { pid, startTimeTicks },
  });
  assert.equal(code, 'NoSuchTarget');
  assert.match(message, /it is another process by now/);
  assert.deepEqual(readMemlockShown(heir), before);
});

check('of a client one pid namespace down is its pid there, in calls', async () => {
  const client = await Client.start({ wrapper: ['unshare', '--pid', '--fork', '--kill-child'] });
  assert.equal(await client.does('pid'), 1);
  assert.notEqual(client.pid, 1);
  const { outcome } = await client.ask('SetMemlock', { hardBytes: MIB, target: { pid: 1 } });
  assert.equal(outcome.memlock.length, 1);
  assert.deepEqual(await client.does('memlock'), [MIB, MIB]);
});
