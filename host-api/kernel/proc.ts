/** What proc(5) tells about processes and threads, parsed so that no name a process gives itself can mislead. */
import { closeSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs';

export interface ProcStat {
  /** R, S, D, Z, T, t, X, I … */
  readonly state: string;
  readonly parentPid: number;
  readonly flags: number;
  /** Field 22: clock ticks since boot. With the pid, it names one process for the life of the machine. */
  readonly startTimeTicks: bigint;
  /** Chosen by the process itself. */
  readonly commUntrusted: string;
}

export interface ProcStatus {
  /** Real, effective, saved and file system uid. */
  readonly uids: readonly [number, number, number, number];
  readonly gids: readonly [number, number, number, number];
  readonly threadGroupId: number;
  /** The id in each pid namespace, from the reader's inwards (NSpid). */
  readonly namespacePids: readonly number[];
}

/** PF_KTHREAD (linux/sched.h). */
const KERNEL_THREAD = 0x0020_0000;

const buffer = Buffer.alloc(16 * 1024);

/** Small files of /proc in one read, so that they are one moment. Undefined where the process is gone. */
function readSmall(path: string): string | undefined {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch (error) {
    if (isGoneError(error)) return undefined;
    throw error;
  }
  try {
    return buffer.toString('latin1', 0, readSync(fd, buffer, 0, buffer.length, 0));
  } catch (error) {
    if (isGoneError(error)) return undefined;
    throw error;
  } finally {
    closeSync(fd);
  }
}

function isGoneError(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOENT' || code === 'ESRCH';
}

/** `threadOf` gives the thread `id` of that process. */
function folder(id: number, threadOf?: number): string {
  return threadOf === undefined ? `/proc/${id}` : `/proc/${threadOf}/task/${id}`;
}

export function readStat(id: number, threadOf?: number): ProcStat | undefined {
  const text = readSmall(`${folder(id, threadOf)}/stat`);
  if (text === undefined || text === '') return undefined;
  // The name stands in parentheses and may hold any byte, ")" and spaces too: the fields begin after the *last* one.
  const end = text.lastIndexOf(')');
  const fields = text.slice(end + 2).split(' ');
  return {
    state: fields[0] ?? '',
    parentPid: Number(fields[1]),
    flags: Number(fields[6]),
    startTimeTicks: BigInt(fields[19] ?? 0),
    commUntrusted: Buffer.from(text.slice(text.indexOf('(') + 1, end), 'latin1').toString('utf8'),
  };
}

export function isKernelThread(stat: ProcStat): boolean {
  return (stat.flags & KERNEL_THREAD) !== 0;
}

/** Dead but not reaped, or on its way: no target. */
export function isZombie(stat: ProcStat): boolean {
  return stat.state === 'Z' || stat.state === 'X' || stat.state === 'x';
}

export function readStatus(id: number, threadOf?: number): ProcStatus | undefined {
  const text = readSmall(`${folder(id, threadOf)}/status`);
  if (text === undefined || text === '') return undefined;
  // A name can't forge a line: the kernel escapes newlines in the Name field (proc_task_name).
  const field = (name: string): number[] =>
    (new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(text)?.[1] ?? '').trim().split(/\s+/).map(Number);
  const four = (values: number[]): [number, number, number, number] => [
    values[0] ?? -1,
    values[1] ?? -1,
    values[2] ?? -1,
    values[3] ?? -1,
  ];
  return {
    uids: four(field('Uid')),
    gids: four(field('Gid')),
    threadGroupId: field('Tgid')[0] ?? -1,
    namespacePids: field('NSpid'),
  };
}

/** The cgroup v2 path, or undefined: gone, or on no cgroup v2. Exactly as the kernel prints it. */
export function readCgroup(id: number, threadOf?: number): string | undefined {
  const text = readSmall(`${folder(id, threadOf)}/cgroup`);
  if (text === undefined) return undefined;
  const line = text.split('\n').find((entry) => entry.startsWith('0::'));
  return line === undefined ? undefined : Buffer.from(line.slice(3), 'latin1').toString('utf8');
}

/** Thread ids of a process in the host's numbering, ascending; empty where it is gone. */
export function listThreads(pid: number): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`)
      .map(Number)
      .sort((a, b) => a - b);
  } catch (error) {
    if (isGoneError(error)) return [];
    throw error;
  }
}

/** Changes with each boot: start times and pids of another boot mean nothing. */
export function readBootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
}
