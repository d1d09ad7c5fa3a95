/** From parameters that fit the interface to a request that makes sense. Errors name parameter, requested, allowed. */
import { isRealtime, type Limit, type Operation, type SchedulingPolicy } from '../../host-api/contract.ts';
import { MAX_CPUS } from '../../host-api/cpu-list.ts';
import { DeputyError } from '../../host-api/errors.ts';
import { bytes, formatBytes, UNLIMITED } from '../../host-api/limit.ts';
import type { AddressedThreads } from '../../host-api/target.ts';
import type { Request } from '../request.ts';
import { type RequestedTarget, WHOLE_CLIENT } from '../resolve-target.ts';
import type { Parameters } from '../varlink/service.ts';

/** pid_max can't be set higher (proc(5), /proc/sys/kernel/pid_max). */
const PID_MAX = 4_194_304;
const MAX_NAMED_THREADS = 4096;

export function readSetMemlock(parameters: Parameters): Request {
  return {
    ...readCommon(parameters),
    atLeast: parameters['atLeast'] === true,
    operation: memlockOf(parameters),
  };
}

export function readMoveCgroup(parameters: Parameters): Request {
  const group = String(parameters['group']);
  return { ...readCommon(parameters), operation: { tag: 'move-cgroup', val: { group } } };
}

export function readSetScheduler(parameters: Parameters): Request {
  const policy = parameters['policy'] as SchedulingPolicy | undefined;
  const cpus = parameters['cpus'] as readonly bigint[] | undefined;
  const change = {
    policy,
    priority: optionalInteger(parameters, 'priority', 0, 99),
    nice: optionalInteger(parameters, 'nice', -20, 19),
    affinity: cpus && sortedUnique('cpus', cpus, 0, MAX_CPUS - 1, MAX_CPUS),
  };
  if (Object.values(change).every((value) => value === undefined)) {
    throw invalid('policy, priority, nice and cpus are all absent: there is nothing to set', 'policy');
  }
  if (change.affinity?.length === 0) throw invalid('cpus is empty: a thread needs one to run on', 'cpus');
  if (policy === 'deadline' || policy === 'ext') {
    throw invalid(`policy ${policy} can't be set; allowed are other, batch, idle, fifo, rr`, 'policy');
  }
  const realtime = isRealtime(policy);
  if (realtime && (change.priority ?? 0) < 1)
    throw invalid(`policy ${policy} needs a priority from 1 to 99`, 'priority');
  if (!realtime && (change.priority ?? 0) !== 0) {
    throw invalid(`priority ${change.priority} without policy fifo or rr`, 'priority');
  }
  if (realtime && change.nice !== undefined)
    throw invalid(`nice ${change.nice} has no meaning under ${policy}`, 'nice');
  return { ...readCommon(parameters), operation: { tag: 'set-scheduler', val: change } };
}

function memlockOf(parameters: Parameters): Operation {
  const hard = parameters['hardBytes'] as bigint | undefined;
  const soft = parameters['softBytes'] as bigint | undefined;
  const unlimited = parameters['unlimited'] === true;
  if (unlimited === (hard !== undefined)) {
    throw invalid('exactly one of hardBytes and unlimited says what is asked for', 'hardBytes');
  }
  for (const [name, value] of Object.entries({ hardBytes: hard, softBytes: soft })) {
    if (value !== undefined && value < 0n) throw invalid(`${name} ${value} is negative`, name);
  }
  if (hard !== undefined && soft !== undefined && soft > hard) {
    throw invalid(`softBytes ${formatBytes(soft)} is over hardBytes ${formatBytes(hard)}`, 'softBytes');
  }
  const limit: Limit = hard === undefined ? UNLIMITED : bytes(hard);
  return { tag: 'set-memlock', val: { soft: soft === undefined ? limit : bytes(soft), hard: limit } };
}

function readCommon(parameters: Parameters): Omit<Request, 'operation'> {
  return { target: readTarget(parameters['target']), lease: parameters['lease'] === true, atLeast: false };
}

export function readTarget(value: unknown): RequestedTarget {
  if (value === undefined) return WHOLE_CLIENT;
  const target = value as Parameters;
  return {
    pid: optionalInteger(target, 'pid', 1, PID_MAX, 'target.'),
    startTimeTicks: target['startTimeTicks'] as bigint | undefined,
    pidfdId: target['pidfdId'] as bigint | undefined,
    threads: readThreads(target),
  };
}

function readThreads(target: Parameters): AddressedThreads {
  const only = target['onlyThreads'] as readonly bigint[] | undefined;
  const except = target['exceptThreads'] as readonly bigint[] | undefined;
  if (only !== undefined && except !== undefined) {
    throw invalid(
      'at most one of target.onlyThreads and target.exceptThreads may be given',
      'target.onlyThreads',
    );
  }
  const [tag, name, listed] =
    only !== undefined
      ? (['only', 'onlyThreads', only] as const)
      : (['except', 'exceptThreads', except] as const);
  if (listed === undefined) return { tag: 'all' };
  const tids = sortedUnique(`target.${name}`, listed, 1, PID_MAX, MAX_NAMED_THREADS);
  if (tids.length === 0) throw invalid(`target.${name} names no thread`, `target.${name}`);
  return { tag, tids };
}

function optionalInteger(
  from: Parameters,
  name: string,
  min: number,
  max: number,
  prefix = '',
): number | undefined {
  const value = from[name] as bigint | undefined;
  return value === undefined ? undefined : integer(`${prefix}${name}`, value, min, max);
}

function integer(name: string, value: bigint, min: number, max: number): number {
  if (value < BigInt(min) || value > BigInt(max))
    throw invalid(`${name} ${value} is not within ${min} to ${max}`, name);
  return Number(value);
}

function sortedUnique(
  name: string,
  values: readonly bigint[],
  min: number,
  max: number,
  most: number,
): number[] {
  if (values.length > most) throw invalid(`${name} has ${values.length} elements, more than ${most}`, name);
  const numbers = values.map((value, index) => integer(`${name}[${index}]`, value, min, max));
  return [...new Set(numbers)].sort((a, b) => a - b);
}

function invalid(message: string, parameter: string): DeputyError {
  return new DeputyError('InvalidRequest', message, { parameter });
}
