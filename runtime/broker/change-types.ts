/** The types of what was changed, which the definitions of both interfaces hold: Varlink has no imports. */
export const CHANGE_TYPES = `# A limit in bytes, or none.
type Limit (bytes: ?int, unlimited: ?bool)

type Memlock (soft: Limit, hard: Limit)

type Policy (other, batch, idle, fifo, rr, deadline, ext)

type Scheduling (policy: Policy, priority: int, nice: int, resetOnFork: bool)

# RLIMIT_MEMLOCK of a process, as read before and after.
type MemlockChange (pid: int, before: Memlock, after: Memlock)

# Where a process was moved, or with a tid one thread of it. Paths are relative to the cgroup v2 root.
type CgroupChange (pid: int, tid: ?int, before: string, after: string)

type SchedulingChange (pid: int, tid: int, before: Scheduling, after: Scheduling)

type AffinityChange (pid: int, tid: int, before: []int, after: []int)`;
