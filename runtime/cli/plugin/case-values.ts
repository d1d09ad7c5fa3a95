/** Requests and facts as cases write them in TOML: names of deputy.wit with "_", sizes with units, CPUs as lists. */
import * as v from 'valibot';
import {
  type Effect,
  type Facts,
  type Limit,
  type Operation,
  SCHEDULING_POLICIES,
  type Scheduling,
  type Thread,
  type ThreadSelection,
} from '../../../host-api/contract.ts';
import { bytes, UNLIMITED } from '../../../host-api/limit.ts';
import { boolean, cpuList, integer, size } from '../../config/values.ts';

const U32 = 2 ** 32 - 1;
const text = v.string('must be a text');
const uid = integer(0, U32);

const limit = v.union(
  [
    v.pipe(
      v.literal('unlimited'),
      v.transform((): Limit => UNLIMITED),
    ),
    v.pipe(size(0n), v.transform(bytes)),
  ],
  'must be a size such as "64 MiB", a number of bytes, or "unlimited"',
);

const memlock = v.pipe(
  v.strictObject({ soft: v.optional(limit), hard: limit }),
  v.transform(({ soft, hard }) => ({ soft: soft ?? hard, hard })),
);

const policy = v.picklist(SCHEDULING_POLICIES, `must be one of ${SCHEDULING_POLICIES.join(', ')}`);

const scheduling = {
  policy: v.optional(policy),
  priority: v.optional(integer(0, U32)),
  nice: v.optional(integer(-(2 ** 31), 2 ** 31 - 1)),
  cpus: v.optional(cpuList),
};

const toScheduling = (value: {
  policy?: Scheduling['policy'];
  priority?: number | undefined;
  nice?: number | undefined;
  cpus?: number[] | undefined;
}): Scheduling => ({
  policy: value.policy,
  priority: value.priority,
  nice: value.nice,
  affinity: value.cpus,
});

const thread = v.pipe(
  v.strictObject({
    tid: integer(1, U32),
    comm: v.optional(text, 'thread'),
    policy: v.optional(policy, 'other'),
    priority: v.optional(integer(0, 99), 0n),
    nice: v.optional(integer(-20, 19), 0n),
    cpus: v.optional(cpuList, '0-3'),
    cgroup: v.optional(text, '/test.slice/test.scope'),
  }),
  v.transform(({ comm, cpus, ...rest }): Thread => ({ ...rest, commUntrusted: comm, affinity: cpus })),
);

/** Every key is optional, so that a case names what matters to it. */
export const facts = v.strictObject({
  subject: v.optional(
    v.strictObject({
      uid: v.optional(uid),
      gid: v.optional(uid),
      scope: v.optional(text),
      scope_name: v.optional(text),
      labels: v.optional(v.record(v.string(), text)),
    }),
    {},
  ),
  target: v.optional(
    v.strictObject({
      uid: v.optional(uid),
      gid: v.optional(uid),
      is_subject: v.optional(boolean),
      memlock: v.optional(memlock),
      cgroup: v.optional(text),
      memory_limit: v.optional(limit),
      cpus: v.optional(cpuList),
      whole_process: v.optional(boolean),
      threads: v.optional(v.array(thread)),
      comm: v.optional(text),
    }),
    {},
  ),
  ledger: v.optional(
    v.strictObject({ memlock_bytes: v.optional(size(0n)), realtime_threads: v.optional(integer(0, U32)) }),
    {},
  ),
});

export type CaseFacts = v.InferOutput<typeof facts>;

const DEFAULT_THREAD: Thread = {
  tid: 100,
  commUntrusted: 'test',
  policy: 'other',
  priority: 0,
  nice: 0,
  affinity: [0, 1, 2, 3],
  cgroup: '/test.slice/test.scope',
};

/** What neither a case nor [facts] says. */
export const DEFAULT_FACTS: Facts = {
  subject: { uid: 1000, gid: 1000, scope: '/test.slice/test.scope', scopeName: '', labels: [] },
  target: {
    uid: 1000,
    gid: 1000,
    isSubject: true,
    memlock: { soft: bytes(64n << 10n), hard: bytes(8n << 20n) },
    cgroup: '/test.slice/test.scope',
    memoryLimit: undefined,
    cpus: [0, 1, 2, 3],
    wholeProcess: true,
    threads: [DEFAULT_THREAD],
    commUntrusted: 'test',
  },
  ledger: { memlockBytes: 0n, realtimeThreads: 0 },
};

/** `over`, and what that does not say as in `base`. */
export function factsOver(base: Facts, over: CaseFacts): Facts {
  const { subject, target, ledger } = over;
  const { memory_limit: memoryLimit } = target;
  return {
    subject: {
      uid: subject.uid ?? base.subject.uid,
      gid: subject.gid ?? base.subject.gid,
      scope: subject.scope ?? base.subject.scope,
      scopeName: subject.scope_name ?? base.subject.scopeName,
      labels:
        subject.labels === undefined
          ? base.subject.labels
          : Object.entries(subject.labels).map(([name, value]) => ({ name, value })),
    },
    target: {
      uid: target.uid ?? base.target.uid,
      gid: target.gid ?? base.target.gid,
      isSubject: target.is_subject ?? base.target.isSubject,
      memlock: target.memlock ?? base.target.memlock,
      cgroup: target.cgroup ?? base.target.cgroup,
      memoryLimit:
        memoryLimit === undefined
          ? base.target.memoryLimit
          : memoryLimit.tag === 'unlimited'
            ? undefined
            : memoryLimit.val,
      cpus: target.cpus ?? base.target.cpus,
      wholeProcess: target.whole_process ?? base.target.wholeProcess,
      threads: target.threads ?? base.target.threads,
      commUntrusted: target.comm ?? base.target.commUntrusted,
    },
    ledger: {
      memlockBytes: ledger.memlock_bytes ?? base.ledger.memlockBytes,
      realtimeThreads: ledger.realtime_threads ?? base.ledger.realtimeThreads,
    },
  };
}

/** One of the three, as keys beside others of a case. */
export const request = {
  set_memlock: v.optional(memlock),
  move_cgroup: v.optional(text),
  set_scheduler: v.optional(v.pipe(v.strictObject(scheduling), v.transform(toScheduling))),
};

interface CaseRequest {
  readonly set_memlock?: { soft: Limit; hard: Limit } | undefined;
  readonly move_cgroup?: string | undefined;
  readonly set_scheduler?: Scheduling | undefined;
}

/** Undefined where there is not exactly one. */
export function operationOf(asked: CaseRequest): Operation | undefined {
  const operations: Operation[] = [];
  if (asked.set_memlock !== undefined) operations.push({ tag: 'set-memlock', val: asked.set_memlock });
  if (asked.move_cgroup !== undefined)
    operations.push({ tag: 'move-cgroup', val: { group: asked.move_cgroup } });
  if (asked.set_scheduler !== undefined) operations.push({ tag: 'set-scheduler', val: asked.set_scheduler });
  return operations.length === 1 ? operations[0] : undefined;
}

const threads = v.pipe(
  v.optional(
    v.union(
      [v.literal('addressed'), v.array(integer(1, U32))],
      'must be "addressed" or a list of thread ids',
    ),
    'addressed',
  ),
  v.transform(
    (value): ThreadSelection => (value === 'addressed' ? { tag: 'addressed' } : { tag: 'only', val: value }),
  ),
);

export const effect = v.union(
  [
    v.pipe(
      v.strictObject({ set_memlock: memlock }),
      v.transform(({ set_memlock }): Effect => ({ tag: 'set-memlock', ...set_memlock })),
    ),
    v.pipe(
      v.strictObject({ move_cgroup: v.strictObject({ group: text, threads }) }),
      v.transform(({ move_cgroup }): Effect => ({ tag: 'move-cgroup', ...move_cgroup })),
    ),
    v.pipe(
      v.strictObject({ set_scheduler: v.strictObject({ ...scheduling, threads }) }),
      v.transform(
        ({ set_scheduler: { threads: selection, ...change } }): Effect => ({
          tag: 'set-scheduler',
          threads: selection,
          change: toScheduling(change),
        }),
      ),
    ),
  ],
  'must be one of { set_memlock = {…} }, { move_cgroup = {…} }, { set_scheduler = {…} }',
);
