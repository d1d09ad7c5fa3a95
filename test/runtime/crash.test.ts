// kill -9 at every step of a grant and of its release: the daemon is killed at the entry of the n-th system call of each
// kind, for every n there is, by strace's injection. What a request did is then either back as it was, or still in the
// ledger of the next daemon; never neither.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, rmSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Connection } from '../../client/connection.ts';
import { readMemlock, writeMemlock } from '../../host-api/kernel/prlimit.ts';
import { readCgroup } from '../../host-api/kernel/proc.ts';
import { readAffinity, readScheduling } from '../../host-api/kernel/sched.ts';
import { bytes } from '../../host-api/limit.ts';
import { auditFiles, verifyAudit } from '../../runtime/audit/verify.ts';
import { type TestDeploy, writeDeploy } from '../support/daemon.ts';
import { BUILT_PROGRAM, DaemonProcess } from '../support/deputyd.ts';
import { startSleeper, titled, type Victim, whyNoCgroups } from '../support/processes.ts';
import { TestCgroup } from '../support/test-cgroup.ts';

/**
 * All by which the daemon changes anything in the kernel or on disk. It makes them one after another on one thread, so
 * that being killed at the entry of each is being killed between any two.
 */
const CALLS = [
  ...['write', 'pwrite64', 'ftruncate', 'rename', 'mkdirat'],
  ...['prlimit64', 'sched_setattr', 'sched_setaffinity'],
];

const GRANTS: readonly [method: string, parameters: object][] = [
  ['SetMemlock', { softBytes: 65_536, hardBytes: 1_048_576 }],
  ['MoveCgroup', { group: 'housekeeping' }],
  ['SetScheduler', { policy: 'batch', nice: 5, cpus: [0] }],
];

const whyNot =
  whyNoCgroups() ??
  (spawnSync('strace', ['-o', '/dev/null', 'true']).status === 0
    ? undefined
    : 'strace is missing, or may not trace');

/** Lets `call` number `nth` of the daemon, from now on, be its last. Resolves once strace is attached. */
async function killAt(pid: number, call: string, nth: number): Promise<ChildProcess> {
  const inject = `--inject=${call}:signal=SIGKILL:when=${nth}`;
  const tracer = spawn('strace', ['-f', '-p', `${pid}`, '-e', `trace=${call}`, inject, '-o', '/dev/null'], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  for await (const line of createInterface(tracer.stderr)) {
    if (line.includes('attached')) return tracer;
  }
  throw new Error('strace did not attach');
}

describe.skipIf(whyNot !== undefined)(titled('a daemon that is killed', whyNot), () => {
  let cgroup: TestCgroup;
  let deploy: TestDeploy;
  let victim: Victim;
  let daemon: DaemonProcess;

  const start = async (): Promise<void> => {
    daemon = new DaemonProcess(['--config', deploy.deployDirectory], {}, [], [], BUILT_PROGRAM);
    await daemon.logged('listening');
  };

  beforeAll(async () => {
    cgroup = new TestCgroup('deputy-crash');
    cgroup.move(process.pid, cgroup.make('app'));
    deploy = writeDeploy('quota = { actions = 100000 }\nlimits = { requests_per_second = 100000 }');
    victim = startSleeper();
    writeMemlock(victim, { soft: bytes(1n << 20n), hard: bytes(1n << 20n) });
    await start();
  });

  afterAll(async () => {
    await daemon.stop('SIGKILL');
    await victim.kill();
    cgroup.move(process.pid, '/');
    await cgroup.remove();
    rmSync(deploy.directory, { recursive: true });
  });

  const call = async (socket: string, method: string, parameters: object): Promise<unknown> => {
    const connection = await Connection.open(socket);
    try {
      return await connection.call(method, { version: 1, ...parameters });
    } finally {
      connection.close();
    }
  };
  const ask = (method: string, parameters: object): Promise<unknown> =>
    call(deploy.socket, `io.deputy.Broker.${method}`, { target: { pid: victim.pid }, ...parameters });
  const held = async (): Promise<number> =>
    ((await call(deploy.adminSocket, 'io.deputy.Admin.Ledger', {})) as { grants: unknown[] }).grants.length;
  const state = (): Record<string, unknown> => ({
    memlock: readMemlock(victim),
    cgroup: readCgroup(victim.pid),
    scheduling: readScheduling(victim.pid),
    affinity: readAffinity(victim.pid),
  });

  it.each([
    ...GRANTS,
    ...GRANTS.slice(2).map(([method, parameters]) => [`Release of ${method}`, parameters] as const),
  ])('loses nothing in %s', { timeout: 240_000 }, async (name, parameters) => {
    const releasing = name.startsWith('Release');
    const method = name.replace('Release of ', '');
    const before = state();
    await ask(method, parameters);
    const after = state();
    expect(after).not.toEqual(before);
    await ask('Release', {});
    expect(state()).toEqual(before);

    const table: string[] = [];
    let kills = 0;
    for (const system of CALLS) {
      const found = { restored: 0, recorded: 0 };
      for (let nth = 1; ; nth++) {
        if (releasing) await ask(method, parameters);
        const tracer = await killAt(daemon.pid, system, nth);
        await (releasing ? ask('Release', {}) : ask(method, parameters)).catch(() => undefined);
        // A call that was not reached: nothing of this kind is left to be killed at.
        const survived = await Promise.race([
          daemon.ended.then(() => false),
          new Promise<boolean>((resolve) => setTimeout(() => resolve(true), 150)),
        ]);
        if (tracer.exitCode === null && tracer.signalCode === null) {
          const gone = once(tracer, 'exit');
          tracer.kill('SIGINT');
          await gone;
        }
        if (!survived) {
          kills++;
          await start();
        }
        const now = state();
        const grants = await held();
        const where = `${name}, ${system} number ${nth}`;
        if (grants === 0) expect(now, where).toEqual(before);
        else if (!releasing) expect(now, where).toEqual(after);
        // Taken back and not crossed out yet: it will be taken back again, and be found as it was.
        else
          for (const [field, value] of Object.entries(now))
            expect([before[field], after[field]], where).toContainEqual(value);
        if (!survived) found[grants === 0 ? 'restored' : 'recorded']++;
        await ask('Release', {});
        expect(state(), where).toEqual(before);
        if (survived) break;
      }
      if (found.restored + found.recorded > 0) {
        table.push(`${system.padEnd(18)} ${found.restored} restored, ${found.recorded} recorded, 0 lost`);
      }
    }
    console.log(`${name}: killed ${kills} times\n  ${table.join('\n  ')}`);
    // The intent, the effect, the record, the outcome, the answer: fewer kills would mean that nothing was traced.
    expect(kills).toBeGreaterThanOrEqual(releasing ? 3 : 5);
  });

  it('leaves an audit whose chain holds, with a record of each start', async () => {
    const { faults, stumps } = await verifyAudit(auditFiles(deploy.auditFile));
    expect({ faults, stumps }).toEqual({ faults: [], stumps: 0 });
    const starts = readFileSync(deploy.auditFile, 'utf8').match(/"kind":"start"/g) ?? [];
    expect(starts.length).toBeGreaterThan(20);
  });
});
