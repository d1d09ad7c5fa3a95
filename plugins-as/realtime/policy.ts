// rtkit's rules: realtime and high priority for threads of a user's own, within bounds, and nothing else.
// What it allows, exactly: docs/policies/realtime.md.
import { Operation, Scheduling, SchedulingPolicy, Settings, Verdict, deny, effects, ledger, pass, policyName, subject, target } from '@deputy/sdk-as';

let mostPriority: u32 = 0;
let leastNice: i32 = 0;
let mostThreads: u32 = 0;
let allowsFifo: bool = false;

export function init(settings: Settings): void {
  mostPriority = settings.numberOr('max_realtime_priority', 20, 1, 99);
  leastNice = <i32>settings.integerOr('min_nice', -15, -20, 0);
  mostThreads = settings.numberOr('threads_max', 25, 1);
  allowsFifo = settings.flagOr('fifo', false);
}

export function decide(operation: Operation): Verdict {
  const change = operation.scheduling;
  if (change === null) return pass();
  const caller = subject.uid();
  const owner = target.uid();
  if (caller != owner) return deny(`uid ${caller} may not act on a process of uid ${owner}`);
  if (change.affinity !== null) return deny('CPUs are not for this policy, which is about priority alone');
  if (change.isRealtime) return decideRealtime(change);
  if (change.hasNice && change.nice < leastNice) return deny(`nice ${change.nice} is below ${leastNice}`);
  // Giving up what was granted is always allowed.
  return effects.setScheduler(change).verdict();
}

function decideRealtime(change: Scheduling): Verdict {
  if (change.policy == SchedulingPolicy.Fifo && !allowsFifo) {
    return deny('policy fifo, which never yields to threads of its own priority: ask for rr');
  }
  if (change.priority > mostPriority) {
    return deny(`priority ${change.priority} of ${policyName(change.policy)} exceeds ${mostPriority}`);
  }
  const threads = ledger.realtimeThreads() + <u32>target.threads().length;
  if (threads > mostThreads) return deny(`${threads} realtime threads in ${subject.scope()} exceed ${mostThreads}`);
  return effects.setScheduler(change).verdict();
}
