// Decides by who asks (uid), from where (the scope's label), how much, and by its own settings.
import { Operation, Settings, Verdict, allow, deny, effects, formatBytes, ledger, log, subject } from '@deputy/sdk-as';

let uids: u32[] = [];
let maxMemlock: u64 = 0;
let maxPriority: u32 = 0;

export function init(settings: Settings): void {
  uids = settings.numbers('uids', 1);
  maxMemlock = settings.bytes('max_memlock');
  maxPriority = settings.number('max_priority', 1, 99);
}

export function decide(operation: Operation): Verdict {
  const uid = subject.uid();
  if (!uids.includes(uid)) return deny(`uid ${uid} is none of those that may ask: ${uids.join(', ')}`);

  const memlock = operation.memlock;
  if (memlock !== null) {
    const left = maxMemlock - min(maxMemlock, ledger.memlockBytes());
    if (memlock.hard.exceeds(left)) {
      return deny(`memlock ${memlock.hard} exceeds the ${formatBytes(left)} that are left of ${formatBytes(maxMemlock)}`);
    }
    return effects.setMemlockLimits(memlock.soft, memlock.hard).verdict();
  }

  const scheduling = operation.scheduling;
  if (scheduling !== null) {
    if (scheduling.priority > maxPriority) {
      return deny(`priority ${scheduling.priority} exceeds ${maxPriority}`);
    }
    return effects.setScheduler(scheduling).verdict();
  }

  const cgroup = operation.cgroup;
  if (cgroup === null) return deny(`${operation.name} is nothing this policy knows`);
  const run = subject.label('run');
  if (run !== null) log.info(`demo ${run}: to ${cgroup.group}`);
  const staged = effects.moveCgroup(cgroup.group);
  return staged.ok ? allow() : staged.verdict();
}
