/** Records as the audit holds them, brought back into the types of the contract, so that they can be decided anew. */
import { parse } from 'lossless-json';
import * as v from 'valibot';
import {
  type Effect,
  type Facts,
  type Limit,
  type Operation,
  SCHEDULING_POLICIES,
  type Scheduling,
} from '../../host-api/contract.ts';

const u32 = v.pipe(v.bigint(), v.minValue(0n), v.maxValue(0xffff_ffffn), v.transform(Number));
const s32 = v.pipe(v.bigint(), v.minValue(-(2n ** 31n)), v.maxValue(2n ** 31n - 1n), v.transform(Number));
const u64 = v.pipe(v.bigint(), v.minValue(0n), v.maxValue(2n ** 64n - 1n));
const text = v.string();

const limit: v.GenericSchema<unknown, Limit> = v.variant('tag', [
  v.object({ tag: v.literal('bytes'), val: u64 }),
  v.object({ tag: v.literal('unlimited') }),
]);
const memlock = v.object({ soft: limit, hard: limit });
const policy = v.picklist(SCHEDULING_POLICIES);

// JSON leaves out what is undefined.
const scheduling: v.GenericSchema<unknown, Scheduling> = v.pipe(
  v.object({
    policy: v.optional(policy),
    priority: v.optional(u32),
    nice: v.optional(s32),
    affinity: v.optional(v.array(u32)),
  }),
  v.transform(({ policy: to, priority, nice, affinity }) => ({ policy: to, priority, nice, affinity })),
);

const operation: v.GenericSchema<unknown, Operation> = v.variant('tag', [
  v.object({ tag: v.literal('set-memlock'), val: memlock }),
  v.object({ tag: v.literal('move-cgroup'), val: v.object({ group: text }) }),
  v.object({ tag: v.literal('set-scheduler'), val: scheduling }),
]);

const facts: v.GenericSchema<unknown, Facts> = v.object({
  subject: v.object({
    uid: u32,
    gid: u32,
    scope: text,
    scopeName: text,
    labels: v.array(v.object({ name: text, value: text })),
  }),
  target: v.pipe(
    v.object({
      uid: u32,
      gid: u32,
      isSubject: v.boolean(),
      memlock,
      cgroup: text,
      memoryLimit: v.optional(u64),
      cpus: v.array(u32),
      wholeProcess: v.boolean(),
      threads: v.array(
        v.object({
          tid: u32,
          commUntrusted: text,
          policy,
          priority: u32,
          nice: s32,
          affinity: v.array(u32),
          cgroup: text,
        }),
      ),
      commUntrusted: text,
    }),
    v.transform((target) => ({ ...target, memoryLimit: target.memoryLimit })),
  ),
  ledger: v.object({ memlockBytes: u64, realtimeThreads: u32 }),
});

const threads = v.variant('tag', [
  v.object({ tag: v.literal('addressed') }),
  v.object({ tag: v.literal('only'), val: v.array(u32) }),
]);

const effect: v.GenericSchema<unknown, Effect> = v.variant('tag', [
  v.object({ tag: v.literal('set-memlock'), soft: limit, hard: limit }),
  v.object({ tag: v.literal('move-cgroup'), group: text, threads }),
  v.object({ tag: v.literal('set-scheduler'), threads, change: scheduling }),
]);

const step = v.object({
  plugin: text,
  verdict: v.picklist(['allow', 'deny', 'pass']),
  reason: v.optional(text),
  fault: v.optional(text),
  effects: v.array(effect),
});

const recorded = v.object({
  seq: v.pipe(v.bigint(), v.transform(Number)),
  kind: text,
  operation: v.optional(operation),
  facts: v.optional(facts),
  steps: v.optional(v.array(step)),
  plugin: v.optional(text),
});

export type Recorded = v.InferOutput<typeof recorded>;
export type RecordedStep = v.InferOutput<typeof step>;

/** Throws an Error that names the member which is missing or wrong. */
export function readRecorded(line: string): Recorded {
  const result = v.safeParse(recorded, parse(line, undefined, exactNumber), { abortEarly: true });
  if (result.success) return result.output;
  const [issue] = result.issues;
  const path = (issue.path ?? []).map(({ key }) => String(key)).join('.');
  throw new Error(`${path === '' ? 'the record' : path}: ${issue.message}`);
}

function exactNumber(digits: string): bigint | number {
  return /^-?\d+$/.test(digits) ? BigInt(digits) : Number(digits);
}
