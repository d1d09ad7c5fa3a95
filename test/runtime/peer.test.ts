import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, copyFileSync, openSync, readdirSync, writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DeputyError } from '../../host-api/errors.ts';
import { closePidfd, openPidfd } from '../../host-api/kernel/pidfd.ts';
import { readStat } from '../../host-api/kernel/proc.ts';
import { Peer } from '../../runtime/peer.ts';
import { titled } from '../support/processes.ts';
import { descriptorOf, type Puppet, Reception } from '../support/puppet.ts';

const NOBODY = 65534;
const OTHER = 65533;
const root = process.getuid?.() === 0;
const whyNotRoot = root ? undefined : 'needs root, to have clients of several uids';

let reception: Reception;
beforeEach(async () => {
  reception = await Reception.open();
});
afterEach(() => reception.close());

/** How the pidfd is come by: from the socket where the kernel can (Linux 6.5), and by pid, as on older ones. */
const WAYS: [string, (fd: number) => Peer][] = [
  ['as this kernel does it', Peer.open],
  ['before Linux 6.5', (fd) => Peer.open(fd, () => undefined)],
];

function codeOf(run: () => unknown): string {
  try {
    run();
    return 'no error';
  } catch (error) {
    return error instanceof DeputyError ? error.code : String(error);
  }
}

const NEVER_REAPS = `
import os, sys, time
if os.fork() == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
time.sleep(1000)
`;

describe.skipIf(!root).each(WAYS)(titled('a peer, %s', whyNotRoot), (_, identify) => {
  it('is who connected, by the kernel', async () => {
    const puppet = await reception.puppet({ uid: NOBODY });
    const peer = await reception.peerOf(puppet, identify);
    const pid = puppet.child.pid ?? 0;
    expect(peer).toMatchObject({ uid: NOBODY, gid: NOBODY, namespaceLevel: 0, ownPid: pid });
    expect(peer.process).toMatchObject({ pid, startTimeTicks: readStat(pid)?.startTimeTicks });
    expect(peer.check()).toMatch(/^\//);
    // What it says of itself changes nothing.
    await puppet.does('send', '{"method":"io.deputy.Broker.Ping","parameters":{"uid":0,"pid":1}}\0');
    expect(peer.check()).toMatch(/^\//);
    expect(peer.uid).toBe(NOBODY);
  });

  it('is gone with its process', async () => {
    const puppet = await reception.puppet({ uid: NOBODY });
    const peer = await reception.peerOf(puppet, identify);
    await puppet.kill();
    expect(() => peer.check()).toThrow(expect.objectContaining({ code: 'PeerGone' }) as DeputyError);
  });

  it('is gone when its process is dead, reaped or not', async () => {
    const puppet = await reception.puppet({ wrapper: ['python3', '-c', NEVER_REAPS] });
    const peer = await reception.peerOf(puppet, identify);
    process.kill(peer.process.pid, 'SIGKILL');
    while (readStat(peer.process.pid)?.state !== 'Z') await sleep(5);
    expect(codeOf(() => peer.check())).toBe('PeerGone');
  });

  it('is the same after exec', async () => {
    const puppet = await reception.puppet({ uid: NOBODY });
    const peer = await reception.peerOf(puppet, identify);
    await puppet.does('exec');
    await puppet.does('send', 'still here');
    expect(peer.check()).toMatch(/^\//);
    await puppet.kill();
    expect(codeOf(() => peer.check())).toBe('PeerGone');
  });

  it('is the connector while that lives, whoever holds the socket after a fork; then nobody', async () => {
    const puppet = await reception.puppet({ uid: NOBODY });
    const socket = await reception.socketOf(puppet);
    const peer = identify(descriptorOf(socket));
    const child = await puppet.does<number>('fork');
    expect(peer.check()).toMatch(/^\//);
    expect(peer.process.pid).toBe(puppet.child.pid);
    await puppet.kill();
    expect(readStat(child)?.state).toMatch(/^[RSD]$/);
    expect(socket.closed).toBe(false);
    expect(codeOf(() => peer.check())).toBe('PeerGone');
    process.kill(child, 'SIGKILL');
    peer.close();
  });

  it('is the connector while that lives, when another uid was passed the socket; then nobody', async () => {
    const [first, second] = [await reception.puppet({ uid: NOBODY }), await reception.puppet({ uid: OTHER })];
    const peer = await reception.peerOf(first, identify);
    const relay = `${reception.folder}/relay`;
    expect(await second.does('take_over', relay)).toBe('listening');
    execFileSync('chmod', ['777', relay]);
    await first.does('pass_on', relay);
    expect(await second.answer()).toBe('taken');
    await second.does('send', 'hello');
    expect(peer.check()).toMatch(/^\//);
    expect(peer.uid).toBe(NOBODY);
    await first.kill();
    await second.does('send', 'hello again');
    expect(codeOf(() => peer.check())).toBe('PeerGone');
  });

  it('is gone once it has another uid, and says so', async () => {
    const puppet = await reception.puppet();
    const peer = await reception.peerOf(puppet, identify);
    await puppet.does('become', NOBODY, NOBODY);
    expect(() => peer.check()).toThrow(
      /connected as uid 0 gid 0 and is now uid 65534 gid 65534: connect again/,
    );
    expect(codeOf(() => peer.check())).toBe('PeerGone');
    const again = await reception.peerOf(puppet, identify);
    expect(again).toMatchObject({ uid: NOBODY, gid: NOBODY });
  });

  it('is judged by its effective uid, as the socket is', async () => {
    const puppet = await reception.puppet();
    await puppet.does('seteuid', NOBODY);
    const peer = await reception.peerOf(puppet, identify);
    expect(peer.uid).toBe(NOBODY);
    await puppet.does('seteuid', 0);
    expect(codeOf(() => peer.check())).toBe('PeerGone');
  });

  it('is gone once it runs a set-user-ID program', async () => {
    const program = `${reception.folder}/sleep`;
    copyFileSync('/bin/sleep', program);
    execFileSync('chmod', ['4755', program]);
    const puppet = await reception.puppet({ uid: NOBODY });
    const peer = await reception.peerOf(puppet, identify);
    puppet.tell('exec', program);
    while (readStat(peer.process.pid)?.commUntrusted !== 'sleep') await sleep(5);
    expect(() => peer.check()).toThrow(/is now uid 0 gid 65534/);
  });

  it('is gone once its first thread has ended, be there others', async () => {
    const puppet = await reception.puppet({ uid: NOBODY });
    const peer = await reception.peerOf(puppet, identify);
    await puppet.does('end_first_thread');
    while (readStat(peer.process.pid)?.state !== 'Z') await sleep(5);
    expect(() => peer.check()).toThrow(/first thread of pid \d+, which connected, has ended/);
  });

  it('stays gone when its pid is given to another of its uid', async () => {
    const puppet = await reception.puppet({ uid: NOBODY });
    const peer = await reception.peerOf(puppet, identify);
    await puppet.kill();
    const stranger = await reusing(peer.process.pid, NOBODY);
    expect(stranger.child.pid).toBe(peer.process.pid);
    expect(codeOf(() => peer.check())).toBe('PeerGone');
  });

  it('is nobody where its pid was given to another uid before it was identified', async () => {
    const puppet = await reception.puppet({ uid: NOBODY });
    const socket = await reception.socketOf(puppet);
    await puppet.kill();
    await reusing(puppet.child.pid ?? 0, OTHER);
    expect(codeOf(() => identify(descriptorOf(socket)))).toBe('PeerGone');
  });

  it('can be closed twice, and is gone then', async () => {
    const peer = await reception.peerOf(await reception.puppet({ uid: NOBODY }), identify);
    peer.close();
    const next = openPidfd(process.pid);
    peer.close();
    expect(readdirSync('/proc/self/fd')).toContain(String(next));
    closePidfd(next);
    expect(codeOf(() => peer.check())).toBe('PeerGone');
  });

  it('leaves no descriptor open, come and gone in any way', async () => {
    const puppet = await reception.puppet({ uid: NOBODY });
    const open = () => readdirSync('/proc/self/fd').length;
    await churn(puppet, identify, 3);
    const before = open();
    await churn(puppet, identify, 40);
    expect(open()).toBe(before);
  });

  async function churn(puppet: Puppet, way: (fd: number) => Peer, times: number): Promise<void> {
    for (let n = 0; n < times; n++) {
      const socket = await reception.socketOf(puppet);
      way(descriptorOf(socket)).close();
      const closed = once(socket, 'close');
      socket.destroy();
      await closed;
      // A client that is gone before it can be identified.
      const brief = await reception.puppet({ uid: NOBODY });
      const left = await reception.socketOf(brief);
      await brief.kill();
      expect(codeOf(() => way(descriptorOf(left)))).toBe('PeerGone');
      const ended = once(left, 'close');
      left.destroy();
      await ended;
    }
  }
});

const givesPidfd = root && (await probePidfd());

async function probePidfd(): Promise<boolean> {
  reception = await Reception.open();
  const peer = await reception.peerOf(await reception.puppet());
  await reception.close();
  return peer.pidfdFromSocket;
}

describe.skipIf(!root)(
  titled('a stranger of the same uid, given the pid before it was identified', whyNotRoot),
  () => {
    const stranger = async (): Promise<Socket> => {
      const puppet = await reception.puppet({ uid: NOBODY });
      const socket = await reception.socketOf(puppet);
      await puppet.kill();
      await reusing(puppet.child.pid ?? 0, NOBODY);
      return socket;
    };

    it.skipIf(!givesPidfd)(
      titled('is not taken for the peer', givesPidfd ? undefined : 'SO_PEERPIDFD needs Linux 6.5'),
      async () => {
        const socket = await stranger();
        expect(codeOf(() => Peer.open(descriptorOf(socket)))).toBe('PeerGone');
      },
    );

    it('before Linux 6.5 is taken for it: what docs/identity.md does not guarantee', async () => {
      const peer = Peer.open(descriptorOf(await stranger()), () => undefined);
      expect(peer.pidfdFromSocket).toBe(false);
      peer.close();
    });
  },
);

describe('no peer', () => {
  it('is made of what is no socket', () => {
    const file = openSync('/dev/null', 'r');
    expect(() => Peer.open(file)).toThrow(/SO_PEERCRED of socket \d+: failed \(ENOTSOCK\)/);
    closeSync(file);
  });

  it.skipIf(!root).each([
    [
      "in a pid namespace outside the daemon's",
      ['--pid', '--fork', '--kill-child', '--mount-proc'],
      'PeerGone',
      /pid namespace that the daemon cannot see/,
    ],
    [
      'described by the /proc of another namespace',
      ['--pid', '--fork', '--kill-child'],
      'NotSupported',
      /\/proc belongs to another pid namespace/,
    ],
    [
      'hidden by /proc',
      [
        '--mount',
        'sh',
        '-c',
        'mount -t proc -o hidepid=2 proc /proc; exec setpriv --regid=65534 --clear-groups --bounding-set=-sys_ptrace "$@"',
        'sh',
      ],
      'NotSupported',
      /mount it without hidepid/,
    ],
  ])(titled('is %s', whyNotRoot), async (_, options, code, message) => {
    const path = `${reception.folder}/nested`;
    const program = new URL('../support/say-peer.ts', import.meta.url).pathname;
    const daemon = spawn('unshare', [...options, process.execPath, '--import', 'tsx', program, path], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const lines = createInterface(daemon.stdout)[Symbol.asyncIterator]();
    expect((await lines.next()).value).toBe('listening');
    await (await reception.puppet()).does('connect', path);
    const answer = JSON.parse((await lines.next()).value ?? '') as { code: string; message: string };
    expect(answer.code).toBe(code);
    expect(answer.message).toMatch(message);
  });
});

/** A process that has been given that pid. Others start processes too, so it may take some attempts. */
async function reusing(pid: number, uid: number): Promise<Puppet> {
  for (let attempt = 0; attempt < 50; attempt++) {
    writeFileSync('/proc/sys/kernel/ns_last_pid', String(pid - 1));
    const puppet = await reception.puppet({ uid });
    if (puppet.child.pid === pid) return puppet;
    await puppet.kill();
  }
  throw new Error(`pid ${pid} could not be had again`);
}
