import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import {
  isKernelThread,
  isOwnProc,
  isZombie,
  listThreads,
  parseCgroup,
  parseStatus,
  readCgroup,
  readCommUntrusted,
  readExeUntrusted,
  readMemlockShown,
  readStat,
  readStatus,
  readWhole,
} from '../../../host-api/kernel/proc.ts';
import { HeldProc } from '../../../host-api/kernel/proc-held.ts';
import { titled } from '../../support/processes.ts';
import { Puppet } from '../../support/puppet.ts';

const root = process.getuid?.() === 0;
const folder = mkdtempSync(join(tmpdir(), 'deputy-'));
afterAll(() => rmSync(folder, { recursive: true }));

const puppets: Puppet[] = [];
afterEach(async () => {
  for (const puppet of puppets.splice(0)) await puppet.kill();
});

async function start(uid?: number): Promise<[Puppet, number]> {
  const puppet = await Puppet.start(uid === undefined ? {} : { uid });
  puppets.push(puppet);
  return [puppet, puppet.child.pid ?? 0];
}

function held<T>(text: string, parse: (length: number) => T): T {
  const path = join(folder, 'file');
  writeFileSync(path, text);
  const fd = openSync(path, 'r');
  try {
    return parse(readWhole(fd));
  } finally {
    closeSync(fd);
  }
}

describe('/proc/PID/stat and status', () => {
  it.each(['x) S 1 1 1 (', 'a b', ') R 0', '((', 'naïve', '\\0', 'q\nUid:\t0'])(
    'are not misled by the name %j',
    async (name) => {
      const [puppet, pid] = await start();
      await puppet.does('rename', Buffer.from(name).toString('latin1'));
      // It has answered, and may not be asleep yet.
      await vi.waitFor(() => expect(readStat(pid)).toMatchObject({ state: 'S', parentPid: process.pid }));
      expect(readStat(pid)?.commUntrusted).toBe(name.slice(0, 15));
      expect(readCommUntrusted(pid, pid)).toBe(name.slice(0, 15));
      expect(readStatus(pid)).toEqual({
        state: 'S',
        threadGroupId: pid,
        parentPid: process.pid,
        uids: Array(4).fill(process.getuid?.()),
        gids: Array(4).fill(process.getgid?.()),
        namespacePids: [pid],
      });
    },
  );

  it.skipIf(!root)(
    titled(
      'are read whole with a thousand groups, and not at all where they are cut short',
      root ? undefined : 'needs root',
    ),
    async () => {
      const [puppet, pid] = await start();
      await puppet.does('groups', 1000);
      expect(readStatus(pid)?.namespacePids).toEqual([pid]);
      await puppet.does('groups', 65_536);
      // NSpid stands after the groups: without it the process would seem to be in the daemon's namespace.
      expect(() => readStatus(pid)).toThrow(/longer than 65536 bytes/);
    },
  );

  it('without an expected line are an error, never a guess', () => {
    expect(() => held('Name:\tx\nState:\tS\n', parseStatus)).toThrow(/no line Tgid/);
  });

  it('tell zombies, kernel threads and the dead', async () => {
    const [puppet, pid] = await start();
    const zombie = await puppet.does<number>('zombie');
    expect(isZombie(readStat(zombie) ?? { state: '' })).toBe(true);
    expect(readStatus(zombie)?.state).toBe('Z');
    const kthreadd = readStat(2);
    expect(kthreadd !== undefined && isKernelThread(kthreadd)).toBe(true);
    await puppet.kill();
    expect([
      readStat(pid),
      readStatus(pid),
      readCgroup(pid),
      readCommUntrusted(pid, pid),
      readExeUntrusted(pid),
    ]).toEqual(Array(5).fill(undefined));
    expect(listThreads(pid)).toEqual([]);
  });

  it('of a thread are found under its process alone', async () => {
    const [puppet, pid] = await start();
    const [tid = 0] = await puppet.does<number[]>('threads', 1);
    expect(listThreads(pid)).toEqual([pid, tid]);
    expect(readStat(tid, pid)?.parentPid).toBe(process.pid);
    expect(readStatus(tid, pid)?.threadGroupId).toBe(pid);
    expect([readStat(tid, process.pid), readStatus(process.pid, pid), readCommUntrusted(1, pid)]).toEqual(
      Array(3).fill(undefined),
    );
  });
});

describe('/proc/PID/limits', () => {
  it.each([
    ['65536:131072', { tag: 'bytes', val: 65_536n }, { tag: 'bytes', val: 131_072n }],
    ['0:0', { tag: 'bytes', val: 0n }, { tag: 'bytes', val: 0n }],
  ])('shows memlock %s', async (given, soft, hard) => {
    const puppet = await Puppet.start({ wrapper: ['prlimit', `--memlock=${given}`] });
    puppets.push(puppet);
    expect(readMemlockShown(puppet.child.pid ?? 0)).toEqual({ soft, hard });
  });

  it('shows no memlock of the dead', () => {
    expect(readMemlockShown(4_194_303)).toBeUndefined();
  });
});

describe('/proc/PID/cgroup', () => {
  it.each<[string, string, string | undefined]>([
    ['of a unified host', '0::/system.slice/a.service\n', '/system.slice/a.service'],
    ['of a hybrid host', '9:name=systemd:/a\n4:memory:/b\n0::/c\n', '/c'],
    ['where v2 is not last', '0::/c\n1:cpu:/d\n', '/c'],
    ['without v2', '2:cpu:/0::/x\n1:name=systemd:/\n', undefined],
    ['with colons in the name', '1:name=x:/0::/y\n0::/a:b::c\n', '/a:b::c'],
    ['of a removed cgroup', '0::/a/b (deleted)\n', '/a/b (deleted)'],
    ['outside the cgroup namespace', '0::/../..\n', '/../..'],
    ['that is cut short', '0::/a/b', undefined],
    ['that is empty', '', undefined],
  ])('%s', (_, text, expected) => {
    expect(held(text, parseCgroup)).toBe(expected);
  });

  it('marks bytes that are no UTF-8, so that two such names are not taken for one', () => {
    const path = join(folder, 'bytes');
    writeFileSync(path, Buffer.concat([Buffer.from('0::/a'), Buffer.from([0xff]), Buffer.from('\n')]));
    const fd = openSync(path, 'r');
    expect(parseCgroup(readWhole(fd))).toBe('/a\ufffd');
    closeSync(fd);
  });
});

describe('held files of /proc', () => {
  it('stay with their process, and say when it is gone', async () => {
    const [puppet, pid] = await start();
    const proc = HeldProc.open(pid);
    expect(proc.status()?.threadGroupId).toBe(pid);
    expect(proc.cgroup()).toMatch(/^\//);
    await puppet.kill();
    while (readStat(pid) !== undefined) await sleep(5);
    expect([proc.status(), proc.cgroup()]).toEqual([undefined, undefined]);
    proc.close();
  });

  it('are of no process that is not there', () => {
    expect(() => HeldProc.open(4_194_303)).toThrow(/ENOENT/);
  });
});

it('/proc is of our own pid namespace', () => {
  expect(isOwnProc()).toBe(true);
});
