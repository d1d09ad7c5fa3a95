import { rmSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Change } from '../../../host-api/change.ts';
import { readStat } from '../../../host-api/kernel/proc.ts';
import { refusingGuard } from '../../../runtime/canary/canary.ts';
import { demote } from '../../../runtime/canary/demote.ts';
import { MAX_ROWS, type Row, Shared } from '../../../runtime/canary/shared.ts';
import { Starvation } from '../../../runtime/canary/starvation.ts';
import { hasCapability } from '../../../runtime/capabilities.ts';
import { writeDeploy } from '../../support/daemon.ts';
import { BUILT_PROGRAM, DaemonProcess } from '../../support/deputyd.ts';
import { startSleeper, titled } from '../../support/processes.ts';

const FAIR = { policy: 'other', priority: 0, nice: -5, resetOnFork: false } as const;
const row = (tid: number, before: Row['before'] = FAIR): Row => ({
  pid: 7,
  tid,
  startTimeTicks: 1n << 60n,
  before,
});

describe('starvation', () => {
  /** Ticks of the canary as the watchdog sees them, and when; the answer after the last one. */
  it.each<[what: string, seen: [tick: number, nowMs: number][], starved: boolean]>([
    [
      'a canary that ticks',
      [
        [1, 0],
        [2, 1000],
        [3, 2000],
        [4, 3000],
        [5, 4000],
        [6, 5000],
        [7, 6000],
      ],
      false,
    ],
    [
      'one that is silent for as long as is allowed',
      [
        [1, 0],
        [1, 1000],
        [1, 2000],
        [1, 3000],
        [1, 4000],
      ],
      false,
    ],
    [
      'one that is silent for longer',
      [
        [1, 0],
        [1, 1000],
        [1, 2000],
        [1, 3000],
        [1, 4000],
        [1, 5000],
      ],
      true,
    ],
    [
      'one that ticked in between',
      [
        [1, 0],
        [1, 1000],
        [1, 2000],
        [1, 3000],
        [2, 4000],
        [2, 5000],
      ],
      false,
    ],
    // A guest that was paused, a machine that slept: time went by for nobody.
    [
      'a pause of an hour',
      [
        [1, 0],
        [1, 3_600_000],
        [1, 3_601_000],
      ],
      false,
    ],
    [
      'a counter that wraps',
      [
        [2147483647, 0],
        [-2147483648, 9000],
      ],
      false,
    ],
  ])('%s', (_what, seen, starved) => {
    const starvation = new Starvation(5000, 1000);
    expect(seen.map(([tick, nowMs]) => starvation.observe(tick, nowMs)).at(-1)).toBe(starved);
  });

  it('goes on being reported, so that grants made meanwhile are taken too', () => {
    const starvation = new Starvation(1000, 500);
    const answers = [0, 500, 1000, 1500, 2000].map((nowMs) => starvation.observe(1, nowMs));
    expect(answers).toEqual([false, false, true, true, true]);
  });
});

describe('the shared table', () => {
  it('is read as it was published, from another view of the same memory', () => {
    const shared = new Shared();
    const other = new Shared(shared.buffer);
    expect(other.rows()).toEqual([]);
    const rows = [row(1), row(2, { policy: 'idle', priority: 0, nice: 0, resetOnFork: true })];
    shared.publish(rows);
    expect(other.rows()).toEqual(rows);
    shared.publish([row(3)]);
    expect(other.rows()).toEqual([row(3)]);
    shared.beat();
    expect(other.tick).toBe(1);
  });

  it('leads nobody back to a realtime policy', () => {
    const shared = new Shared();
    shared.publish([row(1, { policy: 'fifo', priority: 3, nice: 0, resetOnFork: false })]);
    expect(shared.rows()[0]?.before).toEqual({ policy: 'other', priority: 0, nice: 0, resetOnFork: true });
  });

  it('is bounded', () => {
    const shared = new Shared();
    const rows = Array.from({ length: MAX_ROWS + 1 }, (_, tid) => row(tid));
    expect(() => shared.publish(rows)).toThrow(RangeError);
    shared.publish(rows.slice(1));
    expect(shared.rows().at(-1)?.tid).toBe(MAX_ROWS);
  });
});

describe('demotion', () => {
  it('touches no thread that has another start time, and none that is not realtime', async () => {
    const victim = startSleeper();
    const { startTimeTicks } = readStat(victim.pid) ?? { startTimeTicks: 0n };
    const of = (ticks: bigint): Row => ({
      pid: victim.pid,
      tid: victim.pid,
      startTimeTicks: ticks,
      before: FAIR,
    });
    expect(demote(of(startTimeTicks + 1n))).toBe('gone');
    expect(demote(of(startTimeTicks))).toBe('not-realtime');
    await victim.kill();
    expect(demote(of(startTimeTicks))).toBe('gone');
  });
});

it('without a watchdog nothing realtime is granted, and all else is', () => {
  const guard = refusingGuard('no threads');
  const change = { priority: 1, nice: undefined, affinity: undefined };
  const effect = (policy: 'fifo' | 'batch') =>
    ({ tag: 'set-scheduler', threads: { tag: 'addressed' }, change: { ...change, policy } }) as const;
  expect(() => guard.check([effect('batch'), effect('fifo')])).toThrow(
    /no watchdog over realtime threads \(no threads\)/,
  );
  guard.check([effect('batch')]);
  guard.expect([] satisfies Change[]);
});

const whyNot = hasCapability('CAP_SYS_NICE') ? undefined : 'CAP_SYS_NICE is missing';
it.skipIf(whyNot !== undefined)(titled('deputyd starts and stops with its canary', whyNot), async () => {
  const deploy = writeDeploy('canary = { enabled = true }');
  const daemon = new DaemonProcess(['--config', deploy.deployDirectory], {}, [], [], BUILT_PROGRAM);
  await daemon.logged('listening');
  expect(daemon.log.map(({ msg }) => msg)).not.toContain('the canary cannot be started: realtime is refused');
  const { code, err } = await daemon.stop();
  expect({ code, err }).toEqual({ code: 0, err: '' });
  rmSync(deploy.directory, { recursive: true });
});
