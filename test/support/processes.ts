/** Real processes for tests to act on, and where this host can't do something: why. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { CgroupFs } from '../../host-api/kernel/cgroup-fs.ts';
import { openPidfd } from '../../host-api/kernel/pidfd.ts';
import { listThreads, readStat } from '../../host-api/kernel/proc.ts';
import type { Process } from '../../host-api/target.ts';

export interface Victim extends Process {
  readonly child: ChildProcess;
  kill(): Promise<void>;
}

/** A sleeping process of one thread. */
export function startSleeper(uid?: number): Victim {
  return victim(spawn('sleep', ['1000'], uid === undefined ? {} : { uid, gid: uid }));
}

/** A process with that many threads besides its first, which sleep; `true` once all are there. */
export async function startThreaded(threads: number, uid?: number): Promise<Victim> {
  const program = `
import threading, time, sys
for n in range(${threads}):
    threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
print("ready", flush=True)
time.sleep(1000)
`;
  const child = spawn('python3', ['-c', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
    ...(uid === undefined ? {} : { uid, gid: uid }),
  });
  await once(child.stdout, 'data');
  return victim(child);
}

function victim(child: ChildProcess): Victim {
  const pid = child.pid;
  if (pid === undefined) throw new Error('the process did not start');
  const stat = readStat(pid);
  if (stat === undefined) throw new Error('the process ended at once');
  return {
    child,
    pid,
    startTimeTicks: stat.startTimeTicks,
    pidfd: openPidfd(pid),
    async kill() {
      if (child.exitCode === null && child.signalCode === null) {
        const exit = once(child, 'exit');
        child.kill('SIGKILL');
        await exit;
      }
    },
  };
}

export function otherThreads(process: Process): number[] {
  return listThreads(process.pid).filter((tid) => tid !== process.pid);
}

const CAPABILITIES = { CAP_SYS_NICE: 23, CAP_SYS_RESOURCE: 24 } as const;

export function hasCapability(name: keyof typeof CAPABILITIES): boolean {
  const effective = BigInt(
    `0x${/^CapEff:\s*(\S+)/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1] ?? '0'}`,
  );
  return ((effective >> BigInt(CAPABILITIES[name])) & 1n) === 1n;
}

/** Undefined where this process may make cgroups; else the reason for a skip. */
export function whyNoCgroups(): string | undefined {
  const fs = CgroupFs.open();
  if (fs === undefined) return 'no cgroup v2 hierarchy is mounted whole';
  const name = `deputy-probe-${process.pid}`;
  try {
    fs.create('/', name);
    fs.remove('/', name);
    return undefined;
  } catch (error) {
    return `no cgroup can be made: ${(error as Error).message}`;
  } finally {
    fs.close();
  }
}

/** Titles of tests that can't run here end with the reason, so that a skip explains itself in the output. */
export function titled(title: string, reason: string | undefined): string {
  return reason === undefined ? title : `${title} (skipped: ${reason})`;
}
