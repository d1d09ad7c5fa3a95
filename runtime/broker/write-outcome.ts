/** What was granted, in the types of the interface. */
import type { Change, ChangeOf } from '../../host-api/change.ts';
import type { Effect, Limit, Memlock, Scheduling } from '../../host-api/contract.ts';
import { formatCpuList } from '../../host-api/cpu-list.ts';
import { formatLimit } from '../../host-api/limit.ts';
import { describeScheduling } from '../../host-api/scheduler.ts';
import type { ChainStep } from '../chain.ts';
import type { Granted } from '../handle-request.ts';
import type { Parameters } from '../varlink/service.ts';

export function writeOutcome({ id, plugin, changes, vanished }: Granted): Parameters {
  return { id, plugin, ...writeChanges(changes), vanished };
}

/** By kind: Varlink has no unions. */
export function writeChanges(
  changes: readonly Change[],
): Readonly<Record<'memlock' | 'cgroup' | 'scheduling' | 'affinity', Parameters[]>> {
  return {
    memlock: ofTag(changes, 'memlock').map(({ pid, before, after }) => ({
      pid,
      before: writeMemlock(before),
      after: writeMemlock(after),
    })),
    cgroup: ofTag(changes, 'cgroup').map(({ pid, tid, before, after }) => ({ pid, tid, before, after })),
    scheduling: ofTag(changes, 'scheduler').map(({ pid, tid, before, after }) => ({
      pid,
      tid,
      before,
      after,
    })),
    affinity: ofTag(changes, 'affinity').map(({ pid, tid, before, after }) => ({ pid, tid, before, after })),
  };
}

export function writeStep(step: ChainStep): Parameters {
  return {
    plugin: step.plugin,
    sha256: step.sha256,
    mode: step.mode,
    verdict: step.verdict,
    reason: step.reason,
    fault: step.fault,
    factsRead: step.factsRead,
    refusals: step.refusals.map(({ message }) => message),
    effects: step.effects.map(describeEffect),
    fuelUsed: step.fuelUsed,
  };
}

/** "memlock of pid 412: 64 KiB → 1 GiB" */
export function describeChange(change: Change): string {
  switch (change.tag) {
    case 'memlock':
      return `memlock of pid ${change.pid}: ${describeMemlock(change.before)} → ${describeMemlock(change.after)}`;
    case 'cgroup': {
      const what = change.tid === undefined ? `process ${change.pid}` : `thread ${change.tid}`;
      return `cgroup of ${what}: ${change.before} → ${change.after}`;
    }
    case 'scheduler':
      return `scheduling of thread ${change.tid}: ${describeScheduling(change.before)} → ${describeScheduling(change.after)}`;
    case 'affinity':
      return `affinity of thread ${change.tid}: CPUs ${formatCpuList(change.before)} → ${formatCpuList(change.after)}`;
  }
}

export function describeEffect(effect: Effect): string {
  switch (effect.tag) {
    case 'set-memlock':
      return `set memlock to ${describeMemlock(effect)}`;
    case 'move-cgroup':
      return `move ${describeThreads(effect.threads)} to group ${effect.group}`;
    case 'set-scheduler':
      return `set ${describeThreads(effect.threads)} to ${describeRequest(effect.change)}`;
  }
}

function describeThreads(threads: Extract<Effect, { tag: 'move-cgroup' }>['threads']): string {
  return threads.tag === 'addressed' ? 'all that is addressed' : `threads ${threads.val.join(', ')}`;
}

function describeRequest({ policy, priority, nice, affinity }: Scheduling): string {
  const parts = [
    policy === undefined ? '' : `${policy}${priority === undefined ? '' : ` ${priority}`}`,
    nice === undefined ? '' : `nice ${nice}`,
    affinity === undefined ? '' : `CPUs ${formatCpuList(affinity)}`,
  ];
  return parts.filter((part) => part !== '').join(', ');
}

function describeMemlock({ soft, hard }: Memlock): string {
  const [low, high] = [formatLimit(soft), formatLimit(hard)];
  return low === high ? high : `${low} soft, ${high} hard`;
}

function writeMemlock({ soft, hard }: Memlock): Parameters {
  return { soft: writeLimit(soft), hard: writeLimit(hard) };
}

function writeLimit(limit: Limit): Parameters {
  return limit.tag === 'unlimited' ? { unlimited: true } : { bytes: limit.val };
}

function ofTag<Tag extends Change['tag']>(changes: readonly Change[], tag: Tag): ChangeOf<Tag>[] {
  return changes.filter((change): change is ChangeOf<Tag> => change.tag === tag);
}
