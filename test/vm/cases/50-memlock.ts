/** RLIMIT_MEMLOCK, by a daemon that has CAP_SYS_RESOURCE, for a process of another uid. */
import assert from 'node:assert/strict';
import { cgroups, makeCgroup } from '../guest/cgroups.ts';
import { check } from '../guest/check.ts';
import { Client } from '../guest/client.ts';

const MIB = 2 ** 20;
const UNLIMITED = -1;

check('soft and hard are raised and lowered as asked, and both told', async () => {
  const client = await Client.start();
  const before = await client.does<number[]>('memlock');
  const both = (value: number | undefined) => ({ bytes: value });
  const first = await client.ask('SetMemlock', { softBytes: 32 * MIB, hardBytes: 64 * MIB });
  assert.deepEqual(first.outcome.memlock, [
    {
      pid: client.pid,
      before: { soft: both(before[0]), hard: both(before[1]) },
      after: { soft: both(32 * MIB), hard: both(64 * MIB) },
    },
  ]);
  assert.deepEqual(await client.does('memlock'), [32 * MIB, 64 * MIB]);
  await client.ask('SetMemlock', { hardBytes: MIB });
  assert.deepEqual(await client.does('memlock'), [MIB, MIB]);
});

check('already sufficient is success, without a change, where at least is asked', async () => {
  const client = await Client.start();
  await client.ask('SetMemlock', { hardBytes: 64 * MIB });
  const { outcome } = await client.ask('SetMemlock', { hardBytes: 2 * MIB, atLeast: true });
  assert.deepEqual(outcome.memlock[0]?.after, outcome.memlock[0]?.before);
  assert.deepEqual(await client.does('memlock'), [64 * MIB, 64 * MIB]);
  // Each of the two on its own.
  await client.ask('SetMemlock', { softBytes: MIB, hardBytes: 64 * MIB });
  await client.ask('SetMemlock', { softBytes: 8 * MIB, hardBytes: 16 * MIB, atLeast: true });
  assert.deepEqual(await client.does('memlock'), [8 * MIB, 64 * MIB]);
});

check('unlimited needs its own permission, and has it here', async () => {
  const client = await Client.start();
  const { outcome } = await client.ask('SetMemlock', { unlimited: true });
  assert.deepEqual(outcome.memlock[0]?.after, { soft: { unlimited: true }, hard: { unlimited: true } });
  assert.deepEqual(await client.does('memlock'), [UNLIMITED, UNLIMITED]);
});

check(
  'beyond the ceiling is refused, with what was asked, what is allowed, and where that stands',
  async () => {
    const client = await Client.start();
    const before = await client.does('memlock');
    const { code, message } = await client.refused('SetMemlock', { hardBytes: 9 * 1024 * MIB });
    assert.equal(code, 'Denied');
    assert.match(message, /memlock 9 GiB exceeds the ceiling of 8 GiB set by .*as-asked\.toml:\d+/);
    assert.deepEqual(await client.does('memlock'), before);
  },
);

check('locks memory that could not be locked before', async () => {
  const client = await Client.start();
  await client.ask('SetMemlock', { hardBytes: MIB });
  await assert.rejects(client.does('lock', 8 * MIB), /ENOMEM|Cannot allocate memory/);
  await client.ask('SetMemlock', { hardBytes: 16 * MIB });
  await client.does('lock', 8 * MIB);
});

check(
  "the scope's memory limit is a fact: the lowest on the way up, and none where none is set",
  async () => {
    const pod = makeCgroup('/kubepods.slice/kubepods-pod33333333_aaaa_bbbb_cccc_000000000003.slice');
    cgroups.write('/kubepods.slice', 'cgroup.subtree_control', '+memory');
    cgroups.write(pod, 'cgroup.subtree_control', '+memory');
    const client = await Client.start({ cgroup: `${pod}/cri-containerd-${'3'.repeat(64)}.scope` });
    const limit = async (): Promise<unknown> => {
      await client.ask('SetMemlock', { hardBytes: MIB });
      const { facts } = client.deputyd.audit().at(-1) as { facts: { target: { memoryLimit?: number } } };
      return facts.target.memoryLimit;
    };
    assert.equal(await limit(), undefined);
    cgroups.write(pod, 'memory.max', String(512 * MIB));
    assert.equal(await limit(), 512 * MIB);
    cgroups.write(client.cgroup, 'memory.max', String(128 * MIB));
    assert.equal(await limit(), 128 * MIB);
    cgroups.write(pod, 'memory.max', String(96 * MIB));
    assert.equal(await limit(), 96 * MIB);
  },
);
