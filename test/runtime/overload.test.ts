import { once } from 'node:events';
import { chmodSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Connection } from '../../client/connection.ts';
import { CallError } from '../../client/errors.ts';
import { writeMemlock } from '../../host-api/kernel/prlimit.ts';
import { bytes } from '../../host-api/limit.ts';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { startSleeper, startThreaded, titled, type Victim, whyNoCgroups } from '../support/processes.ts';
import { Puppet } from '../support/puppet.ts';
import { TestCgroup } from '../support/test-cgroup.ts';

const whyNot = whyNoCgroups();

describe.skipIf(whyNot !== undefined)(titled('overload', whyNot), () => {
  let cgroup: TestCgroup;
  let daemon: TestDaemon | undefined;
  const victims: Victim[] = [];
  const connections: Connection[] = [];
  const puppets: Puppet[] = [];

  beforeAll(() => {
    cgroup = new TestCgroup('deputy-overload');
    cgroup.move(process.pid, cgroup.make('a'));
    cgroup.make('b');
  });
  afterEach(async () => {
    for (const connection of connections.splice(0)) connection.close();
    for (const puppet of puppets.splice(0)) await puppet.kill();
    await daemon?.stop();
    daemon = undefined;
    for (const victim of victims.splice(0)) await victim.kill();
  });
  afterAll(async () => {
    cgroup.move(process.pid, '/');
    await cgroup.remove();
  });

  const start = async (toml: string): Promise<TestDaemon> => {
    daemon = await startDaemon(toml);
    chmodSync(daemon.directory, 0o755);
    return daemon;
  };
  const open = async (path: string): Promise<Connection> => {
    const connection = await Connection.open(path);
    connections.push(connection);
    return connection;
  };
  /** A process in the scope, which the test itself enters. */
  const victimIn = (scope: 'a' | 'b', victim = startSleeper()): Victim => {
    victims.push(victim);
    writeMemlock(victim, { soft: bytes(1n << 20n), hard: bytes(1n << 20n) });
    enter(scope);
    cgroup.move(victim.pid, `${cgroup.path}/${scope}`);
    return victim;
  };
  const enter = (scope: 'a' | 'b'): void => cgroup.move(process.pid, `${cgroup.path}/${scope}`);
  const call = async (connection: Connection, method: string, parameters: object): Promise<unknown> => {
    try {
      return await connection.call(`io.deputy.Broker.${method}`, { version: 1, ...parameters });
    } catch (error) {
      if (!(error instanceof CallError)) throw error;
      return { code: error.code, message: error.message, detail: error.parameters['detail'] };
    }
  };
  const setMemlock = (connection: Connection, { pid }: Victim, softBytes: bigint, hardBytes = 1n << 20n) =>
    call(connection, 'SetMemlock', { target: { pid }, softBytes, hardBytes });

  it('a connection over the share of its uid is told so at its first call; other uids and the operator come in', async () => {
    const { socket, adminSocket } = await start('limits = { connections_per_uid = 2 }');
    await open(socket);
    const second = await open(socket);
    expect(await call(second, 'Ping', {})).toEqual({ version: 1 });
    expect(await call(await open(socket), 'SetMemlock', {})).toEqual({
      code: 'Busy',
      message: 'too many connections of uid 0: 2 are allowed; try again later',
      detail: { allowed: 2 },
    });
    const other = await Puppet.start({ uid: 4321 });
    puppets.push(other);
    cgroup.move(other.child.pid ?? -1, `${cgroup.path}/a`);
    await other.does('connect', socket);
    expect(await other.does('ask', 'io.deputy.Broker.Ping', { version: 1 })).toEqual({
      parameters: { version: 1 },
    });
    const operator = await open(adminSocket);
    expect(await operator.call('io.deputy.Admin.Status', { version: 1 })).toMatchObject({ connections: 3 });
    // One that leaves makes room.
    second.close();
    await expect
      .poll(async () => (await operator.call('io.deputy.Admin.Status', { version: 1 }))['connections'])
      .toBe(2);
    expect(await call(await open(socket), 'Ping', {})).toEqual({ version: 1 });
  });

  it('all connections together have their limit too', async () => {
    const { socket } = await start('limits = { connections = 1 }');
    await open(socket);
    expect(await call(await open(socket), 'Ping', {})).toMatchObject({
      code: 'Busy',
      message: 'too many connections: 1 are allowed; try again later',
    });
  });

  it('requests over the rate of a uid are answered with Busy, over all its connections; another uid has its own', async () => {
    const { socket } = await start('limits = { requests_per_second = 3 }');
    const [one, two] = [await open(socket), await open(socket)];
    const answers = await Promise.all([one, two, one, two, one].map((each) => call(each, 'Ping', {})));
    expect(answers.filter((answer) => (answer as { version?: number }).version === 1)).toHaveLength(3);
    expect(answers.at(-1)).toEqual({
      code: 'Busy',
      message: 'too many requests per second of uid 0: 3 are allowed; try again later',
      detail: { allowed: 3 },
    });
    const other = await Puppet.start({ uid: 4321 });
    puppets.push(other);
    cgroup.move(other.child.pid ?? -1, `${cgroup.path}/a`);
    await other.does('connect', socket);
    expect(await other.does('ask', 'io.deputy.Broker.Ping', { version: 1 })).toEqual({
      parameters: { version: 1 },
    });
  });

  it('the quota of actions is of one scope; another is granted as before', async () => {
    const { socket } = await start('quota = { actions = 2, interval_ms = 3_600_000 }');
    const connection = await open(socket);
    const first = victimIn('a');
    for (const soft of [4096n, 8192n]) {
      expect(await setMemlock(connection, first, soft)).toHaveProperty('outcome');
    }
    const refused = await setMemlock(connection, first, 16_384n);
    expect(refused).toMatchObject({
      code: 'QuotaExceeded',
      detail: { quota: 'actions', requested: 3, allowed: 2 },
    });
    expect(refused).toHaveProperty('detail.retryAfterMs');
    // What the policy denies is no action, and is denied as ever.
    expect(await setMemlock(connection, first, 4096n, 1n << 40n)).toMatchObject({ code: 'Denied' });
    expect(await setMemlock(connection, victimIn('b'), 4096n)).toHaveProperty('outcome');
    enter('a');
    expect(await setMemlock(connection, first, 16_384n)).toMatchObject({ code: 'QuotaExceeded' });
  });

  it('the quota of locked memory counts what the scope holds, the target itself replaced', async () => {
    const { socket } = await start('quota = { memlock_bytes = "1536 KiB" }');
    const connection = await open(socket);
    const [one, two] = [victimIn('a'), victimIn('a')];
    expect(await setMemlock(connection, one, 4096n)).toHaveProperty('outcome');
    expect(await setMemlock(connection, one, 8192n)).toHaveProperty('outcome');
    expect(await setMemlock(connection, two, 4096n)).toEqual({
      code: 'QuotaExceeded',
      message: `memlock 1 MiB takes scope ${cgroup.path}/a, which holds 1 MiB, over its quota of 1536 KiB`,
      detail: { quota: 'memlock_bytes', requested: 2_097_152, allowed: 1_572_864 },
    });
    expect(await setMemlock(connection, two, 4096n, 1n << 19n)).toHaveProperty('outcome');
  });

  it('the quota of realtime threads counts every thread of the target', async () => {
    const { socket } = await start('quota = { realtime_threads = 2 }');
    const connection = await open(socket);
    const { pid } = victimIn('a', await startThreaded(2));
    expect(
      await call(connection, 'SetScheduler', { target: { pid }, policy: 'fifo', priority: 1 }),
    ).toMatchObject({
      code: 'QuotaExceeded',
      detail: { quota: 'realtime_threads', requested: 3, allowed: 2 },
    });
  });

  it('a flood of one client does not put off another: it is answered after a handful of calls at most', async () => {
    const { socket, auditFile } = await start('');
    const victim = victimIn('a');
    const request = (hardBytes: number): string =>
      `${JSON.stringify({
        method: 'io.deputy.Broker.SetMemlock',
        parameters: { version: 1, target: { pid: victim.pid }, hardBytes },
      })}\0`;
    const [flooder, other] = [connect(socket), connect(socket)];
    await Promise.all([once(flooder, 'connect'), once(other, 'connect')]);
    // Denied ones: each goes through the plugin and the audit, whose numbers show the order.
    flooder.write(request(1 << 30).repeat(30));
    other.write(request(1 << 29));
    await once(other, 'data');
    const order = readFileSync(auditFile, 'utf8')
      .trim()
      .split('\n')
      .map((line) => /"hard":\{"tag":"bytes","val":(\d+)\}/.exec(line)?.[1])
      .filter((asked) => asked !== undefined);
    const turn = order.indexOf(String(1 << 29));
    expect(turn).toBeGreaterThan(-1);
    expect(turn).toBeLessThan(8);
    flooder.destroy();
    other.destroy();
  });
});
