// For libvirt's QEMU driver: locked memory by libvirt's own formula, placement of emulator, vCPU and I/O threads,
// schedulers of vCPUs. What it allows, exactly: docs/policies/libvirt.md.
import {
  CgroupRequest,
  Limit,
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
  log,
  policyName,
  subject,
  target,
} from '@deputy/sdk-as';

/** VIR_DOMAIN_MEMORY_PARAM_UNLIMITED: what libvirt asks for where it means no limit (include/libvirt/libvirt-domain.h). */
const LIBVIRT_UNLIMITED: u64 = 9007199254740991;

let callers: u32[] = [];
let owners: u32[] = [];
let mostMemlock: u64 = 0;
let withinMemoryLimit: bool = false;
let whenUnlimited: string = 'refuse';
let groups: string[] = [];
let policies: string[] = [];
let mostPriority: u32 = 0;
let leastNice: i32 = 0;
let mostRealtime: u32 = 0;
let reserved: u32[] = [];

export function init(settings: Settings): void {
  callers = settings.numbers('callers');
  owners = settings.numbersOr('owners', callers);
  const guestMemory = settings.bytes('max_guest_memory');
  const factor = <u64>settings.numberOr('devices', 1, 1, 64);
  const io = settings.bytesOr('io_memory', 1 << 30);
  // u64 arithmetic wraps: a limit that came out small by overflow would refuse, one that came out large would not.
  if (guestMemory > (LIBVIRT_UNLIMITED - min(io, LIBVIRT_UNLIMITED)) / factor) {
    settings.refuse('max_guest_memory', `times devices plus io_memory exceeds ${LIBVIRT_UNLIMITED} bytes`);
  }
  mostMemlock = guestMemory * factor + io;
  withinMemoryLimit = settings.flagOr('within_memory_limit', false);
  whenUnlimited = settings.textOr('unlimited', 'refuse');
  if (whenUnlimited != 'refuse' && whenUnlimited != 'clamp' && whenUnlimited != 'allow') {
    settings.refuse('unlimited', `must be "refuse", "clamp" or "allow", is "${whenUnlimited}"`);
  }
  groups = settings.textsOr('groups', []);
  policies = settings.textsOr('policies', ['other', 'batch', 'idle']);
  mostPriority = settings.numberOr('max_priority', 0, 0, 99);
  leastNice = <i32>settings.integerOr('min_nice', 0, -20, 19);
  mostRealtime = settings.numberOr('max_realtime_threads', 0);
  reserved = settings.numbersOr('reserved_cpus', []);
  const realtime = policies.includes('fifo') || policies.includes('rr');
  if (realtime && (mostPriority == 0 || mostRealtime == 0)) {
    settings.refuse('policies', 'has fifo or rr: max_priority and max_realtime_threads must be set too');
  }
}

export function decide(operation: Operation): Verdict {
  const uid = subject.uid();
  if (!callers.includes(uid)) return deny(`uid ${uid} is none of libvirt's: ${callers.join(', ')}`);
  const owner = target.uid();
  if (!owners.includes(owner)) return deny(`the target runs as uid ${owner}, none of ${owners.join(', ')}`);
  if (operation.memlock !== null) return decideMemlock(operation.memlock!);
  if (operation.cgroup !== null) return decideCgroup(operation.cgroup!);
  return decideScheduler(operation.scheduling!);
}

/**
 * libvirt asks for the domain's memory once for each device that pins it on its own, and 1 GiB for their I/O memory
 * (qemuDomainGetMemLockLimitBytes). How much memory a domain has is libvirt's word, so it is bounded by the settings.
 */
function decideMemlock(asked: MemlockRequest): Verdict {
  const most = memlockNow();
  if (asked.hard.isUnlimited || asked.hard.bytes >= LIBVIRT_UNLIMITED) {
    if (whenUnlimited == 'refuse') {
      return deny(`no limit on locked memory; set <hard_limit>, of ${formatBytes(most)} at most`);
    }
    if (whenUnlimited == 'allow') return effects.setMemlockUnlimited().verdict();
    log.info(`no limit was asked for, ${formatBytes(most)} is given`);
    return effects.setMemlock(most, most).verdict();
  }
  if (asked.hard.exceeds(most)) return deny(`memlock ${asked.hard} exceeds ${formatBytes(most)}${because(most)}`);
  return effects.setMemlockLimits(asked.soft, asked.hard).verdict();
}

function memlockNow(): u64 {
  if (!withinMemoryLimit) return mostMemlock;
  const limit = target.memoryLimit();
  return limit.exceeds(mostMemlock) ? mostMemlock : limit.bytes;
}

function because(most: u64): string {
  return most < mostMemlock ? ', which its cgroup may use' : ', the largest guest, its devices and their I/O memory';
}

function decideCgroup(asked: CgroupRequest): Verdict {
  if (!groups.includes(asked.group)) {
    return deny(`group ${asked.group} is none of ${groups.length == 0 ? 'none' : groups.join(', ')}`);
  }
  return effects.moveCgroup(asked.group).verdict();
}

function decideScheduler(change: Scheduling): Verdict {
  if (change.hasPolicy && !policies.includes(policyName(change.policy))) {
    return deny(`policy ${policyName(change.policy)} is none of ${policies.join(', ')}`);
  }
  if (change.isRealtime) {
    if (change.priority > mostPriority) return deny(`priority ${change.priority} exceeds ${mostPriority}`);
    const threads = ledger.realtimeThreads() + <u32>target.threads().length;
    if (threads > mostRealtime) return deny(`${threads} realtime threads in ${subject.scope()} exceed ${mostRealtime}`);
  }
  if (change.hasNice && change.nice < leastNice) return deny(`nice ${change.nice} is below ${leastNice}`);
  const cpus = change.affinity;
  if (cpus !== null) {
    for (let index = 0; index < cpus.length; index++) {
      if (reserved.includes(cpus[index])) return deny(`CPU ${cpus[index]} is reserved`);
    }
  }
  return effects.setScheduler(change).verdict();
}
