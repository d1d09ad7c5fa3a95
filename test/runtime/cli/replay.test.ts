import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { stringify } from 'lossless-json';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Facts, Operation } from '../../../host-api/contract.ts';
import { AuditLog } from '../../../runtime/audit/log.ts';
import { readRecorded } from '../../../runtime/audit/recorded.ts';
import { askChain } from '../../../runtime/chain.ts';
import { DEFAULT_FACTS } from '../../../runtime/cli/plugin/case-values.ts';
import { loadProject, openProject, readManifest } from '../../../runtime/cli/plugin/project.ts';
import { FACTS } from '../sandbox/inputs.ts';
import { deputyctl } from './run-here.ts';

const ROOT = resolve(import.meta.dirname, '../../..');
const directory = mkdtempSync(join(tmpdir(), 'deputy-replay-'));
afterAll(() => rmSync(directory, { recursive: true }));

const log = join(directory, 'audit.jsonl');
const plugin = join(directory, 'libvirt.wasm');
const manifest = join(directory, 'libvirt.toml');

const memlock = (hard: bigint): Operation => ({
  tag: 'set-memlock',
  val: { soft: { tag: 'bytes', val: hard }, hard: { tag: 'bytes', val: hard } },
});
const GIB = 1n << 30n;
const as107: Facts = {
  ...DEFAULT_FACTS,
  subject: { ...DEFAULT_FACTS.subject, uid: 107 },
  target: { ...DEFAULT_FACTS.target, uid: 107 },
};

const ctl = (...words: string[]) => deputyctl({}, 'replay', log, '--plugin', plugin, ...words);
const change = (from: string, to: string): void =>
  writeFileSync(
    manifest,
    readFileSync(join(ROOT, 'plugins-as/libvirt/libvirt.toml'), 'utf8').replace(from, to),
  );

beforeAll(async () => {
  for (const file of ['libvirt.wasm', 'libvirt.toml']) {
    cpSync(join(ROOT, 'plugins-as/libvirt', file), join(directory, file));
  }
  const project = openProject(plugin);
  const { plugin: loaded, ceilings } = await loadProject(project, readManifest(project));
  const audit = AuditLog.open({ file: log, rotateBytes: 1 << 20, keepFiles: 3 });
  audit.append({ kind: 'start', version: '0' });
  const requests: [Facts, Operation][] = [
    [as107, memlock(4n * GIB)],
    [as107, memlock(8n * GIB)],
    [as107, memlock(65n * GIB)],
    [as107, memlock(66n * GIB)],
    [as107, { tag: 'move-cgroup', val: { group: 'vcpu' } }],
    [
      as107,
      {
        tag: 'set-scheduler',
        val: { policy: 'fifo', priority: 1, nice: undefined, affinity: [1] },
      },
    ],
    [DEFAULT_FACTS, memlock(GIB)],
  ];
  for (const [facts, operation] of requests) {
    const decision = askChain([{ plugin: loaded, mode: 'enforce', ceilings }], {
      facts,
      operation,
      groups: new Set(['vcpu', 'emulator', 'iothread']),
    });
    audit.append({
      kind: 'request',
      operation,
      facts,
      steps: decision.steps,
      plugin: decision.verdict.plugin,
    });
  }
  audit.append({ kind: 'request', operation: memlock(1n), error: { code: 'TargetNotInScope' } });
  audit.close();
});

describe('replay', () => {
  it('finds the same plugin of the same mind', async () => {
    const { out, code, err } = await ctl();
    expect(err).toBe('');
    expect(out).toMatch(
      /^7 requests decided anew by libvirt\.wasm: 7 the same, 0 newly allowed, 0 newly denied, 0 with other effects, 0 otherwise different\n2 records left out: events, or refused before a plugin was asked\n0 faults; fuel \d+ in the median, \d+ at most, of 10000000\n$/,
    );
    expect(code).toBe(0);
  });

  it('shows what smaller settings would deny, and larger ones allow', async () => {
    change('max_guest_memory = "64 GiB"', 'max_guest_memory = "6 GiB"');
    const denied = await ctl();
    expect(denied.code).toBe(1);
    expect(denied.out).toContain(
      '1 × newly denied: allow (set memlock to 8 GiB) → deny (memlock 8 GiB exceeds 7 GiB, the largest guest, its devices and their I/O memory)\n    record 3: uid 107 in /test.slice/test.scope: memlock 8 GiB',
    );
    expect(denied.out).toContain('5 the same, 0 newly allowed, 2 newly denied');
    change('max_guest_memory = "64 GiB"', 'max_guest_memory = "128 GiB"');
    expect((await ctl()).out).toContain('6 the same, 1 newly allowed, 0 newly denied');
  });

  it('shows other effects, and other reasons on demand', async () => {
    change('unlimited = "refuse"', 'unlimited = "clamp"');
    expect((await ctl()).code).toBe(0);
    change('callers = [107]', 'callers = [107, 108]');
    expect((await ctl()).code).toBe(0);
    const { out, code } = await ctl('--reasons');
    expect(code).toBe(1);
    expect(out).toContain(
      "other reason: deny (uid 1000 is none of libvirt's: 107) → deny (uid 1000 is none of libvirt's: 107, 108)",
    );
  });

  it('takes ceilings into account: they bind the new plugin as they would in the daemon', async () => {
    change('max_bytes = "256 GiB"', 'max_bytes = "4 GiB"');
    expect((await ctl()).out).toContain('2 newly denied');
    change('', '');
  });

  it('is JSON on demand', async () => {
    const reply = JSON.parse((await ctl('--json')).out);
    expect(reply).toMatchObject({ replayed: 7, skipped: 2, unreadable: 0, faults: 0, differences: [] });
  });

  it('names what it can not read, and goes on', async () => {
    const other = join(directory, 'other.jsonl');
    const all = readFileSync(log, 'utf8').split('\n');
    const broken = (all[1] as string).replace('"uid":107', '"uid":-1');
    writeFileSync(other, [broken, 'x', all[2], ''].join('\n'));
    const { err, out } = await deputyctl({}, 'replay', other, '--plugin', plugin);
    expect(err).toContain(`${other}:1: facts.subject.uid: `);
    expect(err).toContain(`${other}:2: `);
    expect(out).toContain('1 requests decided anew');
    expect(out).toContain('2 unreadable');
  });

  it.each([
    [['replay', '/nonexistent', '--plugin', plugin], 'there is no audit log'],
    [['replay', log], "required option '--plugin <wasm>' not specified"],
    [['replay', log, '--plugin', join(directory, 'gone.wasm')], 'does not exist'],
    [['replay', log, '--plugin', plugin, '--config', '/nonexistent'], 'no deputy.toml'],
  ])('refuses %j', async (words, reason) => {
    const { code, err } = await deputyctl({}, ...words);
    expect(code).toBe(2);
    expect(err).toContain(reason);
  });
});

it('brings facts back exactly: absent members, negative and 64-bit numbers', () => {
  const facts: Facts = {
    ...FACTS,
    target: {
      ...FACTS.target,
      memoryLimit: undefined,
      memlock: { soft: { tag: 'bytes', val: (1n << 53n) + 1n }, hard: { tag: 'unlimited' } },
    },
    ledger: { memlockBytes: 2n ** 64n - 1n, realtimeThreads: 0 },
  };
  const operation: Operation = {
    tag: 'set-scheduler',
    val: { policy: undefined, priority: undefined, nice: -20, affinity: [] },
  };
  const line = stringify({ seq: 1, kind: 'request', facts, operation, steps: [], latencyUs: 1.5 }) ?? '';
  expect(readRecorded(line)).toEqual({ seq: 1, kind: 'request', facts, operation, steps: [] });
});
