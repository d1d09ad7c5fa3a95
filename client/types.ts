/**
 * The types of io.deputy.Broker, written from its interface definition: `UPDATE_GOLDEN=1 npx vitest run test/client`.
 * Bytes, clock ticks, inodes and fuel are bigint; all other integers are numbers.
 */

/**
 * The process a request is about. Without a pid: the caller itself. startTimeTicks (field 22 of /proc/PID/stat) and
 * pidfdId (the inode of a pidfd, Linux 6.9) guard against a pid that means another process by now. At most one of
 * onlyThreads and exceptThreads; without either, the whole process.
 */
export interface Target {
  readonly pid?: number | undefined;
  readonly startTimeTicks?: bigint | undefined;
  readonly pidfdId?: bigint | undefined;
  readonly onlyThreads?: readonly number[] | undefined;
  readonly exceptThreads?: readonly number[] | undefined;
}

/** A limit in bytes, or none. */
export interface Limit {
  readonly bytes?: bigint | undefined;
  readonly unlimited?: boolean | undefined;
}

export interface Memlock {
  readonly soft: Limit;
  readonly hard: Limit;
}

export type Policy = 'other' | 'batch' | 'idle' | 'fifo' | 'rr' | 'deadline' | 'ext';

export interface Scheduling {
  readonly policy: Policy;
  readonly priority: number;
  readonly nice: number;
  readonly resetOnFork: boolean;
}

/** RLIMIT_MEMLOCK of a process, as read before and after. */
export interface MemlockChange {
  readonly pid: number;
  readonly before: Memlock;
  readonly after: Memlock;
}

/** Where a process was moved, or with a tid one thread of it. Paths are relative to the cgroup v2 root. */
export interface CgroupChange {
  readonly pid: number;
  readonly tid?: number | undefined;
  readonly before: string;
  readonly after: string;
}

export interface SchedulingChange {
  readonly pid: number;
  readonly tid: number;
  readonly before: Scheduling;
  readonly after: Scheduling;
}

export interface AffinityChange {
  readonly pid: number;
  readonly tid: number;
  readonly before: readonly number[];
  readonly after: readonly number[];
}

/**
 * What was done, as the kernel told afterwards; before equals after where it was so already. Ids in changes are the
 * host's. vanished are threads that were asked for and had ended.
 */
export interface Outcome {
  readonly id: number;
  readonly plugin: string;
  readonly memlock: readonly MemlockChange[];
  readonly cgroup: readonly CgroupChange[];
  readonly scheduling: readonly SchedulingChange[];
  readonly affinity: readonly AffinityChange[];
  readonly vanished: readonly number[];
}

/** How one plugin of the chain decided. mode is "enforce" or "monitor", verdict "allow", "deny" or "pass". */
export interface Step {
  readonly plugin: string;
  readonly sha256: string;
  readonly mode: string;
  readonly verdict: string;
  readonly reason?: string | undefined;
  readonly fault?: string | undefined;
  readonly factsRead: readonly string[];
  readonly refusals: readonly string[];
  readonly effects: readonly string[];
  readonly fuelUsed: bigint;
}

export interface Operation {
  readonly name: string;
  readonly available: boolean;
  readonly reason?: string | undefined;
}

/**
 * Sets both limits of RLIMIT_MEMLOCK. Exactly one of hardBytes and unlimited; softBytes is hardBytes where absent.
 * atLeast leaves a limit that is already as high. A lease is taken back when the connection ends.
 */
export interface SetMemlockParameters {
  readonly target?: Target | undefined;
  readonly hardBytes?: bigint | undefined;
  readonly softBytes?: bigint | undefined;
  readonly unlimited?: boolean | undefined;
  readonly atLeast?: boolean | undefined;
  readonly lease?: boolean | undefined;
}

/** Moves the process, or threads of it, into a group that the daemon's configuration names. */
export interface MoveCgroupParameters {
  readonly target?: Target | undefined;
  readonly group: string;
  readonly lease?: boolean | undefined;
}

/** Sets policy, priority (with fifo and rr, 1 to 99), nice (-20 to 19) and affinity of threads. Absent ones stay. */
export interface SetSchedulerParameters {
  readonly target?: Target | undefined;
  readonly policy?: Policy | undefined;
  readonly priority?: number | undefined;
  readonly nice?: number | undefined;
  readonly cpus?: readonly number[] | undefined;
  readonly lease?: boolean | undefined;
}

/** Takes back all that the caller's scope was granted for the target. */
export interface ReleaseParameters {
  readonly target?: Target | undefined;
}

export interface ReleaseReply {
  readonly restored: number;
  readonly gone: number;
  readonly changedByAnother: number;
}

/** Decides a call of one of the three operations without applying anything. */
export interface ExplainParameters {
  readonly method: string;
  readonly parameters: Readonly<Record<string, unknown>>;
}

export interface ExplainReply {
  readonly verdict: string;
  readonly reason?: string | undefined;
  readonly plugin?: string | undefined;
  readonly scope: string;
  readonly steps: readonly Step[];
  readonly changes: readonly string[];
}

/** What this host and daemon can do, and why not. */
export interface CapabilitiesReply {
  readonly version: number;
  readonly scope?: string | undefined;
  readonly operations: readonly Operation[];
  readonly groups: readonly string[];
}

export interface PingReply {
  readonly version: number;
}
