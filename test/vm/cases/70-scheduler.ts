/** Policy, priority, nice and CPUs, by a daemon that has CAP_SYS_NICE, for a process of another uid. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { readStat } from '../../../host-api/kernel/proc.ts';
import { readAffinity, readScheduling } from '../../../host-api/kernel/sched.ts';
import { cgroups, makeCgroup } from '../guest/cgroups.ts';
import { check } from '../guest/check.ts';
import { Client } from '../guest/client.ts';

check('every policy that can be set is set, and reads back', async () => {
  const client = await Client.start();
  await assert.rejects(client.does('set_fifo', 1), /not permitted/);
  const wanted = [
    { policy: 'fifo', priority: 40 },
    { policy: 'rr', priority: 1 },
    { policy: 'batch', nice: 5 },
    { policy: 'idle' },
    { policy: 'other', nice: -20 },
  ] as const;
  for (const change of wanted) {
    const { outcome } = await client.ask('SetScheduler', change);
    const now = readScheduling(client.pid);
    assert.equal(now.policy, change.policy);
    if ('priority' in change) assert.equal(now.priority, change.priority);
    if ('nice' in change) assert.equal(now.nice, change.nice);
    assert.deepEqual(outcome.scheduling[0]?.after, now);
  }
});

check('a thread that was made nice becomes realtime, and finds back to its nice value', async () => {
  const client = await Client.start();
  await client.does('nice', 5);
  await client.ask('SetScheduler', { policy: 'fifo', priority: 2 });
  assert.deepEqual(readScheduling(client.pid), { policy: 'fifo', priority: 2, nice: 0, resetOnFork: true });
  await client.ask('Release', {});
  assert.deepEqual(readScheduling(client.pid), { policy: 'other', priority: 0, nice: 5, resetOnFork: false });
});

check('a nice value is refused where it has no meaning', async () => {
  const client = await Client.start();
  await client.ask('SetScheduler', { policy: 'fifo', priority: 2 });
  const { code, message } = await client.refused('SetScheduler', { nice: -3 });
  assert.equal(code, 'EffectFailed');
  assert.match(message, /nice -3 has no meaning under fifo.*nothing was changed/);
});

check('a grant ends with its thread: children start as ordinary ones', async () => {
  const client = await Client.start();
  for (const change of [
    { policy: 'fifo', priority: 7 },
    { policy: 'other', nice: -10 },
  ] as const) {
    await client.ask('SetScheduler', change);
    assert.equal(readScheduling(client.pid).resetOnFork, true);
    const child = await client.startSleeper();
    assert.deepEqual(readScheduling(child), { policy: 'other', priority: 0, nice: 0, resetOnFork: false });
    const [thread = 0] = await client.does<number[]>('threads', 1);
    assert.equal(readScheduling(thread).policy, 'other');
  }
});

check('a priority over the ceiling is refused, and the thread is as before', async () => {
  const client = await Client.start();
  const { code, message } = await client.refused('SetScheduler', { policy: 'fifo', priority: 41 });
  assert.equal(code, 'Denied');
  assert.match(message, /priority 41 exceeds the ceiling of 40 set by .*as-asked\.toml:\d+/);
  assert.equal(readScheduling(client.pid).policy, 'other');
});

check('CPUs outside the cpuset are told as such, not as a lack of permission', async () => {
  const cgroup = makeCgroup('/deputy-test/one-cpu');
  cgroups.write('/deputy-test', 'cgroup.subtree_control', '+cpuset');
  cgroups.write(cgroup, 'cpuset.cpus', '0');
  const client = await Client.start({ cgroup });
  assert.deepEqual(readAffinity(client.pid), [0]);
  const none = await client.refused('SetScheduler', { cpus: [1] });
  assert.equal(none.code, 'EffectFailed');
  assert.equal(none.detail['errno'], 'EINVAL');
  assert.match(none.message, /thread \d+ to CPUs 1: none of them is in its cpuset/);
  const some = await client.refused('SetScheduler', { cpus: [0, 1] });
  assert.equal(some.detail['errno'], 'EINVAL');
  assert.match(some.message, /to CPUs 0-1: its cpuset leaves only 0/);
  assert.deepEqual(readAffinity(client.pid), [0]);
  const { outcome } = await client.ask('SetScheduler', { cpus: [0] });
  assert.deepEqual(outcome.affinity[0]?.after, [0]);
});

check('what contradicts itself is refused before any plugin', async () => {
  const client = await Client.start();
  for (const change of [
    { policy: 'fifo' },
    { policy: 'other', priority: 1 },
    { policy: 'rr', priority: 1, nice: 0 },
    { policy: 'deadline' },
    { nice: 20 },
    { cpus: [] },
    {},
  ]) {
    assert.equal(
      (await client.refused('SetScheduler', change)).code,
      'InvalidRequest',
      JSON.stringify(change),
    );
  }
});

check('a process of many is changed alone', async () => {
  const client = await Client.start();
  const others = [await client.startSleeper(), await client.startSleeper()];
  await client.ask('SetScheduler', { target: { pid: others[0] ?? 0 }, policy: 'fifo', priority: 2 });
  const all = readdirSync('/proc')
    .map(Number)
    .filter((pid) => pid > 0 && readStat(pid)?.parentPid === client.pid);
  const realtime = all.filter((pid) => readScheduling(pid).policy === 'fifo');
  assert.deepEqual(realtime, [others[0]]);
});
