import { rmSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Change } from '../../../host-api/change.ts';
import { readStat } from '../../../host-api/kernel/proc.ts';
import {
  readAffinity,
  readScheduling,
  writeAffinity,
  writeScheduling,
} from '../../../host-api/kernel/sched.ts';
import { refusingGuard } from '../../../runtime/canary/canary.ts';
import { demote, suspicion } from '../../../runtime/canary/demote.ts';
import { MAX_ROWS, type Row, Shared } from '../../../runtime/canary/shared.ts';
import { Starvation, WaitClock } from '../../../runtime/canary/starvation.ts';
import { hasCapability } from '../../../runtime/capabilities.ts';
import { writeDeploy } from '../../support/daemon.ts';
import { BUILT_PROGRAM, DaemonProcess } from '../../support/deputyd.ts';
import { startSleeper, titled, type Victim } from '../../support/processes.ts';

const FAIR = { policy: 'other', priority: 0, nice: -5, resetOnFork: false } as const;
const row = (tid: number, before: Row['before'] = FAIR): Row => ({
  pid: 7,
  tid,
  startTimeTicks: 1n << 60n,
  before,
});

describe('starvation', () => {
  /** What is observed each second: how long the canary waited in it. The answer after the last one. */
  it.each<[what: string, waitedMs: number[], starved: boolean]>([
    ['a canary that waits for nothing', Array(20).fill(0), false],
    ['one that waits as long as is allowed', [1000, 1000, 1000, 1000, 900], false],
    ['one that waits for longer', [1000, 1000, 1000, 1000, 1000], true],
    ['one that had a CPU in between', [1000, 1000, 1000, 1000, 0, 1000, 1000], false],
    // sched_rt_runtime_us = 950000, and the fair server of newer kernels
    ['one that gets 5 % of each second', Array(6).fill(950), true],
    // Close to what is allowed, it takes its time.
    ['one that gets 30 %', Array(49).fill(700), false],
    ['one that gets 30 %, for long', Array(51).fill(700), true],
    ['one that gets 34 %, for hours', Array(10_000).fill(660), false],
    // The kernel counts a wait when it ends, be it longer than a period.
    ['waits that are counted late', [0, 2000, 0, 2000, 0, 2000], true],
    ['so, and shorter than is allowed', [0, 2000, 0, 2000, 900], false],
    ['a few long waits', [0, 2000, 0, 0, 0, 2000, 0, 0], false],
  ])('%s', (_what, waitedMs, starved) => {
    const starvation = new Starvation(5000, 1000);
    starvation.observe(0, 0);
    let total = 0;
    const answers = waitedMs.map((ms, index) => {
      total += ms;
      return starvation.observe(total, (index + 1) * 1000);
    });
    expect(answers.at(-1)).toBe(starved);
  });

  it('is none where a guest was paused or a machine slept: time went by for nobody', () => {
    const starvation = new Starvation(5000, 1000);
    starvation.observe(0, 0);
    expect(starvation.observe(3_600_000, 3_600_000)).toBe(false);
    expect(starvation.observe(3_600_000, 3_601_000)).toBe(false);
    expect(starvation.episode.waitedMs).toBe(0);
  });

  it('goes on being reported, so that grants made meanwhile are taken too; and ends soon', () => {
    const starvation = new Starvation(1000, 500);
    const answers = [0, 500, 1000, 1500, 2000].map((ms) => starvation.observe(ms, ms));
    expect(answers).toEqual([false, false, true, true, true]);
    expect(starvation.episode).toEqual({ waitedMs: 2000, lastedMs: 2000 });
    expect(starvation.observe(2000, 2500)).toBe(false);
  });
});

describe('the clock of waits', () => {
  const ms = (waited: number): bigint => BigInt(waited) * 1_000_000n;

  it('counts a wait that goes on, from the first time it is seen', () => {
    const clock = new WaitClock();
    expect(clock.read(ms(7), true, 1000)).toBe(7);
    expect(clock.read(ms(7), true, 2000)).toBe(1007);
    expect(clock.read(ms(7), true, 3000)).toBe(2007);
    // And the kernel's count once it has ended, instead of its own.
    expect(clock.read(ms(2500), false, 4000)).toBe(2500);
    expect(clock.read(ms(2500), true, 5000)).toBe(2500);
    expect(clock.read(ms(2500), true, 6000)).toBe(3500);
  });

  it('counts no sleep, nor a page fault that takes a minute', () => {
    const clock = new WaitClock();
    expect([0, 1000, 60_000].map((nowMs) => clock.read(ms(3), false, nowMs))).toEqual([3, 3, 3]);
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
    shared.canaryTid = 77;
    shared.announceDemotion();
    expect([other.canaryTid, other.demotions]).toEqual([77, 1]);
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

const realtime = {
  tag: 'set-scheduler',
  threads: { tag: 'addressed' },
  change: { policy: 'fifo', priority: 1, nice: undefined, affinity: undefined },
} as const;
const whyNot = hasCapability('CAP_SYS_NICE') ? undefined : 'CAP_SYS_NICE is missing';

describe.skipIf(whyNot !== undefined)(titled('of a realtime thread', whyNot), () => {
  let victim: Victim;
  let row: Row;
  beforeEach(() => {
    victim = startSleeper();
    writeScheduling(victim.pid, { policy: 'fifo', priority: 1, nice: 0, resetOnFork: true });
    row = { pid: victim.pid, tid: victim.pid, startTimeTicks: victim.startTimeTicks, before: FAIR };
  });
  afterEach(() => victim.kill());

  it('demotion makes what it was before', () => {
    expect(demote(row)).toBe('demoted');
    expect(readScheduling(victim.pid)).toEqual(FAIR);
    expect(demote(row)).toBe('not-realtime');
  });

  it('suspicion is had where it may use one of the CPUs that are starved', () => {
    const cpus = readAffinity(victim.pid);
    const [first = 0] = cpus;
    expect(suspicion(row, cpus)).toBe('asleep');
    writeAffinity(victim.pid, [first]);
    expect(suspicion(row, [first])).toBe('asleep');
    expect(suspicion(row, [first + 1])).toBe('none');
    expect(suspicion({ ...row, startTimeTicks: row.startTimeTicks + 1n }, cpus)).toBe('none');
    demote(row);
    expect(suspicion(row, cpus)).toBe('none');
  });

  it('refusal begins with the demotion, ahead of any message of it', async () => {
    const shared = new Shared();
    // Its threads are programs of their own: the built ones, since Node 20 runs no TypeScript.
    const built = new URL('../../../dist/runtime/canary/canary.js', import.meta.url).href;
    const { Canary } = (await import(built)) as typeof import('../../../runtime/canary/canary.ts');
    const canary = await Canary.start(
      { starvedMs: 60_000, refuseMs: 200 },
      pino({ level: 'silent' }),
      () => {},
      shared,
    );
    try {
      canary.check([realtime]);
      // As the watchdog does, in another thread, while this one handles a request.
      shared.announceDemotion();
      expect(() => canary.check([realtime])).toThrow(/were demoted; realtime is refused for 200 ms/);
      await setTimeout(250);
      canary.check([realtime]);
    } finally {
      await canary.stop();
    }
  });
});

it('without a watchdog nothing realtime is granted, and all else is', () => {
  const guard = refusingGuard('no threads');
  const effect = (policy: 'fifo' | 'batch') =>
    ({ ...realtime, change: { ...realtime.change, policy } }) as const;
  expect(() => guard.check([effect('batch'), effect('fifo')])).toThrow(
    /no watchdog over realtime threads \(no threads\)/,
  );
  guard.check([effect('batch')]);
  guard.expect([] satisfies Change[]);
});

it.skipIf(whyNot !== undefined)(titled('deputyd starts and stops with its canary', whyNot), async () => {
  const deploy = writeDeploy('canary = { enabled = true }');
  const daemon = new DaemonProcess(['--config', deploy.deployDirectory], {}, [], [], BUILT_PROGRAM);
  await daemon.logged('listening');
  expect(daemon.log.map(({ msg }) => msg)).not.toContain('the canary cannot be started: realtime is refused');
  const { code, err } = await daemon.stop();
  expect({ code, err }).toEqual({ code: 0, err: '' });
  rmSync(deploy.directory, { recursive: true });
});
