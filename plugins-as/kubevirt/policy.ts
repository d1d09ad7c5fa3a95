// For virt-launcher in its pod, what virt-handler does today: locked memory for VFIO, realtime, SEV and locked guests,
// the housekeeping cgroup, FIFO for vCPUs. At any time, so for migration targets and hotplug too.
// What it allows, exactly: docs/policies/kubevirt.md.
import {
  CgroupRequest,
  MemlockRequest,
  Operation,
  Scheduling,
  SchedulingPolicy,
  Settings,
  Verdict,
  deny,
  effects,
  formatBytes,
  ledger,
  policyName,
  subject,
  target,
} from '@deputy/sdk-as';

let scopes: string[] = [];
let users: u32[] = [];
let overhead: u64 = 0;
let mostWithoutLimit: u64 = 0;
let mostMemlock: u64 = 0;
let housekeeping: string = '';
let mostPriority: u32 = 0;
let realtimePerCpu: u32 = 0;

export function init(settings: Settings): void {
  scopes = settings.textsOr('scopes', ['kubernetes-container']);
  users = settings.numbersOr('users', [107]);
  overhead = settings.bytesOr('overhead', 0);
  mostWithoutLimit = settings.bytesOr('max_memlock_without_limit', 0);
  mostMemlock = settings.bytes('max_memlock');
  housekeeping = settings.textOr('housekeeping_group', 'housekeeping');
  mostPriority = settings.numberOr('max_priority', 1, 0, 99);
  realtimePerCpu = settings.numberOr('realtime_threads_per_cpu', 1, 1, 8);
  if (scopes.length == 0) settings.refuse('scopes', 'names no scope, so nobody could ask');
  if (users.length == 0) settings.refuse('users', 'names no user, so nobody could ask');
  if (mostWithoutLimit > mostMemlock) settings.refuse('max_memlock_without_limit', 'exceeds max_memlock');
}

export function decide(operation: Operation): Verdict {
  const scope = subject.scopeName();
  if (!scopes.includes(scope)) {
    return deny(`${subject.scope()} is no scope of ${scopes.join(', ')}${scope == '' ? '' : `, but of ${scope}`}`);
  }
  const caller = subject.uid();
  if (!users.includes(caller)) return deny(`uid ${caller} is none of virt-launcher's: ${users.join(', ')}`);
  const owner = target.uid();
  if (!users.includes(owner)) return deny(`the target runs as uid ${owner}, none of ${users.join(', ')}`);
  if (operation.memlock !== null) return decideMemlock(operation.memlock!);
  if (operation.cgroup !== null) return decideCgroup(operation.cgroup!);
  return decideScheduler(operation.scheduling!);
}

/**
 * virt-handler computes the limit from the VMI, which nothing here can see. The container's memory limit is the
 * kernel's: a guest can't hold more than that, so it need not lock more.
 */
function decideMemlock(asked: MemlockRequest): Verdict {
  const limit = target.memoryLimit();
  if (limit.isUnlimited && mostWithoutLimit == 0) {
    return deny('the container has no memory limit; set limits.memory of the VMI');
  }
  const own = limit.isUnlimited ? mostWithoutLimit : limit.bytes + min(overhead, u64.MAX_VALUE - limit.bytes);
  const most = min(own, mostMemlock);
  if (!asked.hard.exceeds(most)) return effects.setMemlockLimits(asked.soft, asked.hard).verdict();
  return deny(
    `memlock ${asked.hard} exceeds ${formatBytes(most)}, ` +
      (most == mostMemlock
        ? 'the most that any guest may lock'
        : limit.isUnlimited
          ? 'which is for containers without a memory limit'
          : `the container's memory limit of ${formatBytes(limit.bytes)} and ${formatBytes(overhead)}`),
  );
}

/** All but the vCPUs, which the request names: a whole process would take them along. */
function decideCgroup(asked: CgroupRequest): Verdict {
  if (asked.group != housekeeping) return deny(`group ${asked.group} is not ${housekeeping}`);
  if (target.wholeProcess()) return deny('the request must name the vCPU threads that stay, in exceptThreads');
  return effects.moveCgroup(asked.group).verdict();
}

/** FIFO for vCPUs: never more of them than CPUs that the container owns, so that some are left to nobody's guest. */
function decideScheduler(change: Scheduling): Verdict {
  if (change.affinity !== null) return deny("CPUs are the kubelet's to give: affinity is not for this policy");
  if (!change.isRealtime) return effects.setScheduler(change).verdict();
  if (change.policy != SchedulingPolicy.Fifo) return deny(`policy ${policyName(change.policy)} is not fifo`);
  if (change.priority > mostPriority) return deny(`priority ${change.priority} exceeds ${mostPriority}`);
  if (target.wholeProcess()) return deny('realtime is for vCPU threads: the request must name them');
  const cpus = <u32>target.cpus().length;
  const threads = ledger.realtimeThreads() + <u32>target.threads().length;
  const most = cpus * realtimePerCpu;
  if (threads > most) return deny(`${threads} realtime threads exceed ${most}, for ${cpus} CPUs of the container`);
  return effects.setScheduler(change).verdict();
}
