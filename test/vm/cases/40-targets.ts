/** What a request is about: a process, some of its threads, or all but these, in one call. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { listThreads, readStatus } from '../../../host-api/kernel/proc.ts';
import { readAffinity, readScheduling } from '../../../host-api/kernel/sched.ts';
import { cgroups, makeCgroup } from '../guest/cgroups.ts';
import { check } from '../guest/check.ts';
import { Client, NEW_PID_NAMESPACE } from '../guest/client.ts';
import { startMachine, threadsByCgroup } from '../guest/machine.ts';

const MIB = 2 ** 20;

check('are these threads, all but these, or all', async () => {
  const client = await Client.start();
  const { pid, vcpus } = await startMachine({ cgroup: client.cgroup, vcpus: 3 });
  const [one = 0, two = 0, three = 0] = vcpus;
  const policies = (): string[] => listThreads(pid).map((tid) => readScheduling(tid).policy);
  assert.deepEqual(policies(), ['other', 'other', 'other', 'other']);
  const only = await client.ask('SetScheduler', {
    target: { pid, onlyThreads: [one, two] },
    policy: 'batch',
  });
  assert.deepEqual(policies(), ['other', 'batch', 'batch', 'other']);
  assert.deepEqual(
    only.outcome.scheduling.map(({ tid }) => tid),
    [one, two],
  );
  await client.ask('SetScheduler', { target: { pid, exceptThreads: [three] }, policy: 'idle' });
  assert.deepEqual(policies(), ['idle', 'idle', 'idle', 'other']);
  await client.ask('SetScheduler', { target: { pid }, policy: 'fifo', priority: 3 });
  assert.deepEqual(policies(), ['fifo', 'fifo', 'fifo', 'fifo']);
});

check('are all but the vCPUs in one call, while threads are born and die', async () => {
  const client = await Client.start();
  const { pid, vcpus } = await startMachine({ cgroup: client.cgroup, vcpus: 4, spawners: 2 });
  // Another whose threads come and go in the same cgroup, and stay there.
  const other = await startMachine({ cgroup: client.cgroup, vcpus: 1, spawners: 2 });
  const seen = new Set(listThreads(pid));
  const { outcome } = await client.ask('MoveCgroup', {
    target: { pid, exceptThreads: vcpus },
    group: 'threads',
  });
  assert.ok(outcome.cgroup.length >= 3, 'the first thread and two spawners at least');
  // Whatever is born from now on is born in the group, since its maker lies there.
  for (let n = 0; n < 20; n++) {
    const places = threadsByCgroup(pid);
    assert.deepEqual(places.get(client.cgroup), vcpus);
    assert.deepEqual([...threadsByCgroup(other.pid).keys()], [client.cgroup]);
    for (const cgroup of places.keys()) {
      assert.ok([client.cgroup, `${client.cgroup}/threads`].includes(cgroup), cgroup);
    }
    await sleep(20);
  }
  const born = listThreads(pid).filter((tid) => !seen.has(tid));
  assert.ok(born.length > 0, 'no thread was born, so nothing was shown');
});

/** Threads may outrun the daemon where the machine is busy: it says so, and the client asks again. */
async function ofThree<T>(run: () => Promise<T>): Promise<T> {
  for (let n = 1; ; n++) {
    try {
      return await run();
    } catch (error) {
      if (n === 3 || !/born faster than handled: try again/.test(String(error))) throw error;
    }
  }
}

check('are all but the vCPUs, by turns with other groups, a dozen times', async () => {
  makeCgroup('/deputy-test');
  cgroups.write('/deputy-test', 'cgroup.subtree_control', '+cpuset');
  const client = await Client.start();
  const { pid, vcpus } = await startMachine({ cgroup: client.cgroup, vcpus: 2, spawners: 2 });
  for (let n = 0; n < 12; n++) {
    const group = n % 2 === 0 ? 'threads' : 'pinned';
    await ofThree(() => client.ask('MoveCgroup', { target: { pid, exceptThreads: vcpus }, group }));
    const path = `${client.cgroup}/${group === 'threads' ? 'threads' : 'deputy/pinned'}`;
    assert.deepEqual([...threadsByCgroup(pid).keys()].sort(), [client.cgroup, path].sort());
  }
});

check(
  'are all but the vCPUs or none: threads that outrun every move are told, and nothing is left half done',
  async () => {
    const client = await Client.start();
    const { pid, vcpus } = await startMachine({ cgroup: client.cgroup, vcpus: 2, spawners: 2, chainMs: 1 });
    const target = { pid, exceptThreads: vcpus };
    for (let n = 0; n < 2; n++) {
      const reply = await client.does<{ error?: string; parameters: { message?: string } }>(
        'ask',
        'io.deputy.Broker.MoveCgroup',
        { version: 1, target, group: 'threads' },
      );
      const places = threadsByCgroup(pid);
      if (reply.error === undefined) {
        assert.deepEqual(places.get(client.cgroup), vcpus);
        return;
      }
      assert.equal(reply.error, 'io.deputy.Broker.EffectFailed');
      assert.match(reply.parameters.message ?? '', /born faster than handled.*has been undone/);
      assert.deepEqual([...places.keys()], [client.cgroup]);
    }
  },
);

check('are all but the vCPUs for CPUs too, which children inherit', async () => {
  const client = await Client.start();
  const { pid, vcpus } = await startMachine({ cgroup: client.cgroup, vcpus: 2, spawners: 2 });
  await client.ask('SetScheduler', { target: { pid, exceptThreads: vcpus }, cpus: [1] });
  for (const tid of listThreads(pid)) {
    try {
      assert.deepEqual(readAffinity(tid), vcpus.includes(tid) ? [0, 1] : [1]);
    } catch (error) {
      if ((error as { code?: string }).code !== 'ESRCH') throw error;
    }
  }
});

check('are no threads of another process, be it in scope', async () => {
  const client = await Client.start();
  const [mine, other] = [
    await startMachine({ cgroup: client.cgroup, vcpus: 2 }),
    await startMachine({ cgroup: client.cgroup, vcpus: 2 }),
  ];
  const { code } = await client.refused('SetScheduler', {
    target: { pid: mine.pid, onlyThreads: other.vcpus },
    policy: 'fifo',
    priority: 1,
  });
  assert.equal(code, 'NoSuchTarget');
  const mixed = await client.ask('SetScheduler', {
    target: { pid: mine.pid, onlyThreads: [...mine.vcpus, ...other.vcpus] },
    policy: 'batch',
  });
  assert.deepEqual(mixed.outcome.vanished, other.vcpus);
  assert.deepEqual(
    other.vcpus.map((tid) => readScheduling(tid).policy),
    ['other', 'other'],
  );
  // A thread's id is no process's.
  const refusal = await client.refused('SetMemlock', { target: { pid: mine.vcpus[0] }, hardBytes: MIB });
  assert.equal(refusal.code, 'TargetNotInScope');
});

check("are named in the client's numbers, its threads too", async () => {
  const cgroup = makeCgroup('/deputy-test/nested');
  // So that the two numberings are not a fixed distance apart.
  const stranger = await startMachine({ cgroup, vcpus: 1, spawners: 1 });
  const client = await Client.start({ cgroup, wrapper: NEW_PID_NAMESPACE });
  const tids = await client.does<number[]>('threads', 3);
  const [one = 0, two = 0] = tids;
  assert.ok(tids.every((tid) => tid < 50));
  const { outcome } = await client.ask('SetScheduler', {
    target: { onlyThreads: [one, two] },
    policy: 'batch',
  });
  const changed = listThreads(client.pid).filter((tid) => readScheduling(tid).policy === 'batch');
  assert.deepEqual(
    changed.map((tid) => readStatus(tid, client.pid)?.namespacePids.at(-1)),
    [one, two],
  );
  assert.equal(outcome.scheduling.length, 2);
  // The host's number of its own thread is none that it knows.
  const { code } = await client.refused('SetScheduler', {
    target: { onlyThreads: changed },
    policy: 'other',
  });
  assert.equal(code, 'NoSuchTarget');
  const alien = await client.refused('SetScheduler', { target: { pid: stranger.pid }, policy: 'batch' });
  assert.equal(alien.code, 'TargetNotInScope');
});

check('may be a process that has not become its program yet', async () => {
  const client = await Client.start();
  // As libvirt's forked child does: asks for itself, before exec.
  await client.ask('SetMemlock', { hardBytes: 64 * MIB });
  await client.ask('SetScheduler', { policy: 'batch' });
  client.puppet.tell('exec');
  await client.puppet.answer();
  assert.deepEqual(await client.does('memlock'), [64 * MIB, 64 * MIB]);
  assert.equal(readScheduling(client.pid).policy, 'batch');
});

check('are bounded: more threads than can be named are refused at once', async () => {
  const client = await Client.start();
  const onlyThreads = Array.from({ length: 4097 }, (_, n) => n + 1);
  const { code, message } = await client.refused('SetScheduler', {
    target: { onlyThreads },
    policy: 'batch',
  });
  assert.equal(code, 'InvalidRequest');
  assert.match(message, /4097 elements, more than 4096/);
});
