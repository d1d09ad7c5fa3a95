/** `host-api/wit/deputy.wit` as descriptors. `test/host-api/contract.test.ts` proves that both agree. */
import {
  type CgroupRequest,
  type Label,
  LEVELS,
  type Limit,
  type Memlock,
  type Operation,
  REFUSAL_CODES,
  type Refusal,
  SCHEDULING_POLICIES,
  type Scheduling,
  type Thread,
  type ThreadSelection,
  type Verdict,
} from '../../../host-api/contract.ts';
import { type Call, func } from './signature.ts';
import {
  bool,
  enumeration,
  failure,
  list,
  option,
  record,
  type Shape,
  s32,
  string,
  u32,
  u64,
  variant,
} from './type.ts';

export const PACKAGE = 'deputy:policy';
export const VERSION = '1.0.0';

export const limit = variant<Limit>('limit', { bytes: u64, unlimited: undefined });
export const memlock = record<Memlock>('memlock', { soft: limit, hard: limit });
export const schedulingPolicy = enumeration('scheduling-policy', SCHEDULING_POLICIES);
export const scheduling = record<Scheduling>('scheduling', {
  policy: option(schedulingPolicy),
  priority: option(u32),
  nice: option(s32),
  affinity: option(list(u32)),
});
export const thread = record<Thread>('thread', {
  tid: u32,
  commUntrusted: string,
  policy: schedulingPolicy,
  priority: u32,
  nice: s32,
  affinity: list(u32),
  cgroup: string,
});
export const label = record<Label>('label', { name: string, value: string });
export const threadSelection = variant<ThreadSelection>('thread-selection', {
  addressed: undefined,
  only: list(u32),
});
export const memlockRequest = record<Memlock>('memlock-request', { soft: limit, hard: limit });
export const cgroupRequest = record<CgroupRequest>('cgroup-request', { group: string });
export const operation = variant<Operation>('operation', {
  'set-memlock': memlockRequest,
  'move-cgroup': cgroupRequest,
  'set-scheduler': scheduling,
});
export const verdict = variant<Verdict>('verdict', { allow: undefined, deny: string, pass: undefined });
export const refusalCode = enumeration('refusal-code', REFUSAL_CODES);
export const refusal = record<Refusal>('refusal', { code: refusalCode, message: string });
export const level = enumeration('level', LEVELS);

/** The interface `types`, in the order of the WIT. */
export const TYPES: readonly Shape[] = [
  limit,
  memlock,
  schedulingPolicy,
  scheduling,
  thread,
  label,
  threadSelection,
  memlockRequest,
  cgroupRequest,
  operation,
  verdict,
  refusalCode,
  refusal,
  level,
];

/** What a plugin may import: interface and function names in camel case. */
export const IMPORTS = {
  subject: {
    uid: func({}, u32),
    gid: func({}, u32),
    scope: func({}, string),
    scopeName: func({}, string),
    labels: func({}, list(label)),
    label: func({ name: string }, option(string)),
  },
  target: {
    uid: func({}, u32),
    gid: func({}, u32),
    isSubject: func({}, bool),
    memlock: func({}, memlock),
    cgroup: func({}, string),
    memoryLimit: func({}, option(u64)),
    cpus: func({}, list(u32)),
    wholeProcess: func({}, bool),
    threads: func({}, list(thread)),
    commUntrusted: func({}, string),
  },
  ledger: {
    memlockBytes: func({}, u64),
    realtimeThreads: func({}, u32),
  },
  effects: {
    setMemlock: func({ softBytes: u64, hardBytes: u64 }, failure(refusal)),
    setMemlockUnlimited: func({}, failure(refusal)),
    moveCgroup: func({ group: string, threads: threadSelection }, failure(refusal)),
    setScheduler: func({ threads: threadSelection, change: scheduling }, failure(refusal)),
  },
  log: {
    write: func({ level, message: string }),
  },
} as const;

/** What a plugin must export, in the interface `hooks`. */
export const HOOKS = {
  init: func({ settings: string }, failure(string)),
  decide: func({ operation }, verdict),
} as const;

/** One implementation for every import. */
export type Host = {
  readonly [I in keyof typeof IMPORTS]: {
    readonly [F in keyof (typeof IMPORTS)[I]]: Call<(typeof IMPORTS)[I][F]>;
  };
};
