/**
 * The types of io.deputy.Admin, written from its interface definition: `UPDATE_GOLDEN=1 npx vitest run test/client`.
 * Bytes, clock ticks, inodes and fuel are bigint; all other integers are numbers.
 */

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

export interface Plugin {
  readonly name: string;
  readonly sha256: string;
  readonly kind: string;
}

/** The plugins that are asked for an operation, in their order. */
export interface Chain {
  readonly operation: string;
  readonly plugins: readonly string[];
}

/**
 * What one scope was granted of one process or thread: exactly one of the four changes. lease is the number of the
 * connection whose end takes it back. before is what is restored.
 */
export interface Grant {
  readonly id: number;
  readonly scope: string;
  readonly lease?: number | undefined;
  readonly memlock?: MemlockChange | undefined;
  readonly cgroup?: CgroupChange | undefined;
  readonly scheduling?: SchedulingChange | undefined;
  readonly affinity?: AffinityChange | undefined;
}

/**
 * How the daemon is. auditSequence and auditHash are of the last audit record: note them elsewhere, and a cut-off tail
 * of the log can be shown.
 */
export interface StatusReply {
  readonly daemonVersion: string;
  readonly pid: number;
  readonly uptimeMs: number;
  readonly draining: boolean;
  readonly connections: number;
  readonly grants: number;
  readonly auditSequence: number;
  readonly auditHash: string;
  readonly auditFailing: boolean;
  readonly plugins: readonly Plugin[];
  readonly chains: readonly Chain[];
}

/** All that is granted at the moment, in the order of granting. */
export interface LedgerReply {
  readonly grants: readonly Grant[];
}

/**
 * Audit records as they are written; to be called with more. A reply without a record says that the stream lives.
 * dropped counts the records that a slow reader missed since the last reply.
 */
export interface MonitorReply {
  readonly record?: Readonly<Record<string, unknown>> | undefined;
  readonly dropped: number;
}

/** Counters in Prometheus's text format, version 0.0.4. */
export interface MetricsReply {
  readonly text: string;
}

/**
 * Takes back everything that is granted, and grants nothing until the daemon is started again. What can't be restored
 * stays in the ledger, with its reason in failed.
 */
export interface DrainReply {
  readonly restored: number;
  readonly gone: number;
  readonly changedByAnother: number;
  readonly failed: readonly string[];
}
