/** A process with vCPU threads that stay and others that are born and die all the time (programs/threads.c). */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { listThreads, readCgroup } from '../../../host-api/kernel/proc.ts';
import { after } from './check.ts';
import { UID } from './client.ts';
import { BUILD } from './deputyd.ts';

export interface Machine {
  readonly pid: number;
  readonly vcpus: readonly number[];
  /** The next line that the program prints. */
  next<T>(): Promise<T>;
}

export interface MachineOptions {
  /** An existing cgroup, for it to be born in. */
  readonly cgroup: string;
  readonly vcpus: number;
  /** How many threads start others, besides as many chains. */
  readonly spawners?: number;
  /** How long each thread of a chain lives. Here everything takes some twenty times as long as on a real machine. */
  readonly chainMs?: number;
}

export function startMachine({
  cgroup,
  vcpus,
  spawners = 0,
  chainMs = 30,
}: MachineOptions): Promise<Machine> {
  return startProgram(cgroup, 'threads', [vcpus, spawners, chainMs * 1000]);
}

/** Threads that don't sleep any more once they are realtime (programs/spin.c). */
export function startSpinner(cgroup: string, threads: number): Promise<Machine> {
  return startProgram(cgroup, 'spin', [threads]);
}

async function startProgram(cgroup: string, name: string, words: readonly number[]): Promise<Machine> {
  const born = `echo 0 > /sys/fs/cgroup${cgroup}/cgroup.procs && exec setpriv --reuid=${UID} --regid=${UID} --clear-groups "$@"`;
  const child = spawn('sh', ['-c', born, 'sh', join(BUILD, 'bin', name), ...words.map(String)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  after(() => void child.kill('SIGKILL'));
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const next = async <T>(): Promise<T> => JSON.parse((await lines.next()).value as string) as T;
  return { ...(await next<Omit<Machine, 'next'>>()), next };
}

/** Where each thread is, by cgroup; those that end meanwhile are left out. */
export function threadsByCgroup(pid: number): Map<string, number[]> {
  const found = new Map<string, number[]>();
  for (const tid of listThreads(pid)) {
    const cgroup = readCgroup(tid, pid);
    if (cgroup !== undefined) found.set(cgroup, [...(found.get(cgroup) ?? []), tid]);
  }
  return found;
}
