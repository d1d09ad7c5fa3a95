// Locked memory up to a limit for one user, placement of what is not realtime, and no realtime at all.
import { Operation, SchedulingPolicy, Settings, Verdict, deny, effects, subject, target } from '@deputy/sdk-as';

let user: u32 = 0;
let maxMemlock: u64 = 0;

/** Called once at start with the manifest's [settings]. What is missing or wrong stops the daemon, with its name. */
export function init(settings: Settings): void {
  user = settings.number('uid');
  maxMemlock = settings.bytes('max_memlock');
}

/** Called for each request. Nothing takes effect before the daemon has checked an `allow` against the ceilings. */
export function decide(operation: Operation): Verdict {
  const uid = subject.uid();
  if (uid != user) return deny(`uid ${uid} may not ask`);

  const memlock = operation.memlock;
  if (memlock !== null) {
    if (memlock.hard.exceeds(maxMemlock)) return deny(`more than ${maxMemlock} bytes of locked memory`);
    const limit = target.memoryLimit();
    if (!limit.isUnlimited && memlock.hard.exceeds(limit.bytes)) {
      return deny(`more than the ${limit.bytes} bytes that its cgroup may use`);
    }
    return effects.setMemlockLimits(memlock.soft, memlock.hard).verdict();
  }

  const cgroup = operation.cgroup;
  if (cgroup !== null) {
    const threads = target.threads();
    for (let index = 0; index < threads.length; index++) {
      const thread = threads[index];
      if (isRealtime(thread.policy)) return deny(`thread ${thread.tid} is realtime and stays where it is`);
    }
    return effects.moveCgroup(cgroup.group).verdict();
  }

  const change = operation.scheduling!;
  if (change.hasPolicy && isRealtime(change.policy)) return deny('realtime is not for this policy');
  return effects.setScheduler(change).verdict();
}

function isRealtime(policy: SchedulingPolicy): bool {
  return policy == SchedulingPolicy.Fifo || policy == SchedulingPolicy.Rr;
}
