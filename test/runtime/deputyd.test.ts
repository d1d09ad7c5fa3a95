import { spawnSync } from 'node:child_process';
import {
  appendFileSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Connection } from '../../client/connection.ts';
import { landlockVersion } from '../../host-api/kernel/landlock.ts';
import { capabilitySet, readPrivileges } from '../../host-api/kernel/privilege.ts';
import { type TestDeploy, writeDeploy } from '../support/daemon.ts';
import { DaemonProcess } from '../support/deputyd.ts';
import { titled } from '../support/processes.ts';

let deploy: TestDeploy;
const started: DaemonProcess[] = [];

beforeEach(() => {
  deploy = writeDeploy();
});
afterEach(async () => {
  for (const daemon of started.splice(0)) await daemon.stop('SIGKILL');
  rmSync(deploy.directory, { recursive: true });
});

function deputyd(...words: string[]): DaemonProcess {
  const daemon = new DaemonProcess(['--config', deploy.deployDirectory, ...words]);
  started.push(daemon);
  return daemon;
}

async function ping(): Promise<unknown> {
  const connection = await Connection.open(deploy.socket);
  try {
    return await connection.call('io.deputy.Broker.Ping', { version: 1 });
  } finally {
    connection.close();
  }
}

describe('deputyd', () => {
  it('prints every problem of the deploy directory with file, line and remedy, and exits with 2', async () => {
    const at = (name: string): string => join(deploy.deployDirectory, name);
    writeFileSync(
      at('deputy.toml'),
      `version = 2
listen = { mode = "abc" }
[limits]
connectoins = 5
[[scope]]
name = "pods"
preset = "kubepods"
pattern = "/x"
[chain]
set_memlock = ["absent"]
`,
    );
    writeFileSync(at('plugins/as-asked.toml'), 'sha256 = "00"\n');
    const { code, err } = await deputyd().ended;
    expect(code).toBe(2);
    for (const expected of [
      'deputy.toml:1:1: version: config version 2 is not 1, the one this daemon reads\n    remedy: ',
      'deputy.toml:2:12: listen.mode: "abc" is not permission bits in octal, such as "0666"\n    remedy: ',
      'deputy.toml:4:1: unknown key limits.connectoins\n    remedy: correct the spelling',
      'plugins/as-asked.toml:1:1: sha256: must be 64 hex digits in lower case\n    remedy: ',
      'plugins/as-asked.toml:1:1: abi is missing\n    remedy: add a line: abi = …',
    ]) {
      expect(err).toContain(expected);
    }
    expect(err).toMatch(/deputyd: 5 problems in .*deploy\n$/);
    expect(existsSync(deploy.socket)).toBe(false);
  });

  it('serves, ends streams properly on SIGTERM, removes its sockets and exits with 0', async () => {
    const daemon = deputyd();
    await daemon.logged('listening');
    expect(await ping()).toEqual({ version: 1 });
    expect(lstatSync(deploy.socket).mode & 0o777).toBe(0o666);
    expect(lstatSync(deploy.adminSocket).mode & 0o777).toBe(0o600);
    const operator = await Connection.open(deploy.adminSocket);
    const replies = operator.stream('io.deputy.Admin.Monitor', { version: 1 });
    const last = replies.next();
    // Answered after the stream began: the call under way is the stream.
    await ping();
    const { code, signal, err } = await daemon.stop();
    expect({ code, signal, err }).toEqual({ code: 0, signal: null, err: '' });
    // The last reply of a stream, not a broken connection.
    expect(await last).toMatchObject({ value: { dropped: 0 } });
    expect(await replies.next()).toEqual({ done: true, value: undefined });
    operator.close();
    expect(existsSync(deploy.socket)).toBe(false);
    expect(existsSync(deploy.adminSocket)).toBe(false);
  });

  it('replaces the sockets of a daemon that was killed', async () => {
    const first = deputyd();
    await first.logged('listening');
    await first.stop('SIGKILL');
    expect(existsSync(deploy.socket)).toBe(true);
    const second = deputyd();
    await second.logged('listening');
    expect(await ping()).toEqual({ version: 1 });
  });

  it('leaves a daemon alone that uses the same state, and says so with 3', async () => {
    await deputyd().logged('listening');
    const { code, err } = await deputyd('--socket', join(deploy.directory, 'other.sock')).ended;
    expect({ code, err }).toEqual({
      code: 3,
      err: `deputyd: the state directory ${deploy.stateDirectory} can't be used: another deputyd uses it\n`,
    });
    expect(await ping()).toEqual({ version: 1 });
  });

  it.each<['socket' | 'adminSocket']>([['socket'], ['adminSocket']])(
    'does not take a living %s from another process, and leaves nothing of its own',
    async (name) => {
      const other = createServer().listen(deploy[name]);
      const { code, err } = await deputyd().ended;
      expect({ code, err }).toEqual({
        code: 3,
        err: `deputyd: ${deploy[name]} is served by another process: stop it first\n`,
      });
      expect(existsSync(deploy[name === 'socket' ? 'adminSocket' : 'socket'])).toBe(false);
      expect(existsSync(deploy[name])).toBe(true);
      other.close();
    },
  );

  it('does not remove what is no socket', async () => {
    writeFileSync(deploy.socket, 'precious');
    const { code, err } = await deputyd().ended;
    expect(code).toBe(3);
    expect(err).toBe(`deputyd: ${deploy.socket} exists and is no socket: move it away\n`);
  });

  it('says which audit log it cannot open', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'deputy-audit-'));
    mkdirSync(join(folder, 'audit.jsonl'));
    const { code, err } = await deputyd('--audit-file', join(folder, 'audit.jsonl')).ended;
    expect(code).toBe(3);
    expect(err).toMatch(/^deputyd: the audit log \S+ can't be opened: EISDIR/);
    rmSync(folder, { recursive: true });
  });

  it('has in no thread a capability that it does not need, and no way to get one', async () => {
    const before = readPrivileges();
    const daemon = deputyd();
    await daemon.logged('listening');
    const needed = before.permitted & capabilitySet(['CAP_SYS_NICE', 'CAP_SYS_RESOURCE']);
    const threads = readdirSync(`/proc/${daemon.pid}/task`);
    expect(threads.length).toBeGreaterThan(4);
    for (const tid of threads) {
      expect(readPrivileges(`/proc/${daemon.pid}/task/${tid}/status`)).toEqual({
        permitted: needed,
        effective: needed,
        bounding: before.bounding & capabilitySet(['CAP_SYS_NICE', 'CAP_SYS_RESOURCE']),
        ambient: 0n,
        noNewPrivs: true,
      });
    }
    expect(readFileSync(`/proc/${daemon.pid}/environ`, 'latin1')).not.toContain('LISTEN_FDS');
  });

  const noLandlock = landlockVersion() > 0 ? undefined : 'the kernel has no Landlock';
  it.skipIf(noLandlock !== undefined)(
    titled(
      'reaches no file of root that is not its own, by a link in its deploy directory either',
      noLandlock,
    ),
    async () => {
      symlinkSync('/etc/hostname', join(deploy.deployDirectory, 'plugins/evil.wasm'));
      symlinkSync('/etc/shadow', join(deploy.deployDirectory, 'plugins/evil.toml'));
      expect(readFileSync('/etc/hostname').length).toBeGreaterThan(0);
      const { code, err } = await deputyd().ended;
      expect(code).toBe(2);
      expect(err).toContain("plugins/evil.wasm: can't be opened: EACCES");
      expect(err).toContain("plugins/evil.toml: can't be opened: EACCES");
    },
  );

  it('keeps CAP_DAC_OVERRIDE where deputy.toml wants delegated cgroups', async () => {
    appendFileSync(join(deploy.deployDirectory, 'deputy.toml'), 'privilege = { delegated_cgroups = true }\n');
    const daemon = deputyd();
    await daemon.logged('listening');
    const { permitted } = readPrivileges(`/proc/${daemon.pid}/status`);
    expect(permitted & capabilitySet(['CAP_DAC_OVERRIDE'])).not.toBe(0n);
  });

  it('takes over the sockets of the service manager by their names, over its second image', async () => {
    const [broker, admin] = [
      join(deploy.directory, 'given.sock'),
      join(deploy.directory, 'given-admin.sock'),
    ];
    // As systemd hands them over: listening, from descriptor 3 on, for the pid that executes the daemon.
    const handOver = [
      'python3',
      '-c',
      `
import os, socket, sys
for n, path in enumerate(sys.argv[1:3]):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(8)
    os.dup2(listener.fileno(), 10 + n)
for n in range(2):
    os.dup2(10 + n, 3 + n, inheritable=True)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "2", "LISTEN_FDNAMES": "admin:deputy"}
os.execvp(sys.argv[3], sys.argv[3:])
`,
      admin,
      broker,
    ];
    const daemon = new DaemonProcess(['--config', deploy.deployDirectory], {}, handOver);
    started.push(daemon);
    expect(await daemon.logged('listening')).toMatchObject({
      addresses: ['inherited descriptor 3', 'inherited descriptor 4'],
    });
    const [client, operator] = [await Connection.open(broker), await Connection.open(admin)];
    expect(await client.call('io.deputy.Broker.Ping', { version: 1 })).toEqual({ version: 1 });
    expect(await operator.call('io.deputy.Admin.Status', { version: 1 })).toMatchObject({ connections: 1 });
    client.close();
    operator.close();
    expect((await daemon.stop()).code).toBe(0);
    // The manager made them, and keeps them.
    expect(existsSync(broker)).toBe(true);
    expect(existsSync(deploy.socket)).toBe(false);
  });

  // By way of a shell: setpriv itself still has the capabilities that open any folder.
  const asOther = spawnSync(
    'setpriv',
    ['--reuid=4321', '--regid=4321', '--clear-groups', 'sh', '-c', 'exec "$0" -e 0', process.execPath],
    { cwd: '/' },
  );
  const whyNotUser =
    asOther.status === 0 ? undefined : `setpriv (util-linux) can't start ${process.execPath} as another user`;

  it.skipIf(whyNotUser !== undefined)(
    titled('keeps what another user than root was given as ambient', whyNotUser),
    async () => {
      chownAll(deploy.directory, 4321);
      const asUser = [
        'setpriv',
        '--reuid=4321',
        '--regid=4321',
        '--clear-groups',
        '--inh-caps=+sys_nice,+chown',
      ];
      const daemon = new DaemonProcess(['--config', deploy.deployDirectory], {}, [
        ...asUser,
        '--ambient-caps=+sys_nice,+chown',
      ]);
      started.push(daemon);
      await daemon.logged('listening');
      expect(readPrivileges(`/proc/${daemon.pid}/status`)).toMatchObject({
        permitted: capabilitySet(['CAP_SYS_NICE']),
        effective: capabilitySet(['CAP_SYS_NICE']),
        ambient: 0n,
        noNewPrivs: true,
      });
      expect((await daemon.stop()).code).toBe(0);
    },
  );
});

function chownAll(path: string, uid: number): void {
  chownSync(path, uid, uid);
  for (const entry of readdirSync(path, { recursive: true, encoding: 'utf8' }))
    chownSync(join(path, entry), uid, uid);
}
