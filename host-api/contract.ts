/**
 * The TypeScript side of `wit/deputy.wit`: same names in camel case, same shapes.
 * `test/host-api/contract.test.ts` proves that both agree.
 * Values are plain data, so that facts, effects and verdicts can cross a process boundary and stand in an audit record.
 */

export const ABI_VERSION = 'deputy:policy@1.0.0';

/** Bytes, or no limit. RLIM_INFINITY never appears as a number. */
export type Limit = { readonly tag: 'bytes'; readonly val: bigint } | { readonly tag: 'unlimited' };

/** RLIMIT_MEMLOCK of a process (getrlimit(2)). */
export interface Memlock {
  readonly soft: Limit;
  readonly hard: Limit;
}

/** sched(7). `deadline` and `ext` occur in facts; no effect can set them. */
export const SCHEDULING_POLICIES = ['other', 'batch', 'idle', 'fifo', 'rr', 'deadline', 'ext'] as const;
export type SchedulingPolicy = (typeof SCHEDULING_POLICIES)[number];

/** What a thread's scheduling should become. An absent field stays as it is. */
export interface Scheduling {
  readonly policy: SchedulingPolicy | undefined;
  /** 1 to 99 for fifo and rr, 0 or absent otherwise. */
  readonly priority: number | undefined;
  /** -20 to 19, for other and batch. */
  readonly nice: number | undefined;
  /** CPU numbers, ascending. */
  readonly affinity: readonly number[] | undefined;
}

/** One thread of the target, as the kernel reported it before `decide`. */
export interface Thread {
  /** In the host's pid namespace. */
  readonly tid: number;
  /** The thread's name. Any thread may name itself anything: never an identity. */
  readonly commUntrusted: string;
  readonly policy: SchedulingPolicy;
  readonly priority: number;
  readonly nice: number;
  readonly affinity: readonly number[];
  readonly cgroup: string;
}

/** A named capture of the scope pattern. */
export interface Label {
  readonly name: string;
  readonly value: string;
}

/** Which of the request's threads an effect is for. */
export type ThreadSelection =
  | { readonly tag: 'addressed' }
  | { readonly tag: 'only'; readonly val: readonly number[] };

export interface CgroupRequest {
  /** The name of a group in deputy.toml, never a path. */
  readonly group: string;
}

export type Operation =
  | { readonly tag: 'set-memlock'; readonly val: Memlock }
  | { readonly tag: 'move-cgroup'; readonly val: CgroupRequest }
  | { readonly tag: 'set-scheduler'; readonly val: Scheduling };

export const OPERATIONS = ['set-memlock', 'move-cgroup', 'set-scheduler'] as const;
export type OperationName = (typeof OPERATIONS)[number];

export type Verdict =
  | { readonly tag: 'allow' }
  | { readonly tag: 'deny'; readonly val: string }
  | { readonly tag: 'pass' };

export const REFUSAL_CODES = [
  'ceiling',
  'not-permitted',
  'claimed',
  'bad-value',
  'unknown-group',
  'not-addressed',
  'too-many',
] as const;
export type RefusalCode = (typeof REFUSAL_CODES)[number];

/** Why an effect was not staged. The message names subject, requested and allowed. */
export interface Refusal {
  readonly code: RefusalCode;
  readonly message: string;
}

export const LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export type Level = (typeof LEVELS)[number];

/** The one snapshot that `decide` sees, taken before it runs and recorded in the audit. */
export interface Facts {
  readonly subject: {
    readonly uid: number;
    readonly gid: number;
    readonly scope: string;
    readonly scopeName: string;
    readonly labels: readonly Label[];
  };
  readonly target: {
    readonly uid: number;
    readonly gid: number;
    readonly isSubject: boolean;
    readonly memlock: Memlock;
    readonly cgroup: string;
    readonly memoryLimit: bigint | undefined;
    readonly cpus: readonly number[];
    readonly wholeProcess: boolean;
    readonly threads: readonly Thread[];
    readonly commUntrusted: string;
  };
  readonly ledger: {
    readonly memlockBytes: bigint;
    readonly realtimeThreads: number;
  };
}

/** An effect that a plugin staged: checked against the ceilings, not yet applied. */
export type Effect =
  | { readonly tag: 'set-memlock'; readonly soft: Limit; readonly hard: Limit }
  | { readonly tag: 'move-cgroup'; readonly group: string; readonly threads: ThreadSelection }
  | { readonly tag: 'set-scheduler'; readonly threads: ThreadSelection; readonly change: Scheduling };

/** Policies that run ahead of every normal thread (sched(7)). */
export function isRealtime(policy: SchedulingPolicy | undefined): boolean {
  return policy === 'fifo' || policy === 'rr';
}

export function makesRealtime(effect: Effect): boolean {
  return effect.tag === 'set-scheduler' && isRealtime(effect.change.policy);
}

/** What a manifest lets its plugin stage, whatever the plugin decides. An absent effect is not permitted. */
export interface Ceilings {
  /** Where the ceilings were written, for messages: "libvirt.toml:12". */
  readonly source: { readonly memlock: string; readonly cgroup: string; readonly scheduler: string };
  readonly memlock: { readonly maxBytes: bigint; readonly unlimited: boolean } | undefined;
  readonly cgroup: { readonly groups: readonly string[] } | undefined;
  readonly scheduler:
    | {
        readonly policies: readonly SchedulingPolicy[];
        /** 0 where neither fifo nor rr is allowed. */
        readonly maxPriority: number;
        readonly minNice: number;
        /** CPUs an affinity may name; 'any' leaves the choice to the target's cpuset; undefined: no affinity. */
        readonly cpus: readonly number[] | 'any' | undefined;
      }
    | undefined;
}
