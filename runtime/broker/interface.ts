/** The public interface. Its text is what clients get, and what their parameters are checked against. */
import { ERRORS } from '../../host-api/errors.ts';
import { parseIdl } from '../varlink/idl.ts';
import { CHANGE_TYPES } from './change-types.ts';

/** Every call names it. A mismatch is refused at once: a client must never guess what an older daemon makes of a call. */
export const BROKER_VERSION = 1;

const DETAILS: Readonly<Record<string, string>> = {
  VersionMismatch: 'message: string, requested: int, supported: int',
};

const errors = Object.entries(ERRORS)
  .map(
    ([code, { message }]) =>
      `# ${message}.\nerror ${code} (${DETAILS[code] ?? 'message: string, detail: ?object'})`,
  )
  .join('\n\n');

export const BROKER =
  parseIdl(`# Privileged operations on processes of the caller's own scope, as policy plugins allow them.
#
# The caller is who connected: uid, gid, process and cgroup as the kernel has them. Nothing in a call changes that.
# Pids and tids are those of the caller's pid namespace. Integers are exact over 64 bits; "unlimited" is a flag and
# never a number. Absent and null parameters are the same. Every call carries the version of this interface, 1.
interface io.deputy.Broker

# The process a request is about. Without a pid: the caller itself. startTimeTicks (field 22 of /proc/PID/stat) and
# pidfdId (the inode of a pidfd, Linux 6.9) guard against a pid that means another process by now. At most one of
# onlyThreads and exceptThreads; without either, the whole process.
type Target (
  pid: ?int,
  startTimeTicks: ?int,
  pidfdId: ?int,
  onlyThreads: ?[]int,
  exceptThreads: ?[]int
)

${CHANGE_TYPES}

# What was done, as the kernel told afterwards; before equals after where it was so already. Ids in changes are the
# host's. vanished are threads that were asked for and had ended.
type Outcome (
  id: int,
  plugin: string,
  memlock: []MemlockChange,
  cgroup: []CgroupChange,
  scheduling: []SchedulingChange,
  affinity: []AffinityChange,
  vanished: []int
)

# How one plugin of the chain decided. mode is "enforce" or "monitor", verdict "allow", "deny" or "pass".
type Step (
  plugin: string,
  sha256: string,
  mode: string,
  verdict: string,
  reason: ?string,
  fault: ?string,
  factsRead: []string,
  refusals: []string,
  effects: []string,
  fuelUsed: int
)

type Operation (name: string, available: bool, reason: ?string)

# Sets both limits of RLIMIT_MEMLOCK. Exactly one of hardBytes and unlimited; softBytes is hardBytes where absent.
# atLeast leaves a limit that is already as high. A lease is taken back when the connection ends.
method SetMemlock(
  version: int,
  target: ?Target,
  hardBytes: ?int,
  softBytes: ?int,
  unlimited: ?bool,
  atLeast: ?bool,
  lease: ?bool
) -> (outcome: Outcome)

# Moves the process, or threads of it, into a group that the daemon's configuration names.
method MoveCgroup(version: int, target: ?Target, group: string, lease: ?bool) -> (outcome: Outcome)

# Sets policy, priority (with fifo and rr, 1 to 99), nice (-20 to 19) and affinity of threads. Absent ones stay.
method SetScheduler(
  version: int,
  target: ?Target,
  policy: ?Policy,
  priority: ?int,
  nice: ?int,
  cpus: ?[]int,
  lease: ?bool
) -> (outcome: Outcome)

# Takes back all that the caller's scope was granted for the target.
method Release(version: int, target: ?Target) -> (restored: int, gone: int, changedByAnother: int)

# Decides a call of one of the three operations without applying anything.
method Explain(version: int, method: string, parameters: object) -> (
  verdict: string,
  reason: ?string,
  plugin: ?string,
  scope: string,
  steps: []Step,
  changes: []string
)

# What this host and daemon can do, and why not.
method Capabilities(version: int) -> (version: int, scope: ?string, operations: []Operation, groups: []string)

method Ping(version: int) -> (version: int)

${errors}
`);
