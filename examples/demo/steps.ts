/** What the demo asks, and how each of it must end on this machine. */
import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { CapabilitiesReply } from '../../client/index.ts';
import type { Ask, Ready } from './workload.ts';

const MIB = 1024n * 1024n;

export interface Client {
  readonly child: ChildProcess;
  readonly ready: Ready;
  /** Rejects when the process ends. */
  readonly gone: Promise<never>;
}

export interface Situation {
  readonly client: Client;
  /** Whether daemon and client have the same uid. */
  readonly sameUser: boolean;
  /** One in the same scope that has a uid the policy does not know. */
  readonly other: Client | undefined;
  readonly otherUid: number;
  readonly capabilities: CapabilitiesReply;
  readonly whyNoCgroup: string | undefined;
  /** A process outside of the scope. */
  readonly outsider: number;
}

export interface Step {
  readonly asked: string;
  readonly method: Ask['method'];
  readonly parameters: object;
  /** Codes of the errors that it may end with, if it must not be allowed; and why, where that is this machine's doing. */
  readonly refused?: readonly string[] | undefined;
  readonly because?: string | undefined;
  readonly client?: Client;
  /** Read by the demo itself, after the daemon said that it is done. */
  readonly reread?: () => readonly Reread[];
}

export interface Reread {
  readonly what: string;
  readonly is: string;
  readonly due: string;
}

/** Refusals by the kernel, and those of a daemon that knows beforehand. */
const CANT = ['NoScope', 'NotSupported', 'EffectFailed'];

export function planSteps(situation: Situation): Step[] {
  const { client, sameUser, other, otherUid, capabilities, whyNoCgroup, outsider } = situation;
  const { pid, workers } = client.ready;
  const vcpus = workers.slice(-2);
  const missing = (name: string): string | undefined =>
    capabilities.scope === undefined
      ? 'the client lies in the root cgroup, which is nobody’s scope'
      : capabilities.operations.find((one) => one.name === name)?.reason;
  const unless = (because: string | undefined): Pick<Step, 'refused' | 'because'> =>
    because === undefined ? {} : { refused: CANT, because };
  const noScope = capabilities.scope === undefined ? missing('set-memlock') : undefined;
  const limit = Number(
    /^Max locked memory\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/limits`, 'latin1'))?.[1] ?? 2 ** 50,
  );
  const lower = BigInt(limit) / 2n;

  const steps: Step[] = [
    {
      asked: 'SetMemlock: 512 MiB for itself',
      method: 'SetMemlock',
      parameters: { hardBytes: 512n * MIB },
      ...unless(limit >= 512 * 1024 * 1024 ? noScope : missing('set-memlock')),
      reread: () => [memlock(pid, 512n * MIB)],
    },
  ];
  // Of another user's process the kernel lets nobody lower a limit either.
  if (sameUser && missing('set-memlock') !== undefined) {
    steps.push({
      asked: `SetMemlock: ${lower / 1024n} KiB for itself, which is less than it has`,
      method: 'SetMemlock',
      parameters: { hardBytes: lower },
      ...unless(noScope),
      reread: () => [memlock(pid, lower)],
    });
  }
  steps.push(
    {
      asked: `MoveCgroup: all of its threads but ${vcpus.join(' and ')} to housekeeping`,
      method: 'MoveCgroup',
      parameters: { target: { exceptThreads: vcpus }, group: 'housekeeping' },
      ...unless(whyNoCgroup ?? missing('move-cgroup')),
      reread: () => [cgroupOf(pid, pid, true), ...vcpus.map((tid) => cgroupOf(pid, tid, false))],
    },
    {
      asked: `SetScheduler: fifo, priority 5, for thread ${vcpus[0]}`,
      method: 'SetScheduler',
      parameters: { target: { onlyThreads: vcpus.slice(0, 1) }, policy: 'fifo', priority: 5 },
      ...unless(missing('set-scheduler')),
      reread: () => vcpus.slice(0, 1).map((tid) => policyOf(pid, tid, 'fifo priority 5')),
    },
    {
      asked: `SetScheduler: batch, on CPU ${firstCpu(pid)}, for thread ${vcpus[1]}`,
      method: 'SetScheduler',
      parameters: { target: { onlyThreads: vcpus.slice(1) }, policy: 'batch', cpus: [firstCpu(pid)] },
      ...unless(noScope ?? (sameUser ? undefined : missing('set-scheduler'))),
      reread: () => vcpus.slice(1).map((tid) => policyOf(pid, tid, 'batch priority 0')),
    },
    {
      asked: 'SetMemlock: 2 GiB, more than the policy grants',
      method: 'SetMemlock',
      parameters: { hardBytes: 2048n * MIB },
      refused: noScope === undefined ? ['Denied'] : CANT,
    },
    {
      asked: `SetScheduler: fifo, priority 50, more than the policy grants`,
      method: 'SetScheduler',
      parameters: { target: { onlyThreads: vcpus }, policy: 'fifo', priority: 50 },
      refused: noScope === undefined ? ['Denied'] : CANT,
    },
    {
      asked: `SetMemlock: 1 MiB for process ${outsider}, which is not in its scope`,
      method: 'SetMemlock',
      parameters: { target: { pid: outsider }, hardBytes: MIB },
      refused: ['TargetNotInScope', 'NoSuchTarget', ...(noScope === undefined ? [] : CANT)],
    },
  );
  if (other !== undefined) {
    steps.push({
      asked: `SetMemlock: 1 MiB for itself, by uid ${otherUid} in the same scope`,
      method: 'SetMemlock',
      parameters: { hardBytes: MIB },
      refused: ['Denied'],
      client: other,
    });
  }
  steps.push({
    asked: 'Release: all that it was granted',
    method: 'Release',
    parameters: {},
    ...unless(noScope),
    reread: () => (vcpus[0] === undefined ? [] : [policyOf(pid, vcpus[0], 'other priority 0')]),
  });
  return steps;
}

function memlock(pid: number, due: bigint): Reread {
  const [, , hard] =
    /^Max locked memory\s+(\S+)\s+(\S+)/m.exec(readFileSync(`/proc/${pid}/limits`, 'latin1')) ?? [];
  return { what: `memlock of pid ${pid} is`, is: `${hard} bytes`, due: `${due} bytes` };
}

function cgroupOf(pid: number, tid: number, housekeeping: boolean): Reread {
  const path = /^0::(.*)$/m.exec(readFileSync(`/proc/${pid}/task/${tid}/cgroup`, 'latin1'))?.[1] ?? '';
  const due =
    housekeeping === path.endsWith('/housekeeping') ? path : `${housekeeping ? '' : 'not '}in housekeeping`;
  return { what: `thread ${tid} is in`, is: path, due };
}

const POLICIES = ['other', 'fifo', 'rr', 'batch', '', 'idle'];

/** rt_priority and policy are fields 40 and 41 of proc_pid_stat(5). */
function policyOf(pid: number, tid: number, due: string): Reread {
  const stat = readFileSync(`/proc/${pid}/task/${tid}/stat`, 'latin1');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return { what: `thread ${tid} is`, is: `${POLICIES[Number(fields[38])]} priority ${fields[37]}`, due };
}

function firstCpu(pid: number): number {
  return Number.parseInt(
    /^Cpus_allowed_list:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? '0',
    10,
  );
}
