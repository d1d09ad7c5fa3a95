import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { afterAll, describe, expect, it } from 'vitest';
import { ServiceManager } from '../../runtime/service-manager.ts';
import { writeDeploy } from '../support/daemon.ts';
import { DaemonProcess } from '../support/deputyd.ts';
import { titled } from '../support/processes.ts';

const UNITS = resolve(import.meta.dirname, '../../examples/systemd');
const folder = mkdtempSync(join(tmpdir(), 'deputy-notify-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** What systemd would be: a datagram socket, whose messages come as JSON texts, one a line. */
class Receiver {
  readonly messages: string[] = [];
  readonly #child;

  private constructor(address: string) {
    const script = `
import json, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind("\\0" + sys.argv[1][1:] if sys.argv[1].startswith("@") else sys.argv[1])
print("null", flush=True)
while True: print(json.dumps(s.recv(4096).decode()), flush=True)`;
    this.#child = spawn('python3', ['-c', script, address], { stdio: ['ignore', 'pipe', 'inherit'] });
  }

  static async open(address: string): Promise<Receiver> {
    const receiver = new Receiver(address);
    const lines = createInterface(receiver.#child.stdout);
    await once(lines, 'line');
    lines.on('line', (line) => receiver.messages.push(JSON.parse(line)));
    return receiver;
  }

  async saw(message: string | RegExp): Promise<void> {
    for (let n = 0; n < 200; n++) {
      if (this.messages.some((one) => (typeof message === 'string' ? one === message : message.test(one))))
        return;
      await sleep(25);
    }
    expect.fail(`${message} was not sent, only ${JSON.stringify(this.messages)}`);
  }

  close(): void {
    this.#child.kill('SIGKILL');
  }
}

const silent = pino({ level: 'silent' });

describe('the service manager', () => {
  it.each([
    ['a path', join(folder, 'notify')],
    ['an abstract name', `@deputy-notify-${process.pid}`],
  ])('is told by %s, and its watchdog fed', async (_what, address) => {
    const receiver = await Receiver.open(address);
    const env = {
      NOTIFY_SOCKET: address,
      WATCHDOG_USEC: '200000',
      WATCHDOG_PID: `${process.pid}`,
      PATH: '/bin',
    };
    const manager = new ServiceManager(env, process.pid, silent);
    expect(env).toEqual({ PATH: '/bin' });
    manager.ready('two\nlines');
    await receiver.saw('READY=1\nSTATUS=two lines');
    await receiver.saw('WATCHDOG=1');
    manager.stopping();
    await receiver.saw(/^STOPPING=1\n/);
    receiver.close();
  });

  it('is not fed where the watchdog is for another process', async () => {
    const address = join(folder, 'other');
    const receiver = await Receiver.open(address);
    const env = { NOTIFY_SOCKET: address, WATCHDOG_USEC: '20000', WATCHDOG_PID: '1' };
    new ServiceManager(env, process.pid, silent).ready('x');
    await receiver.saw(/^READY=1/);
    await sleep(100);
    expect(receiver.messages).toHaveLength(1);
    receiver.close();
  });

  it.each([
    [{}],
    [{ NOTIFY_SOCKET: 'vsock:2:1' }],
    [{ NOTIFY_SOCKET: join(folder, 'nobody') }],
    [{ NOTIFY_SOCKET: `/${'x'.repeat(200)}` }],
  ])('may be none: %j', (env) => {
    const manager = new ServiceManager({ ...env, WATCHDOG_USEC: '20000' }, process.pid, silent);
    manager.ready('x');
    manager.stopping();
  });

  it('hears from deputyd over its second image, and at its end', async () => {
    const deploy = writeDeploy();
    const address = join(folder, 'daemon');
    const receiver = await Receiver.open(address);
    const daemon = new DaemonProcess(['--config', deploy.deployDirectory], { NOTIFY_SOCKET: address });
    await receiver.saw('READY=1\nSTATUS=listening, plugins: as-asked');
    await daemon.stop();
    await receiver.saw(/^STOPPING=1/);
    receiver.close();
    rmSync(deploy.directory, { recursive: true });
  });
});

describe('the units', () => {
  const found = spawnSync('systemd-analyze', ['--version']).status === 0;
  const whyNot = found ? undefined : 'systemd-analyze is missing';

  it.skipIf(whyNot !== undefined)(titled('are what systemd can read', whyNot), () => {
    const units = ['deputyd.service', 'deputyd.socket', 'deputyd-admin.socket'];
    for (const unit of units) cpSync(join(UNITS, unit), join(folder, unit));
    // The program is not installed where the unit expects it.
    const service = join(folder, 'deputyd.service');
    writeFileSync(service, readFileSync(service, 'utf8').replace('/usr/bin/deputyd', '/bin/true'));
    const { stderr, status } = spawnSync(
      'systemd-analyze',
      ['verify', ...units.map((unit) => join(folder, unit))],
      {
        encoding: 'utf8',
      },
    );
    expect({ status, complaints: stderr.split('\n').filter((line) => line.includes('deputyd')) }).toEqual({
      status: 0,
      complaints: [],
    });
  });

  it('give the sockets the names that deputyd looks for, and the capabilities that it keeps', () => {
    const text = (unit: string): string => readFileSync(join(UNITS, unit), 'utf8');
    expect(text('deputyd.socket')).toContain('FileDescriptorName=deputy\n');
    expect(text('deputyd-admin.socket')).toMatch(/FileDescriptorName=admin\nSocketMode=0600\n/);
    expect(text('deputyd.service')).toContain(
      'CapabilityBoundingSet=CAP_SYS_RESOURCE CAP_SYS_NICE\nNoNewPrivileges=yes\n',
    );
  });
});
