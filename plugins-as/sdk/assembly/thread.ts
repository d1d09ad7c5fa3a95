import { SchedulingPolicy } from './scheduling';

/** One thread of the target, as the kernel reported it before `decide`. */
export class Thread {
  constructor(
    /** In the host's pid namespace. */
    readonly tid: u32,
    /** The thread's name. Any thread may name itself anything: never an identity. */
    readonly commUntrusted: string,
    readonly policy: SchedulingPolicy,
    readonly priority: u32,
    readonly nice: i32,
    readonly affinity: u32[],
    readonly cgroup: string,
  ) {}
}
