/** Replies for people: sizes with units, before → after. */
import type {
  CapabilitiesReply,
  ExplainReply,
  Outcome,
  ReleaseReply,
  Limit as WireLimit,
  Memlock as WireMemlock,
} from '../../client/types.ts';
import { formatCpuList } from '../../host-api/cpu-list.ts';
import { formatBytes } from '../../host-api/limit.ts';
import { describeScheduling } from '../../host-api/scheduler.ts';
import { printable } from './terminal.ts';

export function describeOutcome(outcome: Outcome): string {
  const { id, plugin, vanished } = outcome;
  const changes = describeChanges(outcome);
  const lines = [
    `allowed by ${plugin}${id === 0 ? '; no audit record could be written' : `, audit record ${id}`}`,
    ...(changes.length === 0 ? ['nothing to change'] : changes),
    ...(vanished.length === 0 ? [] : [`vanished meanwhile: threads ${vanished.join(', ')}`]),
  ];
  return lines.map((line, index) => (index === 0 ? line : `  ${line}`)).join('\n');
}

type Changes = Pick<Outcome, 'memlock' | 'cgroup' | 'scheduling' | 'affinity'>;

export function describeChanges({ memlock, cgroup, scheduling, affinity }: Changes): string[] {
  return [
    ...memlock.map(({ pid, before, after }) =>
      arrow(`memlock of pid ${pid}`, describeMemlock(before), describeMemlock(after)),
    ),
    ...cgroup.map(({ pid, tid, before, after }) =>
      arrow(`cgroup of ${tid === undefined ? `pid ${pid}` : `thread ${tid}`}`, before, after),
    ),
    ...scheduling.map(({ tid, before, after }) =>
      arrow(`scheduling of thread ${tid}`, describeScheduling(before), describeScheduling(after)),
    ),
    ...affinity.map(({ tid, before, after }) =>
      arrow(`CPUs of thread ${tid}`, formatCpuList(before), formatCpuList(after)),
    ),
  ];
}

export function describeRelease({ restored, gone, changedByAnother }: ReleaseReply): string {
  const lines = [
    `${count(restored, 'change')} restored`,
    ...(gone > 0 ? [`${count(gone, 'change')} of processes or threads that have ended`] : []),
    ...(changedByAnother > 0
      ? [`${count(changedByAnother, 'change')} left alone: somebody else has set the value since`]
      : []),
  ];
  return lines.join('\n');
}

export function describeExplanation({
  verdict,
  reason,
  plugin,
  scope,
  steps,
  changes,
}: ExplainReply): string {
  const by = plugin === undefined ? '' : ` by ${plugin}`;
  const lines = [
    verdict === 'allow'
      ? `would be allowed${by}, in scope ${scope}`
      : `would be denied${by}, in scope ${scope}: ${reason ?? 'no reason given'}`,
  ];
  for (const [index, step] of steps.entries()) {
    const mode = step.mode === 'enforce' ? '' : ` (${step.mode})`;
    const because = step.reason === undefined ? '' : `: ${step.reason}`;
    lines.push(`  ${index + 1}. ${step.plugin}${mode}: ${step.verdict}${because}`);
    if (step.fault !== undefined) lines.push(`     fault: ${step.fault}`);
    lines.push(`     read: ${step.factsRead.join(', ') || 'nothing'}`);
    for (const refusal of step.refusals) lines.push(`     refused: ${refusal}`);
    for (const effect of step.effects) lines.push(`     staged: ${effect}`);
    lines.push(`     fuel: ${step.fuelUsed}`);
  }
  if (verdict === 'allow') {
    lines.push(changes.length === 0 ? '  nothing would change' : '  would change:');
    lines.push(...changes.map((change) => `     ${change}`));
  }
  return printable(lines.join('\n'));
}

export function describeCapabilities({ scope, operations, groups }: CapabilitiesReply): string {
  const width = Math.max(...operations.map(({ name }) => name.length));
  return [
    `scope   ${scope ?? 'none: every operation will be refused'}`,
    `groups  ${groups.join(', ') || 'none'}`,
    ...operations.map(({ name, available, reason }) => {
      const state = available ? (reason === undefined ? 'yes' : 'limited') : 'no';
      return `${name.padEnd(width)}  ${state}${reason === undefined ? '' : `: ${reason}`}`;
    }),
  ].join('\n');
}

function describeMemlock({ soft, hard }: WireMemlock): string {
  const [low, high] = [describeLimit(soft), describeLimit(hard)];
  return low === high ? high : `${low} soft, ${high} hard`;
}

function describeLimit({ bytes }: WireLimit): string {
  return bytes === undefined ? 'unlimited' : formatBytes(bytes);
}

function arrow(what: string, before: string, after: string): string {
  return before === after ? `${what}: ${after}, as before` : `${what}: ${before} → ${after}`;
}

export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}
