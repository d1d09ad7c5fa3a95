import { existsSync, lstatSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Connection } from '../../client/connection.ts';
import { type TestDeploy, writeDeploy } from '../support/daemon.ts';
import { DaemonProcess } from '../support/deputyd.ts';

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
});
