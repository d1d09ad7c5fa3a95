import type { Ceilings, Facts, Limit, Operation } from '../../../host-api/contract.ts';
import { DEFAULT_LIMITS, type DecisionInput, type PluginSource } from '../../../runtime/sandbox/seam.ts';

const MIB = 1024n * 1024n;

export const bytes = (val: bigint): Limit => ({ tag: 'bytes', val });

export const FACTS: Facts = {
  subject: {
    uid: 1000,
    gid: 100,
    scope: '/machine.slice/qemu-1.scope',
    scopeName: 'machine',
    labels: [
      { name: 'machine', value: 'qemu-1' },
      { name: 'tenant', value: 'grün' },
    ],
  },
  target: {
    uid: 1001,
    gid: 101,
    isSubject: true,
    memlock: { soft: bytes(8n * MIB), hard: { tag: 'unlimited' } },
    cgroup: '/machine.slice/qemu-1.scope/emulator',
    memoryLimit: 1024n * MIB,
    cpus: [0, 1, 2, 3],
    wholeProcess: true,
    threads: [
      {
        tid: 4711,
        commUntrusted: 'qemu-system-x86',
        policy: 'other',
        priority: 0,
        nice: 0,
        affinity: [0, 1],
        cgroup: '/machine.slice/qemu-1.scope/emulator',
      },
      {
        tid: 4712,
        commUntrusted: 'CPU 0/KVM',
        policy: 'fifo',
        priority: 2,
        nice: -5,
        affinity: [],
        cgroup: '/machine.slice/qemu-1.scope/vcpu0',
      },
    ],
    commUntrusted: 'qemu-system-x86',
  },
  ledger: { memlockBytes: 64n * MIB, realtimeThreads: 3 },
};

export const CEILINGS: Ceilings = {
  source: { memlock: 'test.toml:1', cgroup: 'test.toml:2', scheduler: 'test.toml:3' },
  memlock: { maxBytes: 1024n * MIB, unlimited: false },
  cgroup: { groups: ['vcpu', 'emulator'] },
  scheduler: { policies: ['other', 'fifo'], maxPriority: 10, minNice: -5, cpus: [0, 1, 2, 3] },
};

export const SET_MEMLOCK: Operation = {
  tag: 'set-memlock',
  val: { soft: bytes(256n * MIB), hard: bytes(512n * MIB) },
};

export function input(operation: Operation = SET_MEMLOCK, facts: Facts = FACTS): DecisionInput {
  return { facts, operation, ceilings: CEILINGS, groups: new Set(['vcpu', 'emulator', 'other']) };
}

export function source(wasm: Uint8Array, limits: Partial<typeof DEFAULT_LIMITS> = {}): PluginSource {
  return { name: 'test', wasm, limits: { ...DEFAULT_LIMITS, ...limits }, settings: '{"maxUid":1000}' };
}
