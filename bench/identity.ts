/**
 * What identity, target and facts cost a request, beside the cheapest thing a program can ask of /proc: to open, read
 * and close one file. Figures are medians of one run; the ratios hold, the absolutes drift. Needs root and cgroup v2.
 * Run: node --import tsx bench/identity.ts
 */
import { closeSync, openSync, readSync } from 'node:fs';
import { takeFacts } from '../runtime/facts.ts';
import { Peer } from '../runtime/peer.ts';
import {
  closeTarget,
  type RequestedTarget,
  recheckTarget,
  resolveTarget,
  WHOLE_CLIENT,
} from '../runtime/resolve-target.ts';
import { namedPattern, SCOPE_PRESETS, Scopes } from '../runtime/scope.ts';
import { descriptorOf, Reception } from '../test/support/puppet.ts';
import { TestCgroup } from '../test/support/test-cgroup.ts';

const HELD = { memlockBytes: 0n, realtimeThreads: 0 };
const ROUNDS = 9;

function medianUs(times: number, run: () => void): number {
  for (let n = 0; n < times; n++) run();
  const figures = Array.from({ length: ROUNDS }, () => {
    const start = process.hrtime.bigint();
    for (let n = 0; n < times; n++) run();
    return Number(process.hrtime.bigint() - start) / times / 1000;
  });
  return figures.sort((a, b) => a - b)[ROUNDS >> 1] ?? 0;
}

const reception = await Reception.open();
const cgroup = new TestCgroup('deputy-bench');
try {
  const outside = await reception.puppet({ uid: 65534 });
  const socket = await reception.socketOf(outside);
  const peer = await reception.peerOf(outside);
  const scope = { path: cgroup.make('scope'), name: '', labels: [] };
  cgroup.move(peer.process.pid, scope.path);
  const sibling = await outside.does<number>('start', 'sleep', '1000');

  const inside = await reception.puppet({ wrapper: ['unshare', '--pid', '--fork', '--kill-child'] });
  const nested = await reception.peerOf(inside);
  const pod = { path: cgroup.make('pod'), name: '', labels: [] };
  cgroup.move(nested.process.pid, pod.path);
  const inner = await inside.does<number>('start', 'sleep', '1000');
  const innerThreads = await inside.does<number[]>('threads', 64);

  const presets = new Scopes(
    Object.keys(SCOPE_PRESETS).map((preset) => namedPattern(preset, { preset })),
    true,
  );
  const container = `/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${'0'.repeat(36)}.slice/cri-containerd-${'a'.repeat(64)}.scope/x`;
  const resolving = (who: Peer, where: typeof scope, requested: Partial<RequestedTarget>) => () =>
    closeTarget(resolveTarget(who, where, { ...WHOLE_CLIENT, ...requested }, cgroup.fs));
  const self = resolveTarget(peer, scope, WHOLE_CLIENT, cgroup.fs);
  const facts =
    (operation: 'set-memlock' | 'set-scheduler', target = self) =>
    () =>
      void takeFacts(peer, scope, target, operation, HELD, cgroup.fs);
  const buffer = Buffer.alloc(4096);

  const baseline = medianUs(5000, () => {
    const fd = openSync('/proc/self/stat', 'r');
    readSync(fd, buffer, 0, buffer.length, 0);
    closeSync(fd);
  });
  const rows: [string, number, () => void][] = [
    ['Peer.open and close, once a connection', 2000, () => Peer.open(descriptorOf(socket)).close()],
    ['Peer.check, each request', 5000, () => void peer.check()],
    ['Scopes.of with all presets', 5000, () => void presets.of(container)],
    ['target: the client itself', 2000, resolving(peer, scope, {})],
    ['target: another process', 2000, resolving(peer, scope, { pid: sibling })],
    ['target: another process, in a pod', 2000, resolving(nested, pod, { pid: inner })],
    [
      'target: one of 64 threads, in a pod',
      2000,
      resolving(nested, pod, { threads: { tag: 'only', tids: innerThreads.slice(40, 41) } }),
    ],
    [
      'target: not there, in a pod of two processes',
      500,
      () => {
        try {
          resolving(nested, pod, { pid: 4000 })();
        } catch {}
      },
    ],
    ['recheck, before the effect', 2000, () => recheckTarget(self, scope)],
    ['facts for set-memlock', 1000, facts('set-memlock')],
    ['facts for set-scheduler, 1 thread', 1000, facts('set-scheduler')],
  ];
  console.log(
    `open, read and close /proc/self/stat${' '.repeat(15)}${baseline.toFixed(1).padStart(8)} µs   1.0 ×`,
  );
  const show = (what: string, figure: number): void =>
    console.log(
      `${what.padEnd(50)}${figure.toFixed(1).padStart(8)} µs ${(figure / baseline).toFixed(1).padStart(5)} ×`,
    );
  for (const [what, times, run] of rows) show(what, medianUs(times, run));
  await outside.does('threads', 1000);
  show('facts for set-scheduler, 1001 threads', medianUs(5, facts('set-scheduler')));
  closeTarget(self);
} finally {
  await reception.close();
  await cgroup.remove();
}
