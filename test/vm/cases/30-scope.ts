/** Where a client may act: in its own pod, unit or cgroup, and nowhere else. Real cgroups, laid out as on real hosts. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { readMemlockShown, readStat, readStatus } from '../../../host-api/kernel/proc.ts';
import { makeCgroup, moveTo } from '../guest/cgroups.ts';
import { check } from '../guest/check.ts';
import { Client, NEW_PID_NAMESPACE } from '../guest/client.ts';

const MIB = 2 ** 20;
const [POD_A, POD_B] = ['11111111_aaaa_bbbb_cccc_000000000001', '22222222_aaaa_bbbb_cccc_000000000002'];
const [ONE, TWO] = ['1'.repeat(64), '2'.repeat(64)];

/** The two cgroup drivers of the kubelet, and what they call a container. */
const DRIVERS: Readonly<Record<string, (pod: string, container: string) => string>> = {
  systemd: (pod, container) =>
    `/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${pod}.slice/cri-containerd-${container}.scope`,
  cgroupfs: (pod, container) => `/kubepods/burstable/pod${pod.replaceAll('_', '-')}/${container}`,
};

interface Recorded {
  readonly scope: { path: string; name: string; labels: { name: string; value: string }[] };
}

for (const [driver, path] of Object.entries(DRIVERS)) {
  check(`is the container, labelled by its pod (cgroup driver ${driver})`, async () => {
    const client = await Client.start({ cgroup: path(POD_A, ONE) });
    await client.ask('SetMemlock', { hardBytes: MIB });
    const { scope } = client.deputyd.audit().at(-1) as unknown as Recorded;
    assert.equal(scope.path, path(POD_A, ONE));
    assert.equal(scope.name, 'pod');
    const labels = Object.fromEntries(scope.labels.map(({ name, value }) => [name, value]));
    assert.equal(labels['pod']?.replaceAll('_', '-'), POD_A.replaceAll('_', '-'));
    assert.equal(labels['container'], ONE);
    assert.equal(labels['qos'], 'burstable');
  });

  check(`keeps two pods apart whose pids are the same (cgroup driver ${driver})`, async () => {
    const [a, b] = [
      await Client.start({ cgroup: path(POD_A, ONE), wrapper: NEW_PID_NAMESPACE }),
      await Client.start({ cgroup: path(POD_B, TWO), wrapper: NEW_PID_NAMESPACE }),
    ];
    const [inA, inB] = [await a.startSleeper(), await b.startSleeper()];
    assert.equal(inA, inB);
    const hostPids = [a, b].map((client) => childOf(client.pid));
    const asked = [3 * MIB, 5 * MIB];
    for (const [index, client] of [a, b].entries()) {
      await client.ask('SetMemlock', { hardBytes: asked[index] ?? 0, target: { pid: inA } });
    }
    const got = hostPids.map((pid) => readMemlockShown(pid)?.hard);
    assert.deepEqual(
      got,
      asked.map((val) => ({ tag: 'bytes', val: BigInt(val) })),
    );
    // Nor by the host's numbers, its own or the other's.
    for (const pid of [...hostPids, b.pid]) {
      const { code } = await a.refused('SetMemlock', { hardBytes: MIB, target: { pid } });
      assert.equal(code, 'TargetNotInScope');
    }
  });
}

check('has no process of another pod, in one pid namespace', async () => {
  const path = DRIVERS['systemd'] as (pod: string, container: string) => string;
  const [a, b] = [
    await Client.start({ cgroup: path(POD_A, ONE) }),
    await Client.start({ cgroup: path(POD_B, TWO) }),
  ];
  const pid = await b.startSleeper();
  const before = readMemlockShown(pid);
  for (const target of [pid, b.pid, 1, 4_000_000]) {
    const { code, message } = await a.refused('SetMemlock', { hardBytes: MIB, target: { pid: target } });
    assert.equal(code, 'TargetNotInScope');
    assert.equal(message, `pid ${target} is no process of scope ${a.cgroup}`);
  }
  assert.deepEqual(readMemlockShown(pid), before);
});

check('is a systemd unit, labelled by its name', async () => {
  const client = await Client.start({ cgroup: '/system.slice/libvirtd.service' });
  await client.ask('SetMemlock', { hardBytes: MIB });
  const { scope } = client.deputyd.audit().at(-1) as unknown as Recorded;
  assert.deepEqual(scope.labels, [{ name: 'unit', value: 'libvirtd' }]);
});

check("is the caller's own cgroup where no pattern matches", async () => {
  const client = await Client.start({ cgroup: '/anything/else' });
  await client.ask('SetMemlock', { hardBytes: MIB });
  const { scope } = client.deputyd.audit().at(-1) as unknown as Recorded;
  assert.deepEqual([scope.path, scope.name], ['/anything/else', '']);
});

check('is never the root', async () => {
  const client = await Client.start();
  const pid = await client.startSleeper();
  moveTo('/', client.pid);
  for (const parameters of [{ hardBytes: MIB }, { hardBytes: MIB, target: { pid } }]) {
    assert.equal((await client.refused('SetMemlock', parameters)).code, 'NoScope');
  }
});

check('goes with the client: moved elsewhere, it may act there, and no longer where it was', async () => {
  const client = await Client.start();
  const pid = await client.startSleeper();
  await client.ask('SetMemlock', { hardBytes: MIB, target: { pid } });
  moveTo(makeCgroup('/deputy-test/elsewhere'), client.pid);
  assert.equal(
    (await client.refused('SetMemlock', { hardBytes: MIB, target: { pid } })).code,
    'TargetNotInScope',
  );
});

check('has no zombies', async () => {
  const client = await Client.start();
  const pid = await client.does<number>('zombie');
  assert.equal(readStat(pid)?.state, 'Z');
  const { code } = await client.refused('SetMemlock', { hardBytes: MIB, target: { pid } });
  assert.equal(code, 'TargetNotInScope');
});

check('has no kernel threads, even where one lies in its cgroup', async () => {
  const client = await Client.start();
  const kernelThread = readdirSync('/proc')
    .map(Number)
    .find((pid) => pid > 2 && readStat(pid)?.commUntrusted === 'kswapd0');
  assert.ok(kernelThread);
  moveTo(client.cgroup, kernelThread);
  try {
    const calls: ['SetMemlock' | 'SetScheduler' | 'MoveCgroup', object][] = [
      ['SetMemlock', { hardBytes: MIB }],
      ['SetScheduler', { policy: 'fifo', priority: 1 }],
      ['MoveCgroup', { group: 'housekeeping' }],
    ];
    for (const [method, parameters] of calls) {
      const { code, message } = await client.refused(method, {
        ...parameters,
        target: { pid: kernelThread },
      });
      assert.equal(code, 'TargetNotAllowed');
      assert.match(message, /is a kernel thread/);
    }
  } finally {
    moveTo('/', kernelThread);
  }
});

check(
  'is asked for again right before an effect: a target that is moved out and in all the time',
  async () => {
    const client = await Client.start();
    const pid = await client.startSleeper();
    const outside = makeCgroup('/deputy-test/outside');
    const mover = await Client.start({ uid: 0 });
    mover.puppet.tell(
      'flip',
      pid,
      [outside, client.cgroup].map((path) => `/sys/fs/cgroup${path}/cgroup.procs`),
      3,
    );
    const codes = new Map<string, number>();
    let asked = 0;
    let flipping = true;
    const flipped = mover.puppet.answer().finally(() => {
      flipping = false;
    });
    while (flipping) {
      asked++;
      const reply = await client.does<{ error?: string }>('ask', 'io.deputy.Broker.SetMemlock', {
        version: 1,
        hardBytes: MIB + 4096 * (asked % 2),
        target: { pid },
      });
      const code = reply.error?.slice('io.deputy.Broker.'.length) ?? 'granted';
      codes.set(code, (codes.get(code) ?? 0) + 1);
    }
    assert.ok(Number(await flipped) > 50);
    assert.deepEqual(
      [...codes.keys()].filter((code) => !['granted', 'TargetNotInScope'].includes(code)),
      [],
    );
    assert.ok(
      (codes.get('granted') ?? 0) > 0 && (codes.get('TargetNotInScope') ?? 0) > 0,
      [...codes].join(' '),
    );
  },
  40_000,
);

function childOf(pid: number): number {
  const found = readdirSync('/proc')
    .map(Number)
    .find((id) => id > 0 && readStat(id)?.parentPid === pid);
  assert.ok(found);
  assert.equal(readStatus(found)?.namespacePids.length, 2);
  return found;
}
