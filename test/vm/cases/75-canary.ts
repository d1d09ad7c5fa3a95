/** Realtime threads that starve the machine: the watchdog takes realtime from them, and refuses more for a while. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readScheduling, writeAffinity } from '../../../host-api/kernel/sched.ts';
import { after, check, show } from '../guest/check.ts';
import { Client } from '../guest/client.ts';
import { Deputyd } from '../guest/deputyd.ts';
import { startSpinner } from '../guest/machine.ts';

const REFUSE_MS = 6_000;

const CONFIG = `
[[scope]]
name = "test"
pattern = "/deputy-test/{name}"

[canary]
starved_ms = 5000
refuse_ms = ${REFUSE_MS}

[quota]
actions = 1000
`;

const CEILINGS = `
scheduler = { policies = ["other", "batch", "fifo", "rr"], max_priority = 40, min_nice = 0, cpus = "any" }
`;

/** Without the share that the kernel keeps for normal threads, a realtime thread that spins leaves nothing. */
function withoutThrottling(): () => void {
  const file = '/proc/sys/kernel/sched_rt_runtime_us';
  const before = readFileSync(file, 'latin1');
  const restore = (): void => writeFileSync(file, before);
  writeFileSync(file, '-1');
  after(restore);
  return restore;
}

let shared: Promise<Deputyd> | undefined;

/** One for the cases that can do with it, since a start takes seconds here. */
function sharedDaemon(): Promise<Deputyd> {
  shared ??= Deputyd.start({ config: CONFIG, ceilings: CEILINGS });
  return shared;
}

function realtimeThreads(pid: number): string[] {
  return readdirSync(`/proc/${pid}/task`)
    .map((tid) => readScheduling(Number(tid)))
    .filter(({ policy }) => policy === 'fifo')
    .map(({ priority }) => `fifo ${priority}`);
}

interface StarvedRecord {
  readonly waitedMs: number;
  readonly withinMs: number;
  readonly threads: readonly { tid: number; outcome: string }[];
  readonly restored: { restored: number; failed: unknown[] };
}

function demotions(deputyd: Deputyd): StarvedRecord[] {
  return deputyd.audit().filter(({ kind }) => kind === 'starved') as unknown as StarvedRecord[];
}

/** Waits for the watchdog to act, again where it has acted `before`. */
async function demotion(deputyd: Deputyd, before: number): Promise<StarvedRecord> {
  const startMs = Date.now();
  while (Date.now() - startMs < 30_000) {
    await sleep(50);
    const found = demotions(deputyd)[before];
    if (found !== undefined) return found;
  }
  throw new assert.AssertionError({ message: 'no thread was demoted' });
}

function demotedOf({ threads }: StarvedRecord): number[] {
  const demoted = threads.filter(({ outcome }) => outcome === 'demoted').map(({ tid }) => tid);
  return demoted.sort((a, b) => a - b);
}

check(
  'threads that starve every CPU are demoted within 10 s, and realtime is refused for a while',
  async () => {
    const deputyd = await sharedDaemon();
    assert.deepEqual(realtimeThreads(deputyd.pid), ['fifo 99'], 'the watchdog is above every grant');
    const client = await Client.start({ deputyd });
    withoutThrottling();
    const { pid, vcpus, next } = await startSpinner(client.cgroup, 4);
    // From here on nothing normal runs, this program included, until the watchdog has acted.
    const target = { pid, onlyThreads: [...vcpus] };
    await client
      .does('ask', 'io.deputy.Broker.SetScheduler', { version: 1, target, policy: 'fifo', priority: 20 })
      .catch(() => undefined);
    const starved = await demotion(deputyd, 0);
    // By the threads' own clock: the record is written when the daemon has a CPU again, beside four that spin.
    const { realtimeMs: tookMs } = await next<{ realtimeMs: number }>();
    assert.ok(tookMs < 10_000, `demoted after ${tookMs} ms`);
    assert.ok(starved.waitedMs >= 5000, `the canary had waited for ${starved.waitedMs} ms only`);
    const demoted = demotedOf(starved);
    assert.ok(demoted.length >= 2, 'two CPUs were starved, so two threads at least');
    for (const tid of vcpus) assert.equal(readScheduling(tid).policy, 'other');

    const refused = await client.refused('SetScheduler', { policy: 'fifo', priority: 1 });
    assert.equal(refused.code, 'QuotaExceeded');
    assert.match(
      refused.message,
      /have starved this machine and were demoted; realtime is refused for \d+ ms/,
    );
    await client.ask('SetScheduler', { nice: 5 });
    process.kill(pid, 'SIGKILL');
    await sleep(REFUSE_MS);
    await client.ask('SetScheduler', { policy: 'fifo', priority: 1 });
    assert.equal(readScheduling(client.pid).policy, 'fifo');
    show({
      title: 'starvation canary',
      columns: ['threads', 'demoted after ms', 'canary waited for ms', 'refused for ms'],
      rows: [[`${demoted.length} of ${vcpus.length}`, `${tookMs}`, `${starved.waitedMs}`, `${REFUSE_MS}`]],
    });
  },
  90_000,
);

check(
  'one CPU may be taken; a daemon watches over what an earlier one granted; the share that the kernel keeps for others is not enough; a thread that sleeps keeps what it has',
  async () => {
    const first = await sharedDaemon();
    const before = demotions(first).length;
    const client = await Client.start({ deputyd: first });
    await client.ask('SetScheduler', { policy: 'fifo', priority: 30 });
    const giveShare = withoutThrottling();
    const { pid, vcpus } = await startSpinner(client.cgroup, 2);
    const target = { pid, onlyThreads: [...vcpus] };
    await client.ask('SetScheduler', { target, policy: 'fifo', priority: 20, cpus: [1] });
    await sleep(6500);
    assert.equal(readScheduling(vcpus[0] ?? 0).policy, 'fifo');
    assert.equal(demotions(first).length, before);
    giveShare();

    assert.equal(await first.end('SIGKILL'), 'SIGKILL');
    rmSync(join(first.directory, 'deploy'), { recursive: true });
    const second = await Deputyd.start({ directory: first.directory, config: CONFIG, ceilings: '\n' });
    after(async () => void (await second.end('SIGTERM')));
    assert.deepEqual(realtimeThreads(second.pid), ['fifo 99'], 'though it grants nothing realtime itself');
    writeAffinity(vcpus[0] ?? 0, [0]);
    const starved = await demotion(second, before);
    assert.deepEqual(demotedOf(starved), vcpus);
    assert.equal(readScheduling(client.pid).policy, 'fifo');
    const { waitedMs, withinMs } = starved;
    assert.ok(withinMs < 10_000, `demoted after ${withinMs} ms`);
    show({
      title: 'starvation canary, where the kernel keeps 5 % for normal threads',
      columns: ['threads', 'canary waited for ms', 'within ms'],
      rows: [[`${vcpus.length} of ${vcpus.length}`, `${waitedMs}`, `${withinMs}`]],
    });
  },
  120_000,
);

check(
  'with max_rttime_us, realtime is for processes that have a limit on it; no canary where none is wanted',
  async () => {
    const config = CONFIG.replace('[quota]', '[quota]\nmax_rttime_us = 200000').replace(
      '[canary]',
      '[canary]\nenabled = false',
    );
    const deputyd = await Deputyd.start({ config, ceilings: CEILINGS });
    after(async () => void (await deputyd.end('SIGTERM')));
    assert.deepEqual(realtimeThreads(deputyd.pid), []);
    const client = await Client.start({ deputyd });
    const { code, message } = await client.refused('SetScheduler', { policy: 'rr', priority: 1 });
    assert.equal(code, 'QuotaExceeded');
    assert.match(
      message,
      /hard RLIMIT_RTTIME of pid \d+ is unlimited, and realtime is for processes of at most 200000 µs/,
    );
    await client.ask('SetScheduler', { policy: 'batch' });
    const bounded = await Client.start({ deputyd, wrapper: ['prlimit', '--rttime=200000:200000'] });
    await bounded.ask('SetScheduler', { policy: 'rr', priority: 1 });
    assert.equal(readScheduling(bounded.pid).policy, 'rr');
  },
);
