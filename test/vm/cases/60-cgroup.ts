/** Named groups below a scope: made, completed where half-built, and refused in words where the kernel says no. */
import assert from 'node:assert/strict';
import { symlinkSync } from 'node:fs';
import { listThreads, readCgroup } from '../../../host-api/kernel/proc.ts';
import { readAffinity } from '../../../host-api/kernel/sched.ts';
import { cgroups, makeCgroup } from '../guest/cgroups.ts';
import { check } from '../guest/check.ts';
import { Client } from '../guest/client.ts';
import { startMachine } from '../guest/machine.ts';

const type = (path: string): string => cgroups.read(path, 'cgroup.type');

check('a process moves whole, into a group that is made for it, and finds back', async () => {
  const client = await Client.start();
  const { pid } = await startMachine({ cgroup: client.cgroup, vcpus: 3 });
  const group = `${client.cgroup}/housekeeping`;
  assert.equal(cgroups.exists(group), false);
  for (let n = 0; n < 2; n++) {
    const { outcome } = await client.ask('MoveCgroup', { target: { pid }, group: 'housekeeping' });
    assert.deepEqual(outcome.cgroup, [{ pid, before: n === 0 ? client.cgroup : group, after: group }]);
    for (const tid of listThreads(pid)) assert.equal(readCgroup(tid, pid), group);
  }
  await client.ask('Release', { target: { pid } });
  for (const tid of listThreads(pid)) assert.equal(readCgroup(tid, pid), client.cgroup);
});

check(
  'a single thread moves into a threaded group, the others stay; CPUs are those of the group',
  async () => {
    makeCgroup('/deputy-test');
    cgroups.write('/deputy-test', 'cgroup.subtree_control', '+cpuset');
    const client = await Client.start();
    const { pid, vcpus } = await startMachine({ cgroup: client.cgroup, vcpus: 2 });
    const [one = 0, two = 0] = vcpus;
    const group = `${client.cgroup}/deputy/pinned`;
    await client.ask('MoveCgroup', { target: { pid, onlyThreads: [one] }, group: 'pinned' });
    assert.deepEqual(
      [readCgroup(one, pid), readCgroup(two, pid), readCgroup(pid, pid)],
      [group, client.cgroup, client.cgroup],
    );
    assert.deepEqual(
      [type(client.cgroup), type(`${client.cgroup}/deputy`), type(group)],
      ['domain threaded', 'threaded', 'threaded'],
    );
    assert.equal(cgroups.read(group, 'cpuset.cpus'), '0');
    assert.deepEqual([readAffinity(one), readAffinity(two)], [[0], [0, 1]]);
    await client.ask('Release', { target: { pid } });
    assert.equal(readCgroup(one, pid), client.cgroup);
    assert.deepEqual(readAffinity(one), [0, 1]);
  },
);

check('a group that is half-built is completed', async () => {
  makeCgroup('/deputy-test');
  cgroups.write('/deputy-test', 'cgroup.subtree_control', '+cpuset');
  const client = await Client.start();
  // A crash after the first directory: there, of the wrong type, without its child and its controller.
  cgroups.create(client.cgroup, 'deputy');
  assert.equal(type(`${client.cgroup}/deputy`), 'domain');
  await client.ask('MoveCgroup', { target: { onlyThreads: [client.pid] }, group: 'pinned' });
  const group = `${client.cgroup}/deputy/pinned`;
  assert.equal(readCgroup(client.pid), group);
  assert.equal(cgroups.read(group, 'cpuset.cpus.effective'), '0');
  // Somebody has taken the CPUs away since: put right, or refused, and never only believed.
  cgroups.write(group, 'cpuset.cpus', '1');
  await client.ask('MoveCgroup', { target: { onlyThreads: [client.pid] }, group: 'pinned' });
  assert.equal(cgroups.read(group, 'cpuset.cpus'), '0');
});

interface Case {
  readonly what: string;
  readonly group: string;
  /** Before the request, in the scope's cgroup. */
  readonly prepare?: (scope: string) => void;
  readonly thread?: boolean;
  readonly message: RegExp;
}

const REFUSED: readonly Case[] = [
  {
    what: 'a group that must be there and is not',
    group: 'absent',
    message: /cgroup \S+\/absent does not exist, and group absent says create = false/,
  },
  {
    what: 'CPUs that the host does not have',
    group: 'empty',
    prepare: () => cgroups.write('/deputy-test', 'cgroup.subtree_control', '+cpuset'),
    message: /can't set cpuset\.cpus of \S+ to 7: not all of them exist on this host \(ERANGE\)/,
  },
  {
    what: 'a cpuset that the scope was not given',
    group: 'pinned',
    prepare: () => cgroups.write('/deputy-test', 'cgroup.subtree_control', '-cpuset'),
    message: /has no cpuset controller, which group pinned needs: enable it in the parent/,
  },
  {
    what: 'a single thread in a group of whole processes',
    group: 'housekeeping',
    thread: true,
    message: /the thread and the cgroup are not in one threaded domain/,
  },
];

for (const { what, group, prepare, thread, message } of REFUSED) {
  check(`refused in words, and nothing moves: ${what}`, async () => {
    makeCgroup('/deputy-test');
    const client = await Client.start();
    prepare?.(client.cgroup);
    const target = thread === true ? { target: { onlyThreads: [client.pid] } } : {};
    const refused = await client.refused('MoveCgroup', { ...target, group });
    assert.equal(refused.code, 'EffectFailed');
    assert.match(refused.message, message);
    assert.equal(readCgroup(client.pid), client.cgroup);
  });
}

check('a group that hands controllers to its children takes no process', async () => {
  makeCgroup('/deputy-test');
  cgroups.write('/deputy-test', 'cgroup.subtree_control', '+memory');
  // A scope without processes of its own, as systemd keeps them: the client lies one below.
  const scope = makeCgroup('/deputy-test/managed');
  cgroups.write(scope, 'cgroup.subtree_control', '+memory');
  const group = makeCgroup(`${scope}/housekeeping`);
  makeCgroup(`${group}/child`);
  cgroups.write(group, 'cgroup.subtree_control', '+memory');
  const client = await Client.start({ cgroup: `${scope}/app` });
  const { code, message } = await client.refused('MoveCgroup', { group: 'housekeeping' });
  assert.equal(code, 'EffectFailed');
  assert.match(message, /"no internal processes"/);
  assert.equal(readCgroup(client.pid), `${scope}/app`);
});

check('a name that deputy.toml does not define moves nothing, whatever it looks like', async () => {
  const client = await Client.start();
  makeCgroup('/deputy-elsewhere');
  symlinkSync('/sys/fs/cgroup/deputy-elsewhere', '/run/elsewhere');
  for (const group of [
    'kitchen',
    '../deputy-elsewhere',
    '/deputy-elsewhere',
    '/run/elsewhere',
    '',
    '.',
    'housekeeping/..',
  ]) {
    const { code } = await client.refused('MoveCgroup', { group });
    assert.match(code, /^(Denied|InvalidRequest)$/, group);
  }
  assert.equal(readCgroup(client.pid), client.cgroup);
});
