/** What proc(5) tells about processes and threads, parsed so that no name a process gives itself can mislead. */
import { closeSync, openSync, readdirSync, readFileSync, readlinkSync, readSync } from 'node:fs';
import type { Limit, Memlock } from '../contract.ts';
import { DeputyError } from '../errors.ts';

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
  /** Of the first thread: Z where it has ended, be there other threads or not. */
  readonly state: string;
  readonly threadGroupId: number;
  readonly parentPid: number;
  /** Real, effective, saved and file system uid. */
  readonly uids: readonly [number, number, number, number];
  readonly gids: readonly [number, number, number, number];
  /** The id in each pid namespace, from that of /proc inwards (NSpid). Never empty. */
  readonly namespacePids: readonly number[];
}

/** PF_KTHREAD (linux/sched.h). */
const KERNEL_THREAD = 0x0020_0000;

/** A status with 5,000 supplementary groups fits. A longer file is refused, never read in part. */
const buffer = Buffer.alloc(64 * 1024);

/**
 * Reads a whole small file of /proc into `buffer`, in one read, so that it is one moment. Returns its length, or -1
 * where the process is gone. Throws NotSupported.
 */
export function readWhole(fd: number): number {
  let length: number;
  try {
    length = readSync(fd, buffer, 0, buffer.length, 0);
  } catch (error) {
    if (isGoneError(error)) return -1;
    throw error;
  }
  // A process decides how long its group list and its cgroup's path are: what was cut off could be another's line.
  if (length === buffer.length) {
    throw new DeputyError(
      'NotSupported',
      `a file of /proc is longer than ${buffer.length} bytes: a process with thousands of groups, or a cgroup too deep`,
    );
  }
  return length;
}

function readPath(path: string): number {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch (error) {
    if (isGoneError(error)) return -1;
    throw error;
  }
  try {
    return readWhole(fd);
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

/** Undefined where the process or thread is gone; so are the others. */
export function readStat(id: number, threadOf?: number): ProcStat | undefined {
  return parseStat(readPath(`${folder(id, threadOf)}/stat`));
}

export function readStatus(id: number, threadOf?: number): ProcStatus | undefined {
  return parseStatus(readPath(`${folder(id, threadOf)}/status`));
}

/**
 * How long a thread has waited for a CPU in all; a wait that goes on is counted when it ends
 * (Documentation/scheduler/sched-stats.rst). Undefined where it is gone, or the kernel keeps no count.
 */
export function readWaitedNs(tid: number, pid: number): bigint | undefined {
  const length = readPath(`${folder(tid, pid)}/schedstat`);
  if (length <= 0) return undefined;
  const [, waited] = buffer.toString('latin1', 0, length).split(' ');
  if (waited === undefined) throw new RangeError('a schedstat file of /proc has fewer than two fields');
  return BigInt(waited);
}

/** The calling thread's id, which Node does not tell: of a worker it is not the process's. */
export function readOwnThreadId(): number {
  return Number(readlinkSync('/proc/thread-self').split('/').at(-1));
}

/** The name that a thread gave itself; the cheapest proof too that the thread is one of the process. */
export function readCommUntrusted(tid: number, pid: number): string | undefined {
  const length = readPath(`${folder(tid, pid)}/comm`);
  return length <= 0 ? undefined : buffer.toString('utf8', 0, length - 1);
}

/** The cgroup v2 path, or undefined: gone, or on no cgroup v2. Exactly as the kernel prints it. */
export function readCgroup(id: number, threadOf?: number): string | undefined {
  return parseCgroup(readPath(`${folder(id, threadOf)}/cgroup`));
}

/**
 * RLIMIT_MEMLOCK as /proc/PID/limits shows it to everybody; prlimit(2) shows it to the process's own user and to
 * CAP_SYS_RESOURCE alone.
 */
export function readMemlockShown(pid: number): Memlock | undefined {
  const length = readPath(`/proc/${pid}/limits`);
  if (length <= 0) return undefined;
  const line = /^Max locked memory +(\d+|unlimited) +(\d+|unlimited) /m.exec(
    buffer.toString('latin1', 0, length),
  );
  const [, soft, hard] = line ?? [];
  if (soft === undefined || hard === undefined)
    throw new RangeError('a limits file of /proc has no locked memory');
  return { soft: parseLimit(soft), hard: parseLimit(hard) };
}

function parseLimit(text: string): Limit {
  return text === 'unlimited' ? { tag: 'unlimited' } : { tag: 'bytes', val: BigInt(text) };
}

/** Fields of proc_pid_stat(5), counted from the state, which follows the name. */
const [PARENT_PID, FLAGS, START_TIME] = [1, 6, 19];

function parseStat(length: number): ProcStat | undefined {
  if (length <= 0) return undefined;
  // The name stands in parentheses and may hold any byte, ")" and spaces too: the fields begin after the *last* one.
  const text = buffer.toString('latin1', 0, length);
  const end = text.lastIndexOf(')');
  const fields: string[] = [];
  let from = end + 2;
  while (fields.length <= START_TIME) {
    const to = text.indexOf(' ', from);
    if (to === -1) throw new RangeError('a stat file of /proc ends before its start time');
    fields.push(text.slice(from, to));
    from = to + 1;
  }
  return {
    state: fields[0] ?? '',
    parentPid: Number(fields[PARENT_PID]),
    flags: Number(fields[FLAGS]),
    startTimeTicks: BigInt(fields[START_TIME] ?? ''),
    commUntrusted: buffer.toString('utf8', text.indexOf('(') + 1, end),
  };
}

/** For files that are held open: parses what `readWhole` has just read. */
export function parseStatus(length: number): ProcStatus | undefined {
  if (length <= 0) return undefined;
  const text = buffer.toString('latin1', 0, length);
  return {
    state: field(text, 'State').charAt(0),
    threadGroupId: numbers(text, 'Tgid')[0] ?? -1,
    parentPid: numbers(text, 'PPid')[0] ?? -1,
    uids: four(numbers(text, 'Uid')),
    gids: four(numbers(text, 'Gid')),
    namespacePids: numbers(text, 'NSpid'),
  };
}

/** A name can't forge a line: the kernel escapes newlines in the Name field (proc_task_name). */
function field(text: string, name: string): string {
  const start = text.indexOf(`\n${name}:\t`);
  if (start === -1) throw new RangeError(`a status file of /proc has no line ${name}`);
  const from = start + name.length + 3;
  return text.slice(from, text.indexOf('\n', from));
}

function numbers(text: string, name: string): number[] {
  return field(text, name).split('\t').map(Number);
}

function four(values: readonly number[]): [number, number, number, number] {
  const [a = -1, b = -1, c = -1, d = -1] = values;
  return [a, b, c, d];
}

export function parseCgroup(length: number): string | undefined {
  if (length <= 0) return undefined;
  const text = buffer.toString('utf8', 0, length);
  // The kernel allows no newline in a cgroup's name, neither in v1 nor in v2, so no name can forge the line.
  const start = text.startsWith('0::') ? 0 : text.indexOf('\n0::') + 1;
  if (start === 0 && !text.startsWith('0::')) return undefined;
  const end = text.indexOf('\n', start);
  return end === -1 ? undefined : text.slice(start + 3, end);
}

export function isKernelThread(stat: ProcStat): boolean {
  return (stat.flags & KERNEL_THREAD) !== 0;
}

/** Dead but not reaped, or on its way: no target. */
export function isZombie({ state }: { readonly state: string }): boolean {
  return state === 'Z' || state === 'X' || state === 'x';
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

/**
 * Whether /proc counts pids as this process does. A /proc of another pid namespace (the host's, mounted into a
 * container) would describe strangers under the pids that the kernel gives us.
 */
export function isOwnProc(): boolean {
  return readlinkSync('/proc/self') === String(process.pid);
}

/**
 * The program a process runs, for people who read the audit: undefined where it can't be told, as for other users'
 * processes without CAP_SYS_PTRACE. Any process may run any program and be made to do anything: never an identity.
 */
export function readExeUntrusted(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/exe`);
  } catch {
    return undefined;
  }
}
